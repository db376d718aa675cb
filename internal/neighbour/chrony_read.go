package neighbour

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/cmdmon"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// smoothed is the reference id under which chronyd tells smoothed time.
const smoothed = "\x7f\x7f\x01\xff"

// Tracking implements Daemon.
func (c *Chrony) Tracking(ctx context.Context) (api.Tracking, error) {
	return c.tracking.get(ctx, questionTimeout, func(ctx context.Context) (t api.Tracking, err error) {
		err = c.ask(ctx, true, func(s *session) error {
			t, err = s.tracking(ctx)
			return err
		})
		return t, err
	})
}

func (s *session) tracking(ctx context.Context) (api.Tracking, error) {
	smoothing, err := s.smoothing(ctx)
	if err != nil {
		return api.Tracking{}, err
	}
	before := time.Now()
	reply, err := s.command(ctx, cmdmon.TrackingCommand, nil)
	if err != nil {
		return api.Tracking{}, err
	}
	at := before.Add(time.Since(before) / 2)
	t, err := cmdmon.ParseTracking(reply)
	if err != nil {
		return api.Tracking{}, err
	}
	return trackingOf(t, smoothing, at), nil
}

// smoothing is nil unless chronyd smooths the time that it serves (smoothtime).
func (s *session) smoothing(ctx context.Context) (*cmdmon.Smoothing, error) {
	reply, err := s.command(ctx, cmdmon.SmoothingCommand, nil)
	switch {
	case errors.Is(err, cmdmon.NotEnabled):
		return nil, nil
	case errors.Is(err, cmdmon.Unauthorised):
		return nil, fmt.Errorf("%w: whether chronyd smooths its time must be known; let opencommands have smoothing, or ntptsd use the command socket", err)
	case err != nil:
		return nil, err
	}
	m, err := cmdmon.ParseSmoothing(reply)
	return &m, err
}

func trackingOf(t cmdmon.Tracking, smoothing *cmdmon.Smoothing, at time.Time) api.Tracking {
	a := api.Tracking{
		Source:                "chrony",
		Synchronised:          t.Leap < uint16(ntp.LeapUnknown) && t.Stratum > 0 && t.Stratum < unsynchronised,
		RefID:                 t.ReferenceID,
		RootDelaySeconds:      t.RootDelay,
		RootDispersionSeconds: t.RootDispersion,
		OffsetSeconds:         new(t.CurrentCorrection),
		FrequencyPPM:          new(t.Frequency),
		CorrectionSeconds:     t.CurrentCorrection,
		ReadAt:                at,
	}
	updated := t.ReferenceTime
	a.Leap = leapWord(a.Synchronised, uint8(t.Leap))
	if a.Synchronised {
		a.Stratum = uint8(t.Stratum)
	}
	if smoothing != nil {
		// chronyd announces no leap second that it smooths away, and that is what smoothing is configured for.
		if a.Synchronised {
			a.Leap = api.LeapNone
		}
		if smoothing.Offset != 0 {
			a.CorrectionSeconds += smoothing.Offset
			updated = updated.Add(duration(smoothing.Offset))
			a.RefID = [4]byte([]byte(smoothed))
		}
	}
	if t.ReferenceTime.Sub(at).Abs() < era { // of nonsense nothing is told
		a.ReferenceTime = &updated
	}
	a.ReferenceID = ntp.ReferenceID(a.RefID).Text(a.Stratum)
	a.ErrorBoundSeconds = a.ErrorBound()
	return a
}

// leapWord is the word for a leap indicator of a clock that is synchronised or not.
func leapWord(synchronised bool, leap uint8) string {
	if !synchronised {
		return api.LeapUnsynchronised
	}
	return api.LeapWord(leap)
}

// Sources implements Daemon.
func (c *Chrony) Sources(ctx context.Context) ([]api.Source, error) {
	return c.sources.get(ctx, listTimeout, func(ctx context.Context) (all []api.Source, err error) {
		err = c.ask(ctx, true, func(s *session) error {
			all, err = s.sources(ctx)
			return err
		})
		return all, err
	})
}

func (s *session) sources(ctx context.Context) ([]api.Source, error) {
	all, err := s.walk(ctx)
	return sourcesOf(all), err
}

// found is a source with the address by which chronyd knows it, be it resolved or not.
type found struct {
	api.Source
	at cmdmon.Address
}

func (s *session) walk(ctx context.Context) ([]found, error) {
	reply, err := s.command(ctx, cmdmon.NSources, nil)
	if err != nil {
		return nil, err
	}
	n, err := cmdmon.ParseNSources(reply)
	if err != nil {
		return nil, err
	}
	all := []found{}
	for i := range min(n, maxSources) {
		source, err := s.source(ctx, i)
		if errors.Is(err, cmdmon.NoSuchSource) {
			break // one went away meanwhile
		}
		if err != nil {
			return nil, err
		}
		all = append(all, source)
	}
	return all, nil
}

func (s *session) source(ctx context.Context, index uint32) (a found, err error) {
	reply, err := s.command(ctx, cmdmon.SourceData, cmdmon.Index(index))
	if err != nil {
		return a, err
	}
	from, err := cmdmon.ParseSource(reply)
	if err != nil {
		return a, err
	}
	a = found{sourceOf(from), from.Address}
	if from.Mode == cmdmon.ModeRefclock {
		return a, nil
	}
	// What follows is for the eye: a source may go away, and older versions or UDP do not tell everything.
	if reply, err := s.command(ctx, cmdmon.NTPSourceName, cmdmon.Of(from.Address)); err == nil {
		if name, err := cmdmon.ParseSourceName(reply); err == nil && name != "" {
			a.Name = legible(name)
		}
	}
	if !s.full() {
		return a, nil
	}
	if reply, err := s.command(ctx, cmdmon.AuthDataCommand, cmdmon.Of(from.Address)); err == nil {
		if auth, err := cmdmon.ParseAuthData(reply); err == nil {
			a.Authentication = authentication(auth.Mode)
		}
	}
	if reply, err := s.command(ctx, cmdmon.NTPDataCommand, cmdmon.Of(from.Address)); err == nil && a.LastRxSeconds != nil {
		if data, err := cmdmon.ParseNTPData(reply); err == nil {
			a.DelaySeconds = new(data.PeerDelay)
		}
	}
	return a, nil
}

// legible is a name as text: it goes into labels of metrics, which all are lost by one that is no UTF-8, into events, and into files.
func legible(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, name)
}

func sourceOf(s cmdmon.Source) api.Source {
	a := api.Source{
		Name:        s.Address.String(),
		Kind:        "server",
		Selection:   selection(s.State),
		Stratum:     uint8(min(s.Stratum, math.MaxUint8)),
		PollSeconds: interval(int(s.Poll)),
		Reach:       uint8(s.Reach),
	}
	switch s.Mode {
	case cmdmon.ModePeer:
		a.Kind = "peer"
	case cmdmon.ModeRefclock:
		a.Kind, a.Name = "refclock", "refclock"
		if s.Address.IP.Is4() {
			a.Name = ntp.ReferenceID(s.Address.IP.As4()).Text(0)
		}
	}
	if s.Mode != cmdmon.ModeRefclock && s.Address.IP.IsValid() {
		a.Address = s.Address.IP.String()
	}
	if s.Sampled {
		a.LastRxSeconds = new(s.Since.Seconds())
		a.OffsetSeconds, a.ErrorSeconds = new(-s.Offset), new(s.Error) // chronyd counts from the other side
	}
	return a
}

func selection(s cmdmon.SourceState) string {
	words := [...]string{"selected", "unselectable", "falseticker", "jittery", "combined", "selectable"}
	if int(s) < len(words) {
		return words[s]
	}
	return "unselectable"
}

func authentication(mode uint16) string {
	switch mode {
	case cmdmon.AuthNone:
		return "none"
	case cmdmon.AuthSymmetric:
		return "symmetric"
	case cmdmon.AuthNTS:
		return "nts"
	}
	return ""
}

// Clients implements Daemon. The command socket is needed.
func (c *Chrony) Clients(ctx context.Context, limit int) (api.Clients, error) {
	p, err := c.clients.get(ctx, listTimeout, func(ctx context.Context) (p population, err error) {
		err = c.ask(ctx, false, func(s *session) error {
			p, err = s.clients(ctx)
			return err
		})
		return p, err
	})
	if err != nil {
		return api.Clients{}, err
	}
	return p.first(limit), nil
}

func (s *session) clients(ctx context.Context) (population, error) {
	var b busiest
	for first := uint32(0); ; {
		reply, err := s.command(ctx, cmdmon.ClientsCommand, cmdmon.Page{First: first})
		if ctx.Err() != nil {
			b.cut = true
			return b.all(), nil
		}
		if err != nil {
			return population{}, err
		}
		page, err := cmdmon.ParseClients(reply)
		if err != nil {
			return population{}, err
		}
		for _, c := range page.Clients {
			if c.Address.IP.IsValid() && c.NTP+c.KeyExchange > 0 {
				b.add(clientOf(c))
			}
		}
		if page.Next >= page.Indices {
			return b.all(), nil
		}
		if page.Next <= first {
			return population{}, fmt.Errorf("chronyd's list of clients does not end: index %d follows %d", page.Next, first)
		}
		first = page.Next
	}
}

func clientOf(c cmdmon.Client) api.Client {
	a := api.Client{Address: c.Address.IP.String(), Requests: uint64(c.NTP), Dropped: new(uint64(c.NTPDropped)), KeyExchanges: new(uint64(c.KeyExchange))}
	if c.NTPInterval != cmdmon.NoInterval {
		a.IntervalSeconds = new(interval(int(c.NTPInterval)))
	}
	if c.LastNTP != math.MaxUint32 {
		a.LastSeconds = new(float64(c.LastNTP))
	}
	return a
}
