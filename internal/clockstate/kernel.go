package clockstate

import (
	"context"
	"time"

	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// timex is what adjtimex(2) tells of the clock, free of the system's types.
type timex struct {
	unsynchronised bool // STA_UNSYNC, or TIME_ERROR for whatever reason
	leap           ntp.Leap
	maxError       time.Duration
}

// kernel reads the clock discipline that the time daemon steers. It knows leap, error and whether synchronised.
type kernel struct {
	identity
	floor time.Duration // some daemons set the kernel's error to 0
	read  func() (timex, error)

	// Both belong to the goroutine that reads.
	lastError time.Duration
	updated   time.Time
}

func (k *kernel) Read(_ context.Context, now time.Time) (State, error) {
	t, err := k.read()
	if err != nil {
		return State{}, err
	}
	// Between two updates the kernel only ever adds to the error (500 ppm), so a smaller one is an update.
	if k.updated.IsZero() || t.maxError < k.lastError || t.maxError == 0 {
		k.updated = now
	}
	k.lastError = t.maxError
	s := State{
		Source:         "kernel",
		Synchronised:   !t.unsynchronised,
		Leap:           t.leap,
		Stratum:        k.stratum,
		ReferenceID:    k.referenceID,
		RootDispersion: max(t.maxError, k.floor),
		ReferenceTime:  k.updated,
	}
	if t.unsynchronised {
		s.Leap = ntp.LeapUnknown
	}
	return s, nil
}
