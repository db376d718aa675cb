package clockstate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ntptsd/ntptsd/internal/durable"
)

const (
	lastGoodFile = "last-good-time"
	// maxLastGood is longer than any time in RFC 3339.
	maxLastGood = 64

	lookEvery = time.Minute
	saveEvery = time.Hour
	// believeAfter is how long a clock that is not where it was expected must be synchronised, without a step, to be
	// believed. One jump into the future, which some time daemons take for good, moves nothing.
	believeAfter = time.Hour
	// slack is how far a clock may be from where the last good time and what elapsed since expect it, and looseness what it
	// may drift beside that: the fastest that adjtime slews.
	slack     = 2 * time.Second
	looseness = 500e-6
)

// LastGood is the last time that is known to be good, over restarts: a bound below which the clock is surely wrong. It lets
// what ends be judged by a clock that is not synchronised, as on a board that starts in 1970. A daemon.Service and a
// prometheus.Collector. Safe for concurrent use.
type LastGood struct {
	path  string
	clock interface{ Synchronised() bool }
	write func(path string, data []byte, mode fs.FileMode) error
	log   *slog.Logger
	now   func() moment

	mu     sync.Mutex    // guards what follows
	good   time.Time     // zero: nothing is known
	mark   time.Duration // when that was
	last   *moment       // the look before this one; nil: it was not synchronised
	steady time.Duration // since when it is synchronised without a step
	saved  time.Duration // when the file was written; negative: not yet
	bad    bool          // it could not be
	frozen bool          // a newer process takes over, and writes it
}

// Freeze and Thaw implement daemon.Handover.
func (g *LastGood) Freeze(context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.frozen = true
	return nil
}

// Thaw ends that.
func (g *LastGood) Thaw() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.frozen = false
}

// moment is what both clocks show: the one that can be set, and the one that cannot.
type moment struct {
	wall    time.Time
	elapsed time.Duration
}

func sinceStart() func() moment {
	began := time.Now()
	return func() moment {
		now := time.Now()
		return moment{now.Round(0), now.Sub(began)}
	}
}

// OpenLastGood reads the file in a folder. built is when this program was made: it is never earlier than that. A file that
// cannot be read is as good as none, since it is only a bound.
func OpenLastGood(folder string, built time.Time, clock interface{ Synchronised() bool }, log *slog.Logger) *LastGood {
	g := &LastGood{path: filepath.Join(folder, lastGoodFile), clock: clock, write: durable.WriteFile, log: log.With("section", "clock"),
		now: sinceStart(), saved: -1}
	t, err := readLastGood(g.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		g.log.Warn("the last good time is not known", "error", err)
	}
	if g.good = t; built.After(t) {
		g.good = built.UTC()
	}
	return g
}

func readLastGood(path string) (t time.Time, err error) {
	info, err := os.Stat(path)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxLastGood) {
		err = fmt.Errorf("%s: must be a file of at most %d octets; remove it", path, maxLastGood)
	}
	if err != nil {
		return t, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return t, err
	}
	return parseLastGood(b)
}

func parseLastGood(b []byte) (t time.Time, err error) {
	if t, err = time.Parse(time.RFC3339, strings.TrimSpace(string(b))); err != nil {
		return time.Time{}, fmt.Errorf("%s: %w; remove it", lastGoodFile, err)
	}
	return t.UTC(), nil
}

// Judge is the time by which to judge what begins and ends, and whether it is surely right: as long as the clock is not
// synchronised it is at least the last good time and what elapsed since, and may be far too early.
func (g *LastGood) Judge() (t time.Time, sure bool) {
	now := g.now()
	if g.clock.Synchronised() {
		return now.wall, true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if expected := g.expected(now); !g.good.IsZero() && expected.After(now.wall) {
		return expected, false
	}
	return now.wall, false
}

// expected is what the clock should show. The lock is held.
func (g *LastGood) expected(now moment) time.Time { return g.good.Add(now.elapsed - g.mark) }

// Run keeps the time until ctx is done, and writes it once more then.
func (g *LastGood) Run(ctx context.Context) error {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			g.look(true)
			return nil
		case <-t.C:
			g.look(false)
		}
	}
}

// look takes the clock's time for good, if it is where it should be, or has been steady for long enough.
func (g *LastGood) look(save bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.clock.Synchronised() {
		g.last = nil
		return
	}
	now := g.now()
	if g.last == nil || stepped(*g.last, now) {
		g.steady = now.elapsed
	}
	g.last = &now
	off := now.wall.Sub(g.expected(now)).Abs()
	known := !g.good.IsZero() && off <= slack+time.Duration(looseness*float64(now.elapsed-g.mark))
	if !known && now.elapsed-g.steady < believeAfter {
		return
	}
	g.good, g.mark = now.wall, now.elapsed
	if g.frozen {
		return
	}
	if save || g.saved < 0 || now.elapsed-g.saved >= saveEvery {
		g.save(now)
	}
}

// stepped tells whether the wall clock was set between two looks.
func stepped(last, now moment) bool {
	elapsed := now.elapsed - last.elapsed
	return (now.wall.Sub(last.wall) - elapsed).Abs() > slack+time.Duration(looseness*float64(elapsed))
}

// save writes the file. The lock is held.
func (g *LastGood) save(now moment) {
	err := g.write(g.path, []byte(g.good.UTC().Format(time.RFC3339)+"\n"), 0o600)
	if err != nil && !g.bad {
		g.log.Warn("the last good time cannot be written, and is tried again", "error", err)
	}
	if g.bad = err != nil; !g.bad {
		g.saved = now.elapsed
	}
}

var lastGoodDesc = prometheus.NewDesc("ntptsd_clock_last_good_seconds", "The last time that is known to be good, in seconds since 1970; 0: none is.", nil, nil)

// Describe implements prometheus.Collector.
func (g *LastGood) Describe(out chan<- *prometheus.Desc) { out <- lastGoodDesc }

// Collect implements prometheus.Collector.
func (g *LastGood) Collect(out chan<- prometheus.Metric) {
	g.mu.Lock()
	defer g.mu.Unlock()
	seconds := 0.0
	if !g.good.IsZero() {
		seconds = float64(g.good.Unix())
	}
	out <- prometheus.MustNewConstMetric(lastGoodDesc, prometheus.GaugeValue, seconds)
}
