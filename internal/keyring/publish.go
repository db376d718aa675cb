package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// mend brings the neighbour's file up to the set: after a step, and at each look and start, for it may be gone, or an old
// one may be back. What fails is a state, and tried again. Whoever reads the file may have started without it: so the
// record calls the next key unpublished before the file is new, and that key is proved, and waits, once more.
func (r *Ring) mend() {
	p := r.policy.Load()
	if p.neighbour == nil {
		return
	}
	old, h, err := p.neighbour.read()
	if err == nil && !r.set.Load().wrote(h) {
		err = r.learn(p, h)
	}
	if err == nil {
		text := appendFormat(nil, p.neighbour.format, r.set.Load().keys)
		if !bytes.Equal(old, text) {
			err = r.replaceNeighbour(p, text)
		}
	}
	r.states.neighbour.set(r.log, slog.LevelError, err, neighbourBehind)
	if set := r.set.Load(); err != nil && set.published {
		r.set.Store(set.unpublish())
		r.dirty = true
	}
}

// learn takes in what the neighbour has made since it read our file.
func (r *Ring) learn(p *policy, h *held) error {
	set, err := r.set.Load().learn(h, r.at)
	if err != nil {
		return p.notOurs(err)
	}
	if err := r.record(set); err != nil {
		return err
	}
	r.set.Store(set)
	r.log.Warn("the neighbour has rotated the cookie keys itself: its new ones are taken in as old ones of ours", "file", p.neighbour.path)
	return nil
}

// replaceNeighbour writes the neighbour's file, which has to be asked then. A file that we have to make can be read by
// nobody else yet.
func (r *Ring) replaceNeighbour(p *policy, text []byte) error {
	if set := r.set.Load(); set.published || r.dirty {
		r.set.Store(set.unpublish())
		if err := r.record(r.set.Load()); err != nil {
			return err
		}
	}
	path := p.neighbour.path
	_, missing := os.Lstat(path)
	if err := r.replace(path, text, 0o600); err != nil {
		return p.errorf("neighbour-file", "%s: %w", path, err)
	}
	if errors.Is(missing, fs.ErrNotExist) {
		r.log.Warn("made the neighbour's key file for this user alone: let the neighbour read it (chgrp to its group, chmod 640), "+
			"which stays, then let it load the keys", "file", path)
	}
	r.unprove()
	if p.dialect == cookie.NTPsec && !r.asks(p) {
		r.log.Warn("restart ntpd when you can: it reads its key file at its start only")
	}
	return nil
}

// makeRoom drops what has ended if the neighbour's file has no room for the next key.
func (r *Ring) makeRoom() error {
	set := r.set.Load()
	if set.fits() {
		return nil
	}
	n := set.unpublish()
	n.keys = slices.Clone(set.keys)
	n.dropEnded(r.at)
	if !n.fits() {
		return n.promises()
	}
	if r.record(n) == nil { // else it has been logged, and is tried again
		r.set.Store(n)
	}
	return nil
}

// publish tells that the neighbour has the next key, if it has. Only from then on does that key's interval run; until then
// nothing rotates.
func (r *Ring) publish() *KeySet {
	p, set := r.policy.Load(), r.set.Load()
	if set.published || p.neighbour != nil && (r.states.neighbour.on() || !set.fits() || !r.knows(p)) {
		return set
	}
	set = set.publish(r.at)
	r.set.Store(set)
	_ = r.record(set) // if it fails, a crash makes us publish again, later
	return set
}

// errNotOurs tells that the neighbour's file has keys that the record does not know.
var errNotOurs = errors.New("holds keys that are not in the record, as if the neighbour rotated them itself")

// notOurs says what to do with a file of other keys, so that none of them is lost.
func (p *policy) notOurs(why error) error {
	stop := "set ntsrotate 0 in chrony.conf and restart chronyd"
	if p.dialect == cookie.NTPsec {
		stop = "stop ntpd, and start it again at the end"
	}
	return p.errorf("neighbour-file", "%s %w: it is left alone; %s, then restart ntptsd once with owner = %q, which follows the file, "+
		"and once more with owner = %q, which adopts its keys", p.neighbour.path, why, stop, ownerNeighbour, ownerNtptsd)
}

// learn is s with the keys that stand in front of ours in a file of NTPsec, which makes one a day until it is restarted and
// reads T: 0. It mints with each for a day at most, and keeps it for nine more.
func (s *KeySet) learn(h *held, at time.Time) (*KeySet, error) {
	ours := len(h.keys) - 1
	for ours >= 0 && !s.owns(h.keys[ours]) {
		ours--
	}
	if s.dialect != cookie.NTPsec || ours < 0 {
		return nil, errNotOurs
	}
	n := s.unpublish()
	n.keys = slices.Clone(s.keys)
	for _, k := range h.keys[ours+1:] {
		k.created, k.mintFrom, k.acceptUntil = at, at, at.Add(ntpsecFileKeys*max(24*time.Hour, s.interval))
		k, err := k.sealing(s.dialect)
		if err != nil {
			return nil, err
		}
		n.keys = slices.Insert(n.keys, n.mints(), k)
	}
	n.dropEnded(at)
	if err := n.check(); err != nil {
		return nil, fmt.Errorf("%w (they cannot be taken in: the set %w)", errNotOurs, err)
	}
	return n, nil
}
