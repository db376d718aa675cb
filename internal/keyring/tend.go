package keyring

import (
	"errors"
	"log/slog"
	"time"
)

// look brings the ring up to now, by at most one step, and tells when to look again.
func (r *Ring) look() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.observe()
	p := r.policy.Load()
	again := min(lookEvery, p.interval)
	if p.follow {
		r.lookAfter()
		return again
	}
	if r.frozen {
		return again
	}
	defer r.tendRevoked()
	var held error
	if !r.clock.Synchronised() {
		held = errHeld
	}
	r.states.held.set(r.log, slog.LevelInfo, held, "cookie keys neither rotate nor expire until the clock is synchronised")
	if held != nil {
		r.mend() // its reader wants our keys, whatever the time
		return again
	}
	r.advance()
	r.adjust()
	full := r.makeRoom()
	r.mend()
	set := r.publish()
	if set.due(r.at) && r.knows(p) {
		if err := r.rotate(); errors.Is(err, ErrPromised) { // others are counted, and logged when they began
			full = err
		}
	} else if r.dirty {
		_ = r.record(set)
	}
	r.states.full.set(r.log, slog.LevelWarn, full, "the cookie keys cannot rotate yet")
	if wait := r.set.Load().next().mintFrom.Sub(r.at); wait > 0 {
		again = min(again, wait)
	}
	return again
}

// advance moves the time of the ring by what has passed since the last look at a synchronised clock: the running time of
// this process or, at its first look, the difference to the record. Never back, and by no more than one interval, after
// which at most one step is due. If the wall clock then says something else it was set, or the daemon was off: the
// announced ends follow it, so that what remains of each is the same length of time as before.
func (r *Ring) advance() {
	set := r.set.Load()
	wall, running := r.now()
	passed := wall.Sub(r.at)
	if r.looked {
		passed = running - r.running
	}
	r.at = r.at.Add(min(max(passed, 0), set.interval))
	r.looked, r.running = true, running
	if drift := wall.Sub(r.at); drift.Abs() >= maxDrift {
		r.set.Store(set.shift(drift))
		r.at, r.dirty = wall, true
	}
}

// adjust takes over the policy of a reload.
func (r *Ring) adjust() *KeySet {
	set := r.set.Load()
	if n := set.adjust(*r.policy.Load()); n != set {
		r.set.Store(n)
		r.dirty = true
	}
	return r.set.Load()
}

// rotate makes one step: on disk, then in use, then in the neighbour's file.
func (r *Ring) rotate() error {
	p, set := r.policy.Load(), r.set.Load()
	fresh, err := set.freshKey(p.alg, r.at)
	if err != nil {
		return err // the policy has checked: cannot be
	}
	n, err := set.step(r.at, fresh, p.neighbour == nil)
	if err != nil {
		r.metrics.refused.Inc()
		return err
	}
	if err := r.record(n); err != nil {
		r.metrics.failed.Inc()
		return err
	}
	r.set.Store(n)
	r.unprove()
	r.metrics.rotated.Inc()
	r.log.Info("cookie keys rotated", "current", n.current().fingerprint(), "next", n.next().fingerprint(), "keys", len(n.keys))
	if !n.published {
		r.mend()
		r.publish()
	}
	return nil
}

// record writes the set to disk. If that fails the old record stands or, when only the sync of the folder failed, the
// new one may: so the next look writes again.
func (r *Ring) record(set *KeySet) error {
	if r.frozen { // a followed set alone comes here
		r.dirty = true
		return ErrFrozen
	}
	p := r.policy.Load()
	err := r.write(*p, record{saved: r.at, set: set})
	r.dirty = err != nil
	r.states.saving.set(r.log, slog.LevelError, err, "the key record cannot be saved: the old keys go on", "file", p.file)
	return err
}
