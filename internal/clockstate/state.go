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
	// Rate is how fast that correction changes, as a fraction, beside what steps of the system's clock do to it.
	Rate float64

	// Told is the whole answer of the daemon next door; nil if none was asked.
	Told *api.Tracking
}

// Time is what the daemon that keeps the clock would call this moment. now comes from time.Now just now: that a correction
// turns into a step of the system's clock meanwhile changes nothing, since it is elapsed time that counts.
func (s *State) Time(now time.Time) time.Time {
	if !s.Corrected {
		return now
	}
	elapsed := now.Sub(s.At)
	return s.At.Round(0).Add(s.Correction + elapsed + time.Duration(s.Rate*float64(elapsed)))
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
	if !s.Synchronised {
		h.Leap, h.Stratum, h.ReferenceID = ntp.LeapUnknown, 0, ntp.ReferenceID{}
		return
	}
	h.Leap, h.Stratum, h.ReferenceID = s.leapAt(now), s.Stratum, s.ReferenceID
}

// RootDispersionAt is the root dispersion aged to now: by 15 ppm, and by all that a correction that changes may have done
// otherwise meanwhile. A clock that was set back ages nothing.
func (s *State) RootDispersionAt(now time.Time) time.Duration {
	return s.RootDispersion + time.Duration((phi+math.Abs(s.Rate))*float64(max(now.Sub(s.At), 0)))
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
