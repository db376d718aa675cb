package clockstate

import (
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Problem is why the newest reading failed; empty if it did not. Safe for concurrent use.
func (c *Clock) Problem() string {
	if p := c.failure.Load(); p != nil {
		return *p
	}
	return ""
}

// Why tells why the clock is not synchronised; empty if it is.
func (c *Clock) Why() string { return c.why(c.State()) }

func (c *Clock) why(s *State) string {
	switch p := c.Problem(); {
	case s.SynchronisedAt(time.Now()):
		return ""
	case s.Synchronised:
		return "the system's clock was set, or the machine slept, and the clock was not read since"
	case p != "":
		return "it cannot be read: " + p
	case s.Told != nil && s.Told.Smearing:
		return s.Source + " smears a leap second: beside it there must be no other time"
	}
	if s.Source == "" {
		return "it has not been read yet"
	}
	return s.Source + " says so"
}

// Tracking is what is known of the clock, as our own time clients are told it. Safe for concurrent use.
func (c *Clock) Tracking() api.Tracking {
	s, now := c.State(), time.Now()
	var t api.Tracking
	if s.Told != nil {
		t = *s.Told
	}
	t.Source = s.Source
	t.Synchronised, t.Leap = s.SynchronisedAt(now), leapWord(s, now)
	t.Stratum, t.RefID, t.ReferenceID = 0, [4]byte{}, ""
	if t.Synchronised {
		t.Stratum, t.RefID, t.ReferenceID = s.Stratum, s.ReferenceID, s.ReferenceID.Text(s.Stratum)
	}
	if t.ReferenceTime = nil; !s.ReferenceTime.IsZero() {
		t.ReferenceTime = new(s.ReferenceTime.UTC())
	}
	t.RootDelaySeconds, t.RootDispersionSeconds = s.RootDelay.Seconds(), s.RootDispersionAt(now).Seconds()
	t.ErrorBoundSeconds = t.ErrorBound()
	t.ReadAt, t.AgeSeconds = s.At.UTC(), max(now.Sub(s.At), 0).Seconds()
	return t
}

func leapWord(s *State, now time.Time) string {
	if !s.SynchronisedAt(now) {
		return api.LeapUnsynchronised
	}
	return api.LeapWord(uint8(s.leapAt(now)))
}
