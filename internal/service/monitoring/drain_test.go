package monitoring

import (
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Who drains a host wants nobody sent there, however good its clock is.
func TestADrainedHostIsNeitherReadyNorFit(t *testing.T) {
	w := &world{tracking: api.Tracking{Source: "fixed", Synchronised: true, Leap: api.LeapNone, Stratum: 1}, rings: []api.Ring{{Name: "x", Keys: []api.Key{{}}}}}
	s := w.service()
	if f := s.Fit(); !f.Fit || len(s.Ready()) != 0 {
		t.Fatalf("before: %+v, %q", f, s.Ready())
	}
	draining := true
	s.Draining = func() bool { return draining }
	if f := s.Fit(); f.Fit || len(f.Reasons) != 1 || f.Reasons[0] != drainReason || len(s.Ready()) != 1 {
		t.Errorf("%+v, %q", f, s.Ready())
	}
	before, now := s.look(moment{}), s.look(moment{})
	before.fit = api.Fit{Fit: true}
	if events := changes(before, now); len(events) == 0 || events[0].Kind != api.EventFit {
		t.Errorf("nobody is told: %+v", events)
	}
	if draining = false; !s.Fit().Fit || len(s.Ready()) != 0 {
		t.Error("undrained it is not fit")
	}
}
