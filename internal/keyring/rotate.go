package keyring

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// How many keys a ring may hold. chronyd has four slots, all of which its file must fill. ntpd reads ten keys; a full file
// that is adopted makes eleven with our next one, which then waits outside the file. The last bounds what forced rotations
// can pile up, and the search in Open.
const (
	chronyKeys     = 4
	ntpsecFileKeys = 10
	nativeMaxKeys  = 128
)

// ErrPromised tells that a step would end a key before its announced end.
var ErrPromised = errors.New("keyring: all keys are still promised")

func maxKeys(d cookie.Dialect) int {
	switch d {
	case cookie.Chrony:
		return chronyKeys
	case cookie.NTPsec:
		return ntpsecFileKeys + 1
	}
	return nativeMaxKeys
}

// fileKeys is how many of them a neighbour reads. A step leaves no more.
func fileKeys(d cookie.Dialect) int {
	if d == cookie.NTPsec {
		return ntpsecFileKeys
	}
	return maxKeys(d)
}

// fits tells whether a neighbour's file has room for all keys.
func (s *KeySet) fits() bool { return len(s.keys) <= fileKeys(s.dialect) }

// newest is the newest key in the neighbour's file: who knows it has read the file of now.
func (s *KeySet) newest() *key {
	if s.fits() {
		return s.next()
	}
	return s.current()
}

// promises is why a set that does not fit must not lose its oldest key.
func (s *KeySet) promises() error {
	return fmt.Errorf("%w: dialect %v has room for %d keys, and cookies under %v are promised until %s",
		ErrPromised, s.dialect, fileKeys(s.dialect), s.keys[0], s.keys[0].acceptUntil.Format(time.RFC3339))
}

// newKeySet makes the first set of a ring: a current and a next key, and for chrony two old ones that never mint.
func newKeySet(p policy, at time.Time) (*KeySet, error) {
	s := &KeySet{dialect: p.dialect, interval: p.interval, keep: p.keep, published: p.neighbour == nil}
	n := 2
	if p.dialect == cookie.Chrony {
		n = chronyKeys
	}
	for range n {
		k, err := s.freshKey(p.alg, at)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, k)
	}
	s.begin(at)
	return s, nil
}

// begin lets the current key mint from at on and promises its life; older keys are left alone.
func (s *KeySet) begin(at time.Time) {
	current, next := s.current(), s.next()
	current.mintFrom, current.acceptUntil = at, at.Add(s.life())
	next.mintFrom, next.acceptUntil = at.Add(s.interval), at.Add(s.interval+s.life())
}

// life is the time from a key's first cookie to its end, when it mints for one interval.
func (s *KeySet) life() time.Duration { return s.interval * time.Duration(s.keep+1) }

// freshKey makes a random key with an id that fits after the keys of s.
func (s *KeySet) freshKey(alg aead.ID, at time.Time) (key, error) {
	slot := rand32()
	if len(s.keys) > 0 {
		slot = s.next().id + 1 // chronyd: one line after the other
	}
	return s.freshKeyIn(slot, alg, at)
}

// freshKeyIn makes one for a slot of chronyd's, id mod 4; others have none.
func (s *KeySet) freshKeyIn(slot uint32, alg aead.ID, at time.Time) (key, error) {
	k := key{id: s.freshID(slot), alg: alg, secret: newSecret(alg), created: at, mintFrom: at, acceptUntil: at}
	return k.sealing(s.dialect)
}

func (s *KeySet) freshID(slot uint32) uint32 {
	for {
		id := rand32()
		if s.dialect == cookie.Chrony {
			id = id&^3 | slot&3
		}
		if !slices.ContainsFunc(s.keys, func(k key) bool { return k.id == id }) && s.revocation(id) == nil {
			return id
		}
	}
}

func rand32() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint32(b[:])
}

// sealing is k ready for use in a set of that dialect.
func (k key) sealing(d cookie.Dialect) (key, error) {
	var err error
	k.sealer, err = cookie.NewKey(d, k.id, k.alg, k.secret.bytes())
	return k, err
}

// due tells whether the next key may mint.
func (s *KeySet) due(at time.Time) bool { return s.published && !at.Before(s.next().mintFrom) }

// step is one rotation: the next key mints, the fresh one is next, and of the old keys beyond keep those are dropped
// whose announced end has come. ErrPromised if the rest does not fit. The new set is published by whoever publishes it.
func (s *KeySet) step(at time.Time, fresh key, published bool) (*KeySet, error) {
	n := *s
	n.published = published
	n.keys = append(slices.Clone(s.keys), fresh)
	retired := &n.keys[len(n.keys)-3]
	retired.acceptUntil = later(retired.acceptUntil, at.Add(s.interval*time.Duration(s.keep)))
	n.begin(at)
	n.dropEnded(at)
	if !n.fits() {
		return nil, n.promises()
	}
	return &n, nil
}

// dropEnded drops old keys beyond keep whose end has come, the oldest first. After a long interval became a short one, a
// younger key can end first; chrony's lines must stay in sequence, so there only the oldest can go.
func (s *KeySet) dropEnded(at time.Time) {
	for len(s.old()) > s.keep {
		i := slices.IndexFunc(s.old(), func(k key) bool { return !k.acceptUntil.After(at) })
		if i < 0 || i > 0 && s.dialect == cookie.Chrony {
			return
		}
		s.keys = slices.Delete(s.keys, i, i+1)
	}
}

// shift moves all ends by d, for a wall clock that was set by d: what remains of each promise stays the same.
func (s *KeySet) shift(d time.Duration) *KeySet {
	n := *s
	n.keys = slices.Clone(s.keys)
	for i := range n.keys {
		n.keys[i].acceptUntil = n.keys[i].acceptUntil.Add(d)
	}
	if !s.followed {
		n.next().mintFrom = n.next().mintFrom.Add(d)
	}
	return &n
}

// publish tells that from at on every reader knows all keys, so that the next one may mint an interval later.
func (s *KeySet) publish(at time.Time) *KeySet {
	n := *s
	n.published = true
	n.keys = slices.Clone(s.keys)
	n.next().mintFrom = later(n.next().mintFrom, at.Add(s.interval))
	return &n
}

// unpublish tells that a reader may not know the next key.
func (s *KeySet) unpublish() *KeySet {
	n := *s
	n.published = false
	return &n
}

// adjust takes over a changed interval and keep. Ends that are announced stay; they only move away.
func (s *KeySet) adjust(p policy) *KeySet {
	if s.interval == p.interval && s.keep == p.keep {
		return s
	}
	n := *s
	n.interval, n.keep = p.interval, p.keep
	n.keys = slices.Clone(s.keys)
	n.next().mintFrom = n.next().mintFrom.Add(p.interval - s.interval)
	return &n
}

// promised counts the old keys whose announced end is still to come.
func (s *KeySet) promised(at time.Time) (n int, until time.Time) {
	for _, k := range s.old() {
		if k.acceptUntil.After(at) {
			n, until = n+1, later(until, k.acceptUntil)
		}
	}
	return n, until
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
