// Package clockstate knows how good the local clock is: synchronised or not, leap second, stratum and error bounds, read
// from whatever disciplines it (RFC 5905 sections 7.3 and 11.1 say what they mean). It never sets the clock, and leaves
// what to do about a bad one to those who ask.
package clockstate

import (
	"time"

	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// phi is how much a clock may drift unseen: 15 ppm, RFC 5905 section 7.2.
const phi = 15e-6

// State is what is known of the local clock at one moment. An immutable value.
type State struct {
	Synchronised   bool
	Leap           ntp.Leap // none, insert, delete; LeapUnknown when not Synchronised
	Stratum        uint8
	ReferenceID    ntp.ReferenceID
	RootDelay      time.Duration
	RootDispersion time.Duration // at At; grows by 15 ppm from there
	ReferenceTime  time.Time     // the last update of the clock
	Precision      int8          // log2 seconds
	At             time.Time     // when this was read; has a monotonic reading
}

// Fill writes leap, stratum, precision, refid, root delay, root dispersion (aged to now) and reference time to h.
// Not synchronised: leap 3, stratum 0, refid 0.
func (s *State) Fill(h *ntp.Header, now time.Time) {
	h.Precision = s.Precision
	h.RootDelay = min(ntp.ShortOf(s.RootDelay), ntp.MaxRootDelay)
	h.RootDispersion = ntp.ShortOf(s.RootDispersionAt(now))
	h.ReferenceTime = 0
	if !s.ReferenceTime.IsZero() {
		h.ReferenceTime = ntp.TimestampOf(earlier(s.ReferenceTime, now))
	}
	if !s.Synchronised {
		h.Leap, h.Stratum, h.ReferenceID = ntp.LeapUnknown, 0, ntp.ReferenceID{}
		return
	}
	h.Leap, h.Stratum, h.ReferenceID = s.leapAt(now), s.Stratum, s.ReferenceID
}

// RootDispersionAt is the root dispersion aged to now. A clock that was set back ages nothing.
func (s *State) RootDispersionAt(now time.Time) time.Duration {
	return s.RootDispersion + time.Duration(phi*float64(max(now.Sub(s.At), 0)))
}

// leapAt drops the announcement at midnight UTC, when the leap second is over, even before the next reading says so.
func (s *State) leapAt(now time.Time) ntp.Leap {
	if s.Synchronised && s.Leap != ntp.LeapNone && utcDay(now) != utcDay(s.At) {
		return ntp.LeapNone
	}
	return s.Leap
}

// earlier keeps the last update out of the future after a step back: clients refuse such an answer.
func earlier(t, now time.Time) time.Time {
	if t.After(now) {
		return now
	}
	return t
}

func utcDay(t time.Time) int64 { return t.Unix() / 86400 }
