package monitoring

import (
	"fmt"

	"github.com/ntptsd/ntptsd/internal/api"
)

// status is everything beside the clock as it is now.
func (s *Service) status(clock api.Tracking) api.Status {
	a := api.Status{
		Version:   s.Version,
		StartedAt: s.started.UTC(),
		Clock:     clock,
		Neighbour: api.Neighbour{Name: s.Neighbour.Name(), Via: s.Neighbour.Via()},
		Rings:     s.Rings.View(),
		Targets:   s.KeyExchange.Targets(),
		Problems:  []string{},
	}
	if a.Neighbour.Name != "" {
		a.Neighbour.Problem = s.Clock.Problem()
		if clock.Source == a.Neighbour.Name {
			a.Neighbour.AgeSeconds = &clock.AgeSeconds
		}
	}
	a.Problems = append(a.Problems, s.problems(a)...)
	return a
}

// problems are what somebody should look after.
func (s *Service) problems(a api.Status) (all []string) {
	if why := s.Clock.Why(); why != "" {
		all = append(all, "the clock is not synchronised, and time clients are told so: "+why)
	} else if p := s.Clock.Problem(); p != "" {
		all = append(all, fmt.Sprintf("the clock cannot be read, and what was read %.0f s ago counts on for a while: %s", a.Clock.AgeSeconds, p))
	}
	if s.Neighbour.Lacking() {
		all = append(all, "clock.source is auto, and no time daemon answered when ntptsd started or was reloaded, so the kernel is asked: start the daemon, then ntptsctl reload")
	}
	for _, r := range a.Rings {
		if r.Problem != "" {
			all = append(all, fmt.Sprintf("ring %s: %s", r.Name, r.Problem))
		}
	}
	for _, c := range s.Certificates.View() {
		switch {
		case c.Problem != "":
			all = append(all, fmt.Sprintf("certificate %s: %s", c.File, c.Problem))
		case c.DaysLeft < min(certificateDays, c.NotAfter.Sub(c.NotBefore).Hours()/24/4):
			all = append(all, fmt.Sprintf("certificate %s ends in %.1f days: renew it", c.File, c.DaysLeft))
		}
	}
	if s.Audit != nil {
		if p := s.Audit(); p != "" {
			all = append(all, "the audit log cannot be written, so that nothing can be changed: "+p)
		}
	}
	return append(all, targetProblems(a.Targets)...)
}

// certificateDays are too few, or a quarter of a shorter life: what renews itself has done so by then, whether it lives 90
// days, 47 or 6.
const certificateDays = 7

func targetProblems(targets []api.Target) (all []string) {
	fit := 0
	for _, t := range targets {
		switch {
		case t.Draining:
			all = append(all, fmt.Sprintf("target %s drains: no client is sent there while there is another", t.ID))
		case t.Fit:
			fit++
		default:
			all = append(all, fmt.Sprintf("target %s is not fit: %s", t.ID, t.Reason))
		}
	}
	if len(targets) > 0 && fit == 0 {
		all = append(all, "no target is fit: clients are sent to the least bad one, unless keyexchange.when-none-fit says error")
	}
	return all
}
