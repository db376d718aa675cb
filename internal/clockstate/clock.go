package clockstate

import (
	"context"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

const (
	readEvery = time.Second
	// readTimeout bounds one reading, so that a neighbour that hangs only lets the state age.
	readTimeout = 2 * time.Second
	// staleAfter is how long the last good reading counts when readings fail; it ages meanwhile.
	staleAfter = 30 * time.Second
)

// Clock keeps the newest State. It is a daemon.Service, a daemon.Reloader and a prometheus.Collector.
type Clock struct {
	log       *slog.Logger
	metrics   metrics
	precision int8
	state     atomic.Pointer[State]
	source    atomic.Pointer[Source]
	failures  atomic.Uint64

	failing bool // of the goroutine that reads
}

// New reads once before it returns. A clock that cannot be read is unsynchronised, not an error.
func New(cfg *config.Config, log *slog.Logger) (*Clock, error) {
	source, err := newSource(&cfg.Clock)
	if err != nil {
		return nil, err
	}
	return newClock(source, log), nil
}

func newClock(source Source, log *slog.Logger) *Clock {
	c := &Clock{log: log.With("section", "clock"), metrics: newMetrics(), precision: measurePrecision(time.Now)}
	c.use(source)
	c.refresh(context.Background())
	return c
}

// use makes source the one to read from now on.
func (c *Clock) use(source Source) {
	if f, ok := source.(fixed); ok {
		c.log.Warn("clock.source = fixed: clients are told that this clock is synchronised, whatever it shows", "stratum", f.stratum)
	}
	c.source.Store(&source)
}

// State is the newest snapshot, never nil.
func (c *Clock) State() *State { return c.state.Load() }

// Synchronised tells whether the clock may be believed.
func (c *Clock) Synchronised() bool { return c.State().Synchronised }

// Run reads the clock once a second until ctx is done.
func (c *Clock) Run(ctx context.Context) error {
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.refresh(ctx)
		}
	}
}

// Prepare makes the new source; every key of the section may change while running.
func (c *Clock) Prepare(cfg *config.Config) (commit func(), err error) {
	source, err := newSource(&cfg.Clock)
	if err != nil {
		return nil, err
	}
	return func() { c.use(source) }, nil
}

// refresh takes one reading and tells the operator what changed.
func (c *Clock) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	now := time.Now()
	next, err := (*c.source.Load()).Read(ctx, now)
	c.noteFailure(err)
	last := c.state.Load()
	switch {
	case err == nil:
		next.At = now
	case last != nil && now.Sub(last.At) < staleAfter:
		return
	default:
		next = State{Leap: ntp.LeapUnknown, At: now}
	}
	next.Precision = c.precision
	c.state.Store(&next)
	c.noteChange(last, &next)
}

func (c *Clock) noteFailure(err error) {
	if err != nil {
		c.failures.Add(1)
		if !c.failing {
			c.log.Warn("clock cannot be read", "error", err)
		}
	} else if c.failing {
		c.log.Info("clock can be read again")
	}
	c.failing = err != nil
}

func (c *Clock) noteChange(last, next *State) {
	switch {
	case next.Synchronised && (last == nil || !last.Synchronised):
		c.log.Info("clock is synchronised", "stratum", next.Stratum, "root_dispersion", next.RootDispersion.String())
	case !next.Synchronised && (last == nil || last.Synchronised):
		c.log.Warn("clock is not synchronised: time clients are told so")
	}
	if next.Synchronised && next.Leap != ntp.LeapNone && (last == nil || last.Leap != next.Leap) {
		c.log.Info("leap second announced for the end of the UTC day", "insert", next.Leap == ntp.LeapInsert)
	}
}

// measurePrecision is the smallest step seen between two readings of the clock as a power of two, RFC 5905 section 7.3.
func measurePrecision(now func() time.Time) int8 {
	const readings = 1000
	smallest, last := time.Second, now()
	for range readings {
		t := now()
		if step := t.Sub(last); step > 0 {
			smallest = min(smallest, step)
		}
		last = t
	}
	return int8(math.Ceil(math.Log2(smallest.Seconds())))
}
