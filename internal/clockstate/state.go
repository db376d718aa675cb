// Package clockstate knows how good the local clock is: synchronised or not, leap second, stratum and error bounds, read
// from whatever disciplines it (RFC 5905 sections 7.3 and 11.1 say what they mean). It never sets the clock, and leaves
// what to do about a bad one to those who ask.
package clockstate

import (
	"math"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// phi is how much a clock may drift unseen: 15 ppm, RFC 5905 section 7.2.
const phi = 15e-6

// State is what is known of the local clock at one moment. An immutable value.
type State struct {
	Source         string // who said so: kernel, fixed, chrony, ntpd, ntpsec; empty if nobody has
	Synchronised   bool
	Leap           ntp.Leap // none, insert, delete; LeapUnknown when not Synchronised
	Stratum        uint8
	ReferenceID    ntp.ReferenceID
	RootDelay      time.Duration
	RootDispersion time.Duration // at At; grows by 15 ppm from there
	ReferenceTime  time.Time     // the last update of the clock
	Precision      int8          // log2 seconds
	At             time.Time     // when this was read; has a monotonic reading

	// Corrected tells that the daemon next door corrects what it reads from the system's clock before it tells the time,
	// by Correction at At, as chronyd does while it slews. Time does the same.
	Corrected  bool
	Correction time.Duration
	// Rate is how fast that correction changes, as a fraction, beside what steps of the system's clock do to it: known, that
	// is Steady, when two intervals between readings agree.
	Rate   float64
	Steady bool
	change float64 // in the last interval
	seen   bool    // there was one

	// Told is the whole answer of the daemon next door; nil if none was asked.
	Told *api.Tracking
}

// What is carried on, and how far.
const (
	// maxRate is how fast a correction may change: chronyd slews by 1/12 at most unless it is told otherwise.
	maxRate = 0.1
	// carried is how long a rate that was known is taken to last.
	carried = 2 * readEvery
	// maxStep is how much the system's clock may be set between two readings without making us doubt: a leap second.
	maxStep = 1500 * time.Millisecond
)

// Time is what the daemon that keeps the clock would call this moment. now comes from time.Now just now: that a correction
// turns into a step of the system's clock meanwhile changes nothing, since it is elapsed time that counts. But in the leap
// second the step is the kernel's, and the daemon follows it.
func (s *State) Time(now time.Time) time.Time {
	switch {
	case !s.Corrected:
		return now
	case s.Leap != ntp.LeapNone && utcDay(now) != utcDay(s.At):
		return now.Add(s.Correction)
	}
	elapsed := now.Sub(s.At)
	return s.At.Round(0).Add(s.Correction + elapsed + time.Duration(s.Rate*float64(min(elapsed, carried))))
}

// SynchronisedAt tells whether the clock may be believed now. One that was set by more than a leap second since it was read,
// or stood still in a suspended machine, may not, until it has been read again.
func (s *State) SynchronisedAt(now time.Time) bool {
	return s.Synchronised && (now.Round(0).Sub(s.At.Round(0))-now.Sub(s.At)).Abs() <= maxStep
}

// Fill writes leap, stratum, precision, refid, root delay, root dispersion (aged to now) and reference time to h.
// Not synchronised: leap 3, stratum 0, refid 0.
func (s *State) Fill(h *ntp.Header, now time.Time) {
	h.Precision = s.Precision
	h.RootDelay = min(ntp.ShortOf(s.RootDelay), ntp.MaxRootDelay)
	h.RootDispersion = ntp.ShortOf(s.RootDispersionAt(now))
	h.ReferenceTime = 0
	if !s.ReferenceTime.IsZero() {
		h.ReferenceTime = ntp.TimestampOf(earlier(s.ReferenceTime, s.Time(now)))
	}
	if !s.SynchronisedAt(now) {
		h.Leap, h.Stratum, h.ReferenceID = ntp.LeapUnknown, 0, ntp.ReferenceID{}
		return
	}
	h.Leap, h.Stratum, h.ReferenceID = s.leapAt(now), s.Stratum, s.ReferenceID
}

// RootDispersionAt is the root dispersion aged to now: by 15 ppm, and by all that a correction that changes may have done
// otherwise meanwhile. A clock that was set back ages nothing.
func (s *State) RootDispersionAt(now time.Time) time.Duration {
	elapsed := max(now.Sub(s.At), 0)
	aged := s.RootDispersion + time.Duration((phi+math.Abs(s.Rate))*float64(elapsed))
	if s.Corrected && (!s.Steady || elapsed > carried) { // a slew takes no more away than what there is to correct
		aged += min(s.Correction.Abs(), time.Duration(maxRate*float64(elapsed)))
	}
	return aged
}

// leapAt drops the announcement at midnight UTC, when the leap second is over, even before the next reading says so.
func (s *State) leapAt(now time.Time) ntp.Leap {
	if s.Synchronised && s.Leap != ntp.LeapNone && utcDay(s.Time(now)) != utcDay(s.Time(s.At)) {
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
