package keyring

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/durable"
)

const (
	// lookEvery is how often the ring compares its clocks, and tries again what failed.
	lookEvery = time.Minute
	// maxDrift is how far the wall clock may be off what has passed, before the announced ends follow it.
	maxDrift = time.Second
)

var (
	// ErrUnsynchronised tells that nothing rotates, since nobody knows what time it is.
	ErrUnsynchronised = errors.New("keyring: the clock is not synchronised")
	// ErrUnpublished tells that a reader may not know the next key yet.
	ErrUnpublished = errors.New("keyring: the next key is not published long enough")
	// ErrFollowed tells that the neighbour owns the keys and rotates them itself.
	ErrFollowed = errors.New("keyring: the neighbour rotates these keys")
)

// Clock tells whether the system's clock can be believed.
type Clock interface{ Synchronised() bool }

type writer func(path string, data []byte, mode fs.FileMode) error

// Ring owns the record of its keys, rotates them and saves them, or follows the neighbour who does.
type Ring struct {
	name    string
	log     *slog.Logger
	clock   Clock
	reader  Neighbour // nil: nobody can be asked
	now     func() (wall time.Time, running time.Duration)
	save    writer // of the record
	replace writer // of the neighbour's file
	metrics *metrics
	seal    *seal // of the record; nil: none. Set by open, then belongs to mu

	set    atomic.Pointer[KeySet] // nil: a neighbour that owns the keys has not told them yet
	policy atomic.Pointer[policy]
	wake   chan struct{} // there is something new to look at
	seen   sight         // of the neighbour's file; belongs to open, then to Run

	mu       sync.Mutex // held over writes to disk; guards all below, and who stores to set
	at       time.Time  // the time of the ring: see advance
	looked   bool       // running is set: this process has seen a synchronised clock, or made the keys
	running  time.Duration
	dirty    bool // the record is older than the set, in all but keys
	frozen   bool // no file is written: see Rings.Freeze
	unlisted bool // the list of revoked keys could not be written
	states   states
	proof    proof
}

// newRing makes a ring that open fills, on the real disk and clocks.
func newRing(name string, clock Clock) *Ring {
	began := time.Now()
	return &Ring{name: name, clock: clock, save: durable.WriteFile, replace: durable.ReplaceFile,
		now: func() (time.Time, time.Duration) {
			// Whole milliseconds are for the eyes: these times stand in the record.
			return time.Now().Round(0).Truncate(time.Millisecond), time.Since(began).Truncate(time.Millisecond)
		}}
}

// open loads the ring from its record, or makes it: from the neighbour's keys if there are any, else from random ones.
// No file that it does not take is changed; its error says what to do.
func (r *Ring) open(cfg *config.Config, log *slog.Logger) error {
	r.log, r.metrics, r.wake = log.With("section", section(r.name)), newMetrics(r.name), make(chan struct{}, 1)
	p, err := newPolicy(cfg, r.name)
	if err != nil {
		return err
	}
	r.policy.Store(&p)
	if err := r.openRecord(p); err != nil {
		return err
	}
	if err := r.openRevoked(p); err != nil {
		return err
	}
	if p.follow {
		r.seen.unsettled = true
		r.poll()
	} else {
		r.mend()
	}
	r.observe()
	return nil
}

// openRecord takes the set from the record, if there is one and it is of the owner that we have now.
func (r *Ring) openRecord(p policy) error {
	if err := r.readSeal(p); err != nil {
		return err
	}
	rec, err := loadRecord(p.file, r.seal)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.at, r.running = r.now()
		r.looked = true
		return r.create(p, nil)
	case err != nil:
		return p.errorf("file", "%w", err)
	}
	r.at = rec.saved
	if err := p.admits(rec.set, r.at); err != nil {
		return err
	}
	if rec.set.followed && !p.follow {
		return r.create(p, rec.set)
	}
	if err := r.reseal(p, rec); err != nil {
		return err
	}
	r.set.Store(rec.set)
	return nil
}

// create makes the first keys of ours and their record; known are those that a neighbour owned until now, or nil. Where a
// neighbour owns them they come from its file, whenever that appears.
func (r *Ring) create(p policy, known *KeySet) error {
	if p.neighbour != nil && !p.follow { // keys that nobody reads would keep us from adopting others
		if err := p.neighbour.checkFolder(); err != nil {
			return err
		}
	}
	err := durable.MakeFolder(filepath.Dir(p.file), 0o700)
	if err != nil {
		return p.errorf("file", "%w", err)
	}
	if p.follow {
		return nil
	}
	set, err := firstKeySet(p, known, r.at)
	if err != nil {
		return err
	}
	if err := r.write(p, record{saved: r.at, set: set}); err != nil {
		return p.errorf("file", "new keys must be on disk before they are used: %w", err)
	}
	r.set.Store(set)
	r.log.Info("cookie keys made", "file", p.file, "current", set.current().fingerprint(), "next", set.next().fingerprint())
	return nil
}

func firstKeySet(p policy, known *KeySet, at time.Time) (*KeySet, error) {
	var h *held
	var from string
	if p.neighbour != nil {
		from = p.neighbour.path
		var err error
		if _, h, err = p.neighbour.read(); err != nil {
			return nil, err
		}
	}
	switch {
	case h == nil && known == nil:
		return newKeySet(p, at)
	case h == nil:
		h, from = &held{keys: known.keys, primary: known.primary}, p.file
	}
	set, err := adopt(p, h, known, at)
	if err != nil {
		return nil, fmt.Errorf("the neighbour's keys in %s cannot be adopted: %w", from, err)
	}
	return set, nil
}

// KeySet is the set to use for one request; nil while a neighbour that owns the keys has not told them. It holds no lock.
func (r *Ring) KeySet() *KeySet { return r.set.Load() }

// Run rotates when it is time, or follows the neighbour's file, until ctx is done.
func (r *Ring) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var polls <-chan time.Time
	if r.policy.Load().follow {
		t := time.NewTicker(pollEvery)
		defer t.Stop()
		polls = t.C
	}
	for {
		select {
		case <-ctx.Done():
			r.finish()
			return
		case <-polls:
			r.poll()
			continue
		case <-r.wake:
		case <-timer.C:
		}
		timer.Reset(r.tend(ctx))
	}
}

// tend looks, and asks the neighbour if need be.
func (r *Ring) tend(ctx context.Context) time.Duration {
	again := r.look()
	if q, _ := r.toAsk(false); q != nil {
		r.ask(ctx, q)
		again = r.look()
	}
	_, wait := r.toAsk(false)
	return min(again, wait)
}

func (r *Ring) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dirty && !r.frozen {
		_ = r.record(r.set.Load()) // it has been logged
	}
}

// rouse lets Run look now.
func (r *Ring) rouse() {
	select {
	case r.wake <- struct{}{}:
	default: // it is about to look anyway
	}
}
