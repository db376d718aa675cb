package keyring

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
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
)

// Clock tells whether the system's clock can be believed.
type Clock interface{ Synchronised() bool }

type writer func(path string, data []byte, mode fs.FileMode) error

// Ring owns the record, rotates the keys and saves them. A daemon.Service and daemon.Reloader.
type Ring struct {
	log     *slog.Logger
	clock   Clock
	now     func() (wall time.Time, running time.Duration)
	save    writer // of the record
	replace writer // of the neighbour's file
	metrics *metrics

	set    atomic.Pointer[KeySet]
	policy atomic.Pointer[policy]
	wake   chan struct{} // there is a new policy

	mu      sync.Mutex // held over writes to disk; guards all below, and who stores to set
	at      time.Time  // the time of the ring: see advance
	looked  bool       // running is set: this process has seen a synchronised clock, or made the keys
	running time.Duration
	dirty   bool // the record is older than the set, in all but keys
	states  states
}

// Open loads the ring from its record, or makes it: from the neighbour's keys if there are any, else from random ones.
// No file that it does not take is changed; its error says what to do.
func Open(cfg *config.Config, clock Clock, log *slog.Logger) (*Ring, error) {
	began := time.Now()
	r := &Ring{clock: clock, save: durable.WriteFile, replace: durable.ReplaceFile}
	r.now = func() (time.Time, time.Duration) {
		// Whole milliseconds are for the eyes: these times stand in the record.
		return time.Now().Round(0).Truncate(time.Millisecond), time.Since(began).Truncate(time.Millisecond)
	}
	if err := r.open(cfg, log); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Ring) open(cfg *config.Config, log *slog.Logger) error {
	r.log, r.metrics, r.wake = log.With("section", "keyring"), newMetrics(), make(chan struct{}, 1)
	p, err := newPolicy(cfg)
	if err != nil {
		return err
	}
	r.policy.Store(&p)
	rec, err := loadRecord(p.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = r.create(p)
	case err != nil:
		err = fmt.Errorf("keyring.file: %w", err)
	default:
		r.at = rec.saved
		r.set.Store(rec.set)
		err = p.admits(rec.set, r.at)
	}
	if err != nil {
		return err
	}
	err = r.meetNeighbour(p)
	r.observe()
	return err
}

// meetNeighbour brings its file up to the record, which the first look at a synchronised clock then calls published: a
// reader may have started with the old file, which the record must know before the file is new. A disk that fails is a
// state; a file that is not ours, or a folder that we may not write to, is the operator's to clear before we start.
func (r *Ring) meetNeighbour(p policy) error {
	if p.neighbour == nil {
		return nil
	}
	err := p.neighbour.write(r.set.Load(), func(path string, data []byte, mode fs.FileMode) error {
		r.set.Store(r.set.Load().unpublish())
		if err := r.record(r.set.Load()); err != nil {
			return err
		}
		return r.replaceNeighbour(path, data, mode)
	})
	if err != nil && !diskFails(err) {
		return err
	}
	r.states.neighbour.set(r.log, slog.LevelError, err != nil, neighbourBehind, "error", err)
	if err != nil {
		r.set.Store(r.set.Load().unpublish())
	}
	return nil
}

// replaceNeighbour writes the neighbour's file. One that we have to make can be read by nobody else yet.
func (r *Ring) replaceNeighbour(path string, data []byte, mode fs.FileMode) error {
	_, missing := os.Lstat(path)
	err := r.replace(path, data, mode)
	if err == nil && errors.Is(missing, fs.ErrNotExist) {
		r.log.Warn("made the neighbour's key file for this user alone: let the neighbour read it (chgrp to its group, chmod 640), "+
			"which stays, then let it load the keys", "file", path)
	}
	return err
}

func diskFails(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS) ||
		errors.Is(err, syscall.EIO)
}

// create makes the first keys and their record.
func (r *Ring) create(p policy) error {
	r.at, r.running = r.now()
	r.looked = true
	set, err := firstKeySet(p, r.at)
	if err != nil {
		return err
	}
	if err = durable.MakeFolder(filepath.Dir(p.file), 0o700); err == nil {
		err = r.save(p.file, record{saved: r.at, set: set}.appendTo(nil), 0o600)
	}
	if err != nil {
		return fmt.Errorf("keyring.file: new keys must be on disk before they are used: %w", err)
	}
	r.set.Store(set)
	r.log.Info("cookie keys made", "file", p.file, "current", set.current().fingerprint(), "next", set.next().fingerprint())
	return nil
}

func firstKeySet(p policy, at time.Time) (*KeySet, error) {
	if p.neighbour == nil {
		return newKeySet(p, at)
	}
	_, keys, err := p.neighbour.read()
	if err != nil {
		return nil, err
	}
	if keys == nil {
		return newKeySet(p, at)
	}
	set, err := adopt(p, keys, at)
	if err != nil {
		return nil, fmt.Errorf("the keys in %s cannot be adopted: %w", p.neighbour.path, err)
	}
	return set, nil
}

// KeySet is the set to use for one request. It holds no lock.
func (r *Ring) KeySet() *KeySet { return r.set.Load() }

// Run rotates when it is time, until ctx is done.
func (r *Ring) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			r.finish()
			return nil
		case <-r.wake:
		case <-timer.C:
		}
		timer.Reset(r.look())
	}
}

func (r *Ring) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dirty {
		_ = r.record(r.set.Load()) // it has been logged
	}
}

// Rotate rotates now. It fails rather than break a promise: ErrUnsynchronised, ErrUnpublished, ErrPromised.
func (r *Ring) Rotate() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.observe()
	if !r.clock.Synchronised() {
		return fmt.Errorf("%w: nothing rotates until it is", ErrUnsynchronised)
	}
	r.advance()
	set := r.follow()
	if r.policy.Load().neighbour != nil && !set.due(r.at) {
		return fmt.Errorf("%w: the neighbour must know it for %v, until %s; then the keys rotate by themselves",
			ErrUnpublished, set.interval, set.next().mintFrom.Format(time.RFC3339))
	}
	return r.rotate()
}
