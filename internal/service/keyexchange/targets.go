package keyexchange

import (
	"strings"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Targets tells of every target that the configuration names, in its order. Safe for concurrent use.
func (s *Server) Targets() []api.Target {
	all := []api.Target{}
	for _, p := range s.named() {
		t := api.Target{
			ID: p.id, Ring: p.Ring, Weight: p.Weight, Family: p.Family, Fit: p.class == fit, Draining: p.draining,
			Reason: p.reason, Served: p.served.Load(),
		}
		t.AEADs = []uint16{}
		for _, id := range p.aeads {
			t.AEADs = append(t.AEADs, uint16(id))
		}
		if p.hasAnswer {
			t.Stratum = new(p.answer.Stratum)
			t.RootDistanceSeconds = new(p.distance().Seconds())
			t.OffsetSeconds = new(p.answer.Offset)
		}
		if !p.probed.IsZero() {
			t.LastProbe = new(p.probed.UTC())
		}
		all = append(all, t)
	}
	return all
}

// Drain makes a target one that no client is sent to while there is another of use, or ends that. It lasts until the target
// leaves the configuration, or ntptsd ends. Its errors are *api.Error. Safe for concurrent use.
func (s *Server) Drain(id string, drain bool) error {
	var known []string
	for _, p := range s.named() {
		known = append(known, p.id)
	}
	if len(known) == 0 {
		return api.Failf(api.Conflict, "there are no targets; add them to the configuration as [[keyexchange.server]]")
	}
	before, _, ok := s.change(func(p *place) bool { return p.id == id }, func(h health) health {
		h.draining = drain
		return h
	})
	if !ok {
		return api.Failf(api.NotFound, "there is no target %q; known are %s", id, strings.Join(known, ", "))
	}
	switch {
	case drain && !before.draining:
		s.log.Info("target drains: clients are sent to others", "target", id)
	case !drain && before.draining:
		s.log.Info("target serves again", "target", id)
	}
	return nil
}

// named are the targets with a name: not the one that is made up where the configuration names none.
func (s *Server) named() []place {
	b := s.board.Load()
	if b == nil || len(b.places) == 1 && b.places[0].id == "" {
		return nil
	}
	return b.places
}
