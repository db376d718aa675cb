package monitoring

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

const (
	// lookEvery is how often the parts of our own process are looked at, whose state is a snapshot in memory.
	lookEvery = time.Second
	// showEvery is how often those who follow get a sample.
	showEvery = 2 * time.Second
	// sourcesEvery is how often the daemon next door is asked for its sources while nobody follows.
	sourcesEvery = 16 * time.Second
	// sourcesStale is when sources that could not be read again are no longer shown: two polls were missed.
	sourcesStale = 2*sourcesEvery + time.Second
)

// observed is the newest list of sources.
type observed struct {
	sources []api.Source
	at      time.Time // zero: never
}

// fresh are the sources, unless they are too old.
func (o *observed) fresh(now time.Time) []api.Source {
	if o.at.IsZero() || now.Sub(o.at) > sourcesStale {
		return nil
	}
	return o.sources
}

// Run looks until ctx is done. The daemon next door is asked on a goroutine of its own: it may hang.
func (s *Service) Run(ctx context.Context) error {
	var asking sync.WaitGroup
	asking.Go(func() { s.followSources(ctx) })
	s.follow(ctx)
	asking.Wait()
	return nil
}

func (s *Service) followSources(ctx context.Context) {
	ticker := time.NewTicker(showEvery)
	defer ticker.Stop()
	var asked time.Time
	for {
		if now := time.Now(); s.Neighbour.Name() != "" && (s.journal.Followed() || now.Sub(asked) >= sourcesEvery-showEvery/2) {
			asked = now
			if all, err := s.Neighbour.Sources(ctx); err == nil {
				s.sources.Store(&observed{all, time.Now()})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// follow turns what changes into events, and what is into samples and history.
func (s *Service) follow(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	before := s.look(moment{})
	s.journal.Add(api.Event{At: before.at, Kind: api.EventStarted, Severity: api.Info, Text: "ntptsd " + s.Version + " started"})
	for _, e := range changes(before.asIfWell(), before) { // what is wrong at the start is an event, too
		s.journal.Add(e)
	}
	var shown time.Time
	for {
		now := s.look(before)
		for _, e := range changes(before, now) {
			s.journal.Add(e)
		}
		s.history.add(now)
		if now.at.Sub(shown) >= showEvery-lookEvery/2 { // a tick may come a little early
			shown = now.at
			if err := s.journal.Show(now.sample()); err != nil {
				s.log.Error("the state cannot be shown", "error", err) // infinity or a year 10000: our own fault
			}
		}
		before = now
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// moment is all that is looked at, at one time.
type moment struct {
	at           time.Time
	status       api.Status
	fit          api.Fit
	sources      []api.Source
	handshakes   api.Handshakes
	cookies      []api.Count
	answered     uint64 // by the time server
	certificates []api.Certificate
	limits       []refusing
	reloads      uint64
	refused      uint64 // reloads
	why          string // the last one of them
	selected     string // source, as far as the sources were known lately
}

// look also remembers from the look before what lasts.
func (s *Service) look(before moment) moment {
	clock := s.Clock.Tracking()
	m := moment{
		at:           time.Now(),
		status:       s.status(clock),
		handshakes:   s.KeyExchange.Handshakes(),
		cookies:      s.TimeServer.Cookies(),
		answered:     s.TimeServer.Answered(),
		certificates: s.Certificates.View(),
	}
	m.fit = s.drained(judge(clock, s.Clock.Why(), m.status.Targets, s.limits.Load()))
	m.sources = s.sources.Load().fresh(m.at)
	for _, l := range s.Limits {
		r, known := find(before.limits, l.Name, func(r refusing) string { return r.name })
		if !known {
			r = refusing{name: l.Name, count: l.Count()}
		}
		m.limits = append(m.limits, r.next(l.Count(), m.at))
	}
	m.reloads, m.refused, m.why = s.Reloads.Reloads()
	if m.selected = selected(m.sources); len(m.sources) == 0 { // not known just now
		m.selected = before.selected
	}
	return m
}

// sample is what those who follow get.
func (m moment) sample() api.Sample {
	return api.Sample{At: m.at.UTC(), Fit: m.fit, Status: m.status, Sources: m.sources, Handshakes: m.handshakes,
		Cookies: api.Cookies{Ages: m.cookies}, TimeRequests: m.answered, Certificates: m.certificates}
}

// asIfWell is the moment as it should have been: at the start nothing is known of before. Targets are left out, which were not
// looked at yet.
func (m moment) asIfWell() moment {
	m.status.Clock.Synchronised, m.status.Clock.Leap = true, api.LeapNone
	m.status.Neighbour.Problem = ""
	m.status.Rings = slices.Clone(m.status.Rings)
	for i := range m.status.Rings {
		m.status.Rings[i].Problem = ""
	}
	m.certificates = slices.Clone(m.certificates)
	for i := range m.certificates {
		m.certificates[i].Problem = ""
	}
	m.fit = api.Fit{Fit: true}
	return m
}
