package keyring

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// A revoked key is gone: from the set in memory, from the record and from the neighbour's file. What is remembered of it is its
// id, so that those who come with its cookies are not all told at once that they must exchange keys anew (NTS NAK, RFC 8915
// section 5.7): as many a second as key exchange can bear get that answer, the others none, and they ask again. Who never gets
// it has used up its cookies after eight polls, and exchanges keys all the same. This is the one way to end a key before its
// announced end.

const (
	// maxRevoked bounds what is remembered; what ends first is forgotten first.
	maxRevoked = 64
	// DefaultNAKs are what a modest machine's key exchange does in a second beside everything else.
	DefaultNAKs = 100
	// MaxNAKs is more than any key exchange does.
	MaxNAKs = 100000
)

// Revoked is a key that was revoked, and the error of a cookie under it. Safe for concurrent use.
type Revoked struct {
	id          uint32
	fingerprint string
	at, until   time.Time // until is what was announced as its end
	naks        int       // answers a second

	start time.Time
	tat   atomic.Int64 // theoretical arrival time of the next answer, ns since start: GCRA as in package access
}

func newRevoked(id uint32, fingerprint string, at, until time.Time, naks int) *Revoked {
	return &Revoked{id: id, fingerprint: fingerprint, at: at, until: until, naks: naks, start: time.Now()}
}

func (r *Revoked) Error() string { return fmt.Sprintf("keyring: key %08x was revoked", r.id) }

// Allow tells whether one more cookie under the key may be answered by a NAK, and counts it. No lock: where it is refused,
// which is the rule in a storm, the processors do not even write.
func (r *Revoked) Allow(now time.Time) bool {
	const burst = int64(time.Second)
	interval := burst / int64(max(r.naks, 1))
	at := int64(now.Sub(r.start))
	for {
		tat := r.tat.Load()
		next := max(tat, at) + interval
		if next-at > burst {
			return false
		}
		if r.tat.CompareAndSwap(tat, next) {
			return true
		}
	}
}

func (r *Revoked) is(k *key) bool { return r.id == k.id && r.fingerprint == k.fingerprint() }

// revocation finds what is known of a revoked key by the id of its cookies.
func (s *KeySet) revocation(id uint32) *Revoked {
	for _, r := range s.revoked {
		if r.id == id {
			return r
		}
	}
	return nil
}

// owns tells whether a key is one of the set, or was until it was revoked.
func (s *KeySet) owns(k key) bool {
	return s.find(k) != nil || s != nil && s.wasRevoked(k)
}

func (s *KeySet) wasRevoked(k key) bool {
	return slices.ContainsFunc(s.revoked, func(r *Revoked) bool { return r.is(&k) })
}

// named is the place of a key by its id or its fingerprint; -1 if there is none.
func (s *KeySet) named(name string) int {
	return slices.IndexFunc(s.keys, func(k key) bool { return fmt.Sprintf("%08x", k.id) == name || k.fingerprint() == name })
}

// withRevoked remembers one more.
func (s *KeySet) withRevoked(r *Revoked) []*Revoked {
	all := append(slices.Clone(s.revoked), r)
	for len(all) > maxRevoked {
		first := slices.MinFunc(all, func(a, b *Revoked) int { return a.until.Compare(b.until) })
		all = slices.DeleteFunc(all, func(r *Revoked) bool { return r == first })
	}
	return all
}

// revoke is the set without the key at i, from at on. If that was the current one, the next one mints at once; a new next one
// is made, also if it was that. published is whether nobody else reads the keys. chronyd has four slots, all of which must be
// filled: a key that nobody knows takes the place there, and the end of the current one drives the oldest out: see evicts.
func (s *KeySet) revoke(i int, r *Revoked, alg aead.ID, at time.Time, published bool) (*KeySet, error) {
	n := *s
	n.keys, n.revoked = slices.Clone(s.keys), s.withRevoked(r)
	slot := s.keys[i].id
	switch {
	case i > s.mints():
		fresh, err := n.freshKeyIn(slot, alg, at)
		if err != nil {
			return nil, err
		}
		fresh.mintFrom, fresh.acceptUntil = at.Add(s.interval), at.Add(s.interval+s.life())
		n.keys[i], n.published = fresh, published
		return &n, nil
	case i == s.mints():
		fresh, err := n.freshKey(alg, at)
		if err != nil {
			return nil, err
		}
		n.keys, n.published = append(n.keys, fresh), published
	}
	if s.dialect == cookie.Chrony {
		filler, err := n.freshKeyIn(slot, alg, at)
		if err != nil {
			return nil, err
		}
		n.keys[i] = filler
		n.keys = n.keys[len(n.keys)-chronyKeys:]
	} else {
		n.keys = slices.Delete(n.keys, i, i+1)
	}
	if i == s.mints() {
		n.begin(at)
	}
	return &n, nil
}

// evicts are the keys that have to go with the one at i: chronyd's oldest, when the current one goes.
func (s *KeySet) evicts(i int, at time.Time) []*key {
	if s.dialect == cookie.Chrony && i == s.mints() && s.keys[0].acceptUntil.After(at) {
		return []*key{&s.keys[0]}
	}
	return nil
}

// NewTestRevoked is a set whose current key has been revoked: for tests of others.
func NewTestRevoked(s *KeySet, naks int) (*KeySet, error) {
	at := time.Now()
	k := s.current()
	return s.revoke(s.mints(), newRevoked(k.id, k.fingerprint(), at, k.acceptUntil, naks), k.alg, at, true)
}
