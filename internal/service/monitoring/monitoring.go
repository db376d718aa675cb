// Package monitoring answers the commands that only read: what ntptsd, its keys and targets and the time daemon next door
// do. It keeps nothing and polls nobody by itself; what it tells is asked of the parts that know. Who may ask, and over
// which wire, is the front door's business.
package monitoring

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
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

// Rings are the rings of cookie keys. Safe for concurrent use.
type Rings interface{ View() []api.Ring }

// Targets are the time servers of the key exchange. Safe for concurrent use.
type Targets interface{ Targets() []api.Target }

// Service reads.
type Service struct {
	version   string
	started   time.Time
	clock     Clock
	neighbour Neighbour
	rings     Rings
	targets   Targets
}

// New makes the service.
func New(version string, clock Clock, n Neighbour, r Rings, t Targets) *Service {
	return &Service{version: version, started: time.Now(), clock: clock, neighbour: n, rings: r, targets: t}
}

// Bindings are the handlers of all commands that only read.
func (s *Service) Bindings() []api.Binding {
	return []api.Binding{
		api.Bind(api.GetStatus, s.status),
		api.Bind(api.GetTracking, func(context.Context, api.Caller, api.None) (api.Tracking, error) { return s.clock.Tracking(), nil }),
		api.Bind(api.GetSources, s.sources),
		api.Bind(api.GetClients, s.clients),
		api.Bind(api.GetKeys, func(context.Context, api.Caller, api.None) (api.Keys, error) {
			return api.Keys{Rings: s.rings.View()}, nil
		}),
		api.Bind(api.GetTargets, func(context.Context, api.Caller, api.None) (api.Targets, error) {
			return api.Targets{Targets: s.targets.Targets()}, nil
		}),
	}
}

func (s *Service) status(context.Context, api.Caller, api.None) (api.Status, error) {
	clock := s.clock.Tracking()
	a := api.Status{
		Version:   s.version,
		StartedAt: s.started.UTC(),
		Clock:     clock,
		Neighbour: api.Neighbour{Name: s.neighbour.Name(), Via: s.neighbour.Via()},
		Rings:     s.rings.View(),
		Targets:   s.targets.Targets(),
		Problems:  []string{},
	}
	if a.Neighbour.Name != "" {
		a.Neighbour.Problem = s.clock.Problem()
		if clock.Source == a.Neighbour.Name {
			a.Neighbour.AgeSeconds = &clock.AgeSeconds
		}
	}
	a.Problems = append(a.Problems, s.problems(a)...)
	return a, nil
}

// problems are what somebody should look after.
func (s *Service) problems(a api.Status) (all []string) {
	if why := s.clock.Why(); why != "" {
		all = append(all, "the clock is not synchronised, and time clients are told so: "+why)
	} else if p := s.clock.Problem(); p != "" {
		all = append(all, fmt.Sprintf("the clock cannot be read, and what was read %.0f s ago counts on for a while: %s", a.Clock.AgeSeconds, p))
	}
	if s.neighbour.Lacking() {
		all = append(all, "clock.source is auto, and no time daemon answered when ntptsd started or was reloaded, so the kernel is asked: start the daemon, then ntptsctl reload")
	}
	for _, r := range a.Rings {
		if r.Problem != "" {
			all = append(all, fmt.Sprintf("ring %s: %s", r.Name, r.Problem))
		}
	}
	fit := 0
	for _, t := range a.Targets {
		switch {
		case t.Draining:
			all = append(all, fmt.Sprintf("target %s drains: no client is sent there while there is another", t.ID))
		case t.Fit:
			fit++
		default:
			all = append(all, fmt.Sprintf("target %s is not fit: %s", t.ID, t.Reason))
		}
	}
	if len(a.Targets) > 0 && fit == 0 {
		all = append(all, "no target is fit: clients are sent to the least bad one, unless keyexchange.when-none-fit says error")
	}
	return all
}

func (s *Service) sources(ctx context.Context, _ api.Caller, _ api.None) (api.Sources, error) {
	all, err := s.neighbour.Sources(ctx)
	if err != nil {
		return api.Sources{}, failed(err)
	}
	return api.Sources{Sources: all}, nil
}

func (s *Service) clients(ctx context.Context, _ api.Caller, a api.ClientsArg) (api.Clients, error) {
	if a.Limit == 0 {
		a.Limit = api.DefaultClients
	}
	if a.Limit < 1 || a.Limit > api.MaxClients {
		return api.Clients{}, api.Failf(api.BadArgument, "limit %d: must be from 1 to %d", a.Limit, api.MaxClients)
	}
	all, err := s.neighbour.Clients(ctx, a.Limit)
	return all, failed(err)
}

// failed sorts the errors of the daemon next door.
func failed(err error) error {
	if errors.Is(err, neighbour.ErrNone) {
		return api.Fail(api.Conflict, err)
	}
	return api.Fail(api.Unavailable, err)
}
