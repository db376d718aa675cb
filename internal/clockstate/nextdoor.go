package clockstate

import (
	"context"
	"math"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// nextDoor reads what the daemon that disciplines the clock says.
type nextDoor struct {
	door    Door
	floor   time.Duration
	without Source // what is read where nobody was found next door; nil: nothing
}

func (n *nextDoor) Read(ctx context.Context, now time.Time) (State, error) {
	if n.without != nil && n.door.Name() == "" {
		return n.without.Read(ctx, now)
	}
	t, err := n.door.Tracking(ctx)
	if err != nil {
		return State{}, err
	}
	return stateOf(t, n.floor), nil
}

func stateOf(t api.Tracking, floor time.Duration) State {
	s := State{
		Source:         t.Source,
		Synchronised:   t.Synchronised && !t.Smearing,
		Leap:           leapOf(t.Leap),
		Stratum:        t.Stratum,
		ReferenceID:    t.RefID,
		RootDelay:      max(duration(t.RootDelaySeconds), 0),
		RootDispersion: max(duration(t.RootDispersionSeconds), floor),
		At:             t.ReadAt,
		Corrected:      t.Source == "chrony",
		Correction:     duration(t.CorrectionSeconds),
		Told:           &t,
	}
	if t.ReferenceTime != nil {
		s.ReferenceTime = *t.ReferenceTime
	}
	if !s.Synchronised {
		s.Leap = ntp.LeapUnknown
	}
	return s
}

func leapOf(word string) ntp.Leap {
	switch word {
	case api.LeapNone:
		return ntp.LeapNone
	case api.LeapInsert:
		return ntp.LeapInsert
	case api.LeapDelete:
		return ntp.LeapDelete
	}
	return ntp.LeapUnknown
}

// duration is s, as far as a Duration goes.
func duration(s float64) time.Duration {
	const most = 1e9
	return time.Duration(min(max(s, -most), most) * float64(time.Second))
}

// follow finds out how fast the correction changes, from the reading before. Steps of the system's clock in between are no
// part of that: what the daemon calls the time is compared with the time that has passed. An interval that stands alone may
// have had a new estimate of the daemon's in it, which is no rate and must not be carried on; two that agree are a slew.
func (s *State) follow(last *State) {
	if last == nil || !s.Corrected || !last.Corrected {
		return
	}
	passed := s.At.Sub(last.At)
	switch {
	case passed == 0: // the same reading
		s.Rate, s.Steady, s.change, s.seen = last.Rate, last.Steady, last.change, last.seen
		return
	case passed < 0 || passed > 3*readEvery:
		return
	}
	told := s.At.Round(0).Add(s.Correction).Sub(last.At.Round(0).Add(last.Correction))
	s.change = float64(told-passed) / float64(passed)
	s.seen = math.Abs(s.change) <= maxRate
	if s.seen && last.seen && math.Abs(s.change-last.change) <= agree+math.Abs(s.change)/4 {
		s.Rate, s.Steady = s.change, true
	}
}

// agree is by how much two rates may differ and be one: less in a second than what anybody sees.
const agree = 10e-6
