package keyring

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// pollEvery is how often a followed file is looked at. A rename is noticed at once, what is written in place one poll later.
const pollEvery = 250 * time.Millisecond

// errMissing tells that the neighbour has not written its file.
var errMissing = errors.New("is missing or empty: the neighbour writes it when it starts, if it is told to keep its keys")

// sight is what was last seen of a followed file.
type sight struct {
	version   version
	unsettled bool // it may have changed since in a way that its version does not show, or could not be read
}

// version tells two states of a file apart. Zero: there is none.
type version struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
}

func versionOf(path string) version {
	var s unix.Stat_t
	if unix.Lstat(path, &s) != nil {
		return version{}
	}
	return version{dev: uint64(s.Dev), ino: s.Ino, size: s.Size, mtime: s.Mtim, ctime: s.Ctim}
}

// poll reads the neighbour's file if it is another one. If it was written in place (ntpd-rs) that may go on: it is read when
// it has been left alone for one poll. So is every other file once more: two writes within one tick of the file system's
// clock are one version. A file that cannot be read is tried again and again.
func (r *Ring) poll() {
	was, now := r.seen, versionOf(r.policy.Load().neighbour.path)
	changed := now != was.version
	r.seen = sight{version: now, unsettled: changed}
	switch {
	case changed && now.dev == was.version.dev && now.ino == was.version.ino: // written in place
		return
	case !changed && !was.unsettled:
		return
	}
	if r.readNeighbour() != nil {
		r.seen.unsettled = true
	}
}

// readNeighbour takes over what the file holds. A bad file, or none, changes nothing.
func (r *Ring) readNeighbour() error {
	p := r.policy.Load()
	_, h, err := p.neighbour.read()
	if err == nil && h == nil {
		err = p.errorf("neighbour-file", "%s %w", p.neighbour.path, errMissing)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.observe()
	if err == nil {
		err = r.takeOver(p, h)
	}
	r.states.neighbour.set(r.log, slog.LevelError, err, neighbourUnread)
	return err
}

// takeOver makes the set what the neighbour holds: in use, then in the record, for it is on disk already.
func (r *Ring) takeOver(p *policy, h *held) error {
	var stopped error
	if h.stopped {
		stopped = fmt.Errorf("run sed -i 's/^T: 0/T: 1/' %s and restart ntpd", p.neighbour.path)
	}
	r.states.stopped.set(r.log, slog.LevelWarn, stopped, stoppedRotation)
	known := r.set.Load()
	switch {
	case known.mirrors(h):
		return nil
	case known == nil:
		r.at, r.running = r.now()
		r.looked = true
	case r.clock.Synchronised():
		r.advance()
		known = r.set.Load()
	}
	set, err := mirror(*p, h, known, r.at)
	if err != nil {
		return p.errorf("neighbour-file", "%s cannot be taken over: it %w", p.neighbour.path, err)
	}
	r.set.Store(set)
	r.metrics.followed.Inc()
	r.log.Info("cookie keys taken over from the neighbour", "file", p.neighbour.path, "current", set.current().fingerprint(),
		"keys", len(set.keys))
	_ = r.record(set) // it has been logged, and is tried again
	return nil
}

// mirrors tells whether the set is what the neighbour holds.
func (s *KeySet) mirrors(h *held) bool {
	return s != nil && s.followed && s.primary == h.primary && slices.EqualFunc(s.keys, h.keys, key.same)
}

// lookAfter is all that time does to a followed set.
func (r *Ring) lookAfter() {
	if r.set.Load() == nil {
		return
	}
	if r.clock.Synchronised() {
		r.advance()
	}
	if r.dirty && !r.frozen {
		_ = r.record(r.set.Load()) // it has been logged
	}
}
