// Package monitoring answers the commands that only read: what ntptsd, its keys and targets, its clients and the time daemon
// next door do. It also looks by itself, once a second: what differs from the second before is an event, what is so now is a
// sample for those who follow, and a row of the history of a day. It asks the parts that know, and keeps no more than that.
// Who may ask, and over which wire, is the front door's business.
package monitoring

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/journal"
	"github.com/ntptsd/ntptsd/internal/neighbour"
)

// Clock tells what is known of the clock. Safe for concurrent use.
type Clock interface {
	Tracking() api.Tracking
	Problem() string // why it cannot be read; empty if it can
	Why() string     // why it is not synchronised; empty if it is
}

// Neighbour is the time daemon next door. Safe for concurrent use; asks the daemon at most once a second.
type Neighbour interface {
	Name() string  // empty if there is none
	Via() string   // how it was asked last
	Lacking() bool // one was looked for, and none answered
	Sources(ctx context.Context) ([]api.Source, error)
	Clients(ctx context.Context, limit int) (api.Clients, error)
}

// Words says what the daemon next door says, as its own client would print it. Safe for concurrent use.
type Words interface {
	Say(ctx context.Context, word string, args []string) (text string, err error)
}

// Rings are the rings of cookie keys. Safe for concurrent use.
type Rings interface{ View() []api.Ring }

// KeyExchange is our NTS-KE server. Safe for concurrent use.
type KeyExchange interface {
	Targets() []api.Target
	Handshakes() api.Handshakes
}

// TimeServer is our NTP server. Safe for concurrent use.
type TimeServer interface {
	Cookies() []api.Count // that it was shown, by the age of their key
	Answered() uint64     // requests
}

// Certificates are those that TLS services show. Safe for concurrent use.
type Certificates interface{ View() []api.Certificate }

// Reloads counts the reloads of the configuration, and tells why the last refused one was. Safe for concurrent use.
type Reloads interface {
	Reloads() (done, refused uint64, why string)
}

// Limit is one that may refuse clients.
type Limit struct {
	Name  string        // what is limited
	Count func() uint64 // how often it refused; safe for concurrent use
}

// Parts are all that is asked.
type Parts struct {
	Version      string
	Clock        Clock
	Neighbour    Neighbour
	NTPQ         Words // what ntpd says
	Chronyc      Words // what chronyd says
	Rings        Rings
	KeyExchange  KeyExchange
	TimeServer   TimeServer
	Certificates Certificates
	Networks     func(limit int) api.Networks
	Reloads      Reloads
	Limits       []Limit
	Draining     func() bool   // whether an operator drains this host; nil: never
	Audit        func() string // why the audit log cannot be written; nil or empty: it can
}

// Service is a daemon.Service, a daemon.Reloader and a prometheus.Collector.
type Service struct {
	Parts
	log     *slog.Logger
	started time.Time
	journal *journal.Journal
	history *history
	limits  atomic.Pointer[config.Fit]
	sources atomic.Pointer[observed]
	asked   networkList

	descriptions descriptions
}

// New makes the service. What it sees goes to the journal.
func New(cfg *config.Config, p Parts, j *journal.Journal, log *slog.Logger) *Service {
	s := &Service{Parts: p, log: log.With("section", "monitoring"), started: time.Now(), journal: j, history: newHistory(), descriptions: newDescriptions()}
	s.limits.Store(fitLimits(cfg))
	s.sources.Store(&observed{})
	return s
}

// Prepare takes the limits of /fit.
func (s *Service) Prepare(cfg *config.Config) (commit func(), err error) {
	return func() { s.limits.Store(fitLimits(cfg)) }, nil
}

// Bindings are the handlers of all commands that only read.
func (s *Service) Bindings() []api.Binding {
	return append(s.words(),
		api.Bind(api.GetStatus, read(func() api.Status { return s.status(s.Clock.Tracking()) })),
		api.Bind(api.GetFit, read(s.Fit)),
		api.Bind(api.GetTracking, read(s.Clock.Tracking)),
		api.Bind(api.GetSources, s.listSources),
		api.Bind(api.GetSource, s.source),
		api.Bind(api.GetClients, s.clients),
		api.Bind(api.GetNetworks, s.networks),
		api.Bind(api.GetKeys, read(func() api.Keys { return api.Keys{Rings: s.Rings.View()} })),
		api.Bind(api.GetCertificates, read(func() api.Certificates { return api.Certificates{Certificates: s.Certificates.View()} })),
		api.Bind(api.GetHandshakes, read(s.KeyExchange.Handshakes)),
		api.Bind(api.GetCookies, read(func() api.Cookies { return api.Cookies{Ages: s.TimeServer.Cookies()} })),
		api.Bind(api.GetTargets, read(func() api.Targets { return api.Targets{Targets: s.KeyExchange.Targets()} })),
		api.Bind(api.GetEvents, s.events),
		api.Bind(api.GetHistory, s.past),
		api.Bind(api.WhoAmI, whoAmI),
	)
}

// read is a handler that takes nothing and cannot fail.
func read[R any](get func() R) func(context.Context, api.Caller, api.None) (R, error) {
	return func(context.Context, api.Caller, api.None) (R, error) { return get(), nil }
}

func whoAmI(_ context.Context, who api.Caller, _ api.None) (api.Identity, error) {
	i := api.Identity{Name: who.Name, Role: who.Role.String(), Only: who.Only}
	if !who.Until.IsZero() {
		i.Until = new(who.Until.UTC())
	}
	return i, nil
}

// bounded is a limit as given, or what it is unless given.
func bounded(given, otherwise, most int) (int, error) {
	switch {
	case given == 0:
		return otherwise, nil
	case given < 1 || given > most:
		return 0, api.Failf(api.BadArgument, "limit %d: must be from 1 to %d", given, most)
	}
	return given, nil
}

func (s *Service) events(_ context.Context, _ api.Caller, a api.EventsArg) (api.Events, error) {
	limit, err := bounded(a.Limit, api.DefaultEvents, api.MaxEvents)
	if err != nil {
		return api.Events{}, err
	}
	if a.After < 0 {
		return api.Events{}, api.Failf(api.BadArgument, "after %d: must be the id of an event, or 0", a.After)
	}
	events, lost := s.journal.Events(uint64(a.After), limit)
	return api.Events{Events: events, Lost: lost}, nil
}

func (s *Service) past(_ context.Context, _ api.Caller, a api.HistoryArg) (api.History, error) {
	if a.Seconds < 0 {
		return api.History{}, api.Failf(api.BadArgument, "seconds %d: must be more than 0", a.Seconds)
	}
	return s.history.last(time.Duration(min(a.Seconds, historySeconds)) * time.Second), nil
}

// failed sorts the errors of the daemon next door.
func failed(err error) error {
	if errors.Is(err, neighbour.ErrNone) {
		return api.Fail(api.Conflict, err)
	}
	return api.Fail(api.Unavailable, err)
}
