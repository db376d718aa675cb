package clockstate

import (
	"context"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
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

// Door leads to the time daemon next door. Safe for concurrent use.
type Door interface {
	// Name is empty while there is none.
	Name() string
	Tracking(ctx context.Context) (api.Tracking, error)
}

// Clock keeps the newest State. It is a daemon.Service, a daemon.Reloader and a prometheus.Collector.
type Clock struct {
	log       *slog.Logger
	metrics   metrics
	precision int8
	door      Door // nil: there can be none
	state     atomic.Pointer[State]
	source    atomic.Pointer[Source]
	failures  atomic.Uint64
	other     atomic.Bool            // the newest state is that of another source
	section   config.Clock           // of whoever reloads
	failure   atomic.Pointer[string] // why the newest reading failed; nil if it did not
}

// New reads once before it returns. A clock that cannot be read is unsynchronised, not an error.
func New(cfg *config.Config, door Door, log *slog.Logger) (*Clock, error) {
	source, err := newSource(&cfg.Clock, door)
	if err != nil {
		return nil, err
	}
	c := newClock(source, log)
	c.door, c.section = door, cfg.Clock
	return c, nil
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
func (c *Clock) Synchronised() bool { return c.State().SynchronisedAt(time.Now()) }

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

// Prepare makes the new source; every key of the section may change while running. What the old source said counts until the
// new one is read, and no longer: that may be one whom the operator does not trust any more.
func (c *Clock) Prepare(cfg *config.Config) (commit func(), err error) {
	if cfg.Clock == c.section {
		return func() {}, nil
	}
	source, err := newSource(&cfg.Clock, c.door)
	if err != nil {
		return nil, err
	}
	return func() {
		c.section = cfg.Clock
		c.use(source)
		c.other.Store(true)
	}, nil
}

// refresh takes one reading and tells the operator what changed.
func (c *Clock) refresh(ctx context.Context) {
	reading, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	now, last := time.Now(), c.state.Load()
	if c.other.Swap(false) {
		last = nil
	}
	next, err := (*c.source.Load()).Read(reading, now)
	if err != nil && ctx.Err() != nil {
		return // that we end says nothing of the clock
	}
	c.noteFailure(err)
	switch {
	case err == nil:
		if next.At.IsZero() {
			next.At = now
		}
		next.follow(last)
	case last != nil && now.Sub(last.At) < staleAfter:
		return
	case last != nil: // too old: how old, shall be seen
		next = State{Source: last.Source, Leap: ntp.LeapUnknown, At: last.At, ReferenceTime: last.ReferenceTime}
	default:
		next = State{Leap: ntp.LeapUnknown, At: now}
	}
	next.Precision = c.precision
	c.noteChange(c.state.Swap(&next), &next)
}

func (c *Clock) noteFailure(err error) {
	was := c.failure.Load()
	if err == nil {
		if was != nil {
			c.log.Info("clock can be read again")
		}
		c.failure.Store(nil)
		return
	}
	c.failures.Add(1)
	if was == nil {
		c.log.Warn("clock cannot be read: what was read last counts on for a while, and ages", "error", err, "while", staleAfter)
	}
	c.failure.Store(new(err.Error()))
}

func (c *Clock) noteChange(last, next *State) {
	switch {
	case next.Synchronised && (last == nil || !last.Synchronised):
		c.log.Info("clock is synchronised", "stratum", next.Stratum, "root_dispersion", next.RootDispersion.String())
	case !next.Synchronised && (last == nil || last.Synchronised):
		c.log.Warn("clock is not synchronised: time clients are told so", "reason", c.why(next))
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
