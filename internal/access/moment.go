package access

import (
	"crypto/x509"
	"time"
)

// Clock tells the time by which to judge what begins and ends, and whether it is surely right. Safe for concurrent use.
type Clock interface {
	Judge() (now time.Time, sure bool)
}

// moment is when something is judged. While the clock is not synchronised it may be far too early, as on a board that starts in
// 1970, but is never before the last time that was known to be good. So what has ended then has ended, and whether something
// has begun already is not asked: whoever holds it was given it, and may be on his way to set the clock right.
type moment struct {
	now  time.Time
	sure bool
}

// UseClock has what ends judged by a clock that knows when it may be wrong, not by the system's alone. Before the first log-in.
func (a *Access) UseClock(c Clock) { a.clock = c }

func (a *Access) moment() moment {
	if a.clock == nil {
		return moment{time.Now(), true}
	}
	now, sure := a.clock.Judge()
	return moment{now, sure}
}

// outside tells whether a certificate is not good now.
func (m moment) outside(c *x509.Certificate) bool {
	return m.sure && m.now.Before(c.NotBefore) || m.now.After(c.NotAfter)
}

// within is the moment for a chain: where the clock is not sure, the first one at which all of it has begun.
func (m moment) within(chain []*x509.Certificate) time.Time {
	at := m.now
	for _, c := range chain {
		if !m.sure && c.NotBefore.After(at) {
			at = c.NotBefore
		}
	}
	return at
}
