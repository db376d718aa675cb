// Package keyring keeps the live cookie keys: it makes and rotates them, and a rotation never makes a cookie fail before
// its announced end, whatever the wall clock does. Who seals and opens holds a KeySet, an immutable value:
//
//	oldest ... old | current | next        each key moves one place to the left in a rotation
//	 opens    opens   mints     opens
//
// The next key is published one whole interval before it mints; beside a neighbour that can be asked it is published when
// the neighbour has answered a cookie under it (prove.go). The Ring rotates the set and keeps it in the record, our own file
// in the state directory, which is the truth (record.go shows it); the file of the neighbour is written from it (formats.go).
// Where the neighbour owns the keys it is the other way round: the set is what its file holds, whichever key mints
// (follow.go), and the record is for a start without that file. Ends are announced as times of the wall clock, but what
// counts is time that has passed: see Ring.advance. The bytes of a cookie are package cookie's.
package keyring

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// ErrUnknownKey tells that no key of the set has the cookie's key id.
var ErrUnknownKey = errors.New("keyring: unknown cookie key")

// KeySet is an immutable, ordered list of keys with one current key. Safe for concurrent use. Prints as its name only.
type KeySet struct {
	dialect   cookie.Dialect
	interval  time.Duration // how long a key mints
	keep      int           // how many old keys are kept when nothing is promised
	published bool          // the neighbour, if there is one, knows all keys
	keys      []key         // oldest first; the last is the next one, the one before it is current
	revoked   []*Revoked    // immutable but for what each counts

	followed bool // this is the set of a neighbour that owns the keys: any of them may be current
	primary  int  // of a followed set: the current key
}

// key is one key of a set. acceptUntil of the current key is the earliest end it can have.
type key struct {
	id          uint32
	alg         aead.ID
	secret      secret
	created     time.Time
	mintFrom    time.Time // for the next key: not before this
	acceptUntil time.Time
	sealer      *cookie.Key
}

func (s *KeySet) next() *key    { return &s.keys[len(s.keys)-1] } // of a set that we rotate
func (s *KeySet) current() *key { return &s.keys[s.mints()] }
func (s *KeySet) old() []key    { return s.keys[:s.mints()] }

func (s *KeySet) mints() int {
	if s.followed {
		return s.primary
	}
	return len(s.keys) - 2
}

// Carries tells whether cookies of this set can carry sessions of that AEAD.
func (s *KeySet) Carries(session aead.ID) bool { return s.dialect.Carries(session) }

// CookieLen is the length of a cookie that Seal would append now.
func (s *KeySet) CookieLen(session aead.ID) int { return s.current().sealer.Len(session) }

// NonceLen is the length of the fresh random nonce that Seal wants.
func (s *KeySet) NonceLen() int { return s.current().sealer.NonceLen() }

// Seal appends a cookie under the current key. No allocation beyond growing dst.
func (s *KeySet) Seal(dst, nonce []byte, session *cookie.Session) ([]byte, error) {
	return s.current().sealer.Seal(dst, nonce, session)
}

// Open fills session from a cookie under any key of the set, the next one included. ErrUnknownKey, *Revoked, cookie.ErrOpen.
// No allocation. A nil set, of a ring without keys, knows no key.
func (s *KeySet) Open(session *cookie.Session, c []byte) error {
	_, err := s.OpenAged(session, c)
	return err
}

// OpenAged is Open and tells how many rotations ago the key was the current one: -1 and below is one that does not mint yet.
func (s *KeySet) OpenAged(session *cookie.Session, c []byte) (rotations int, err error) {
	if s == nil {
		session.Zero()
		return 0, ErrUnknownKey
	}
	id, ok := s.dialect.KeyID(c)
	if !ok {
		return 0, cookie.ErrOpen
	}
	for i := len(s.keys) - 1; i >= 0; i-- { // the newest keys see the most cookies
		if s.keys[i].id == id {
			return s.mints() - i, s.keys[i].sealer.Open(session, c)
		}
	}
	if r := s.revocation(id); r != nil {
		return 0, r
	}
	return 0, ErrUnknownKey
}

// Format prints the name and the dialect only, whatever the verb. A copy does, too: fmt would walk into its keys.
func (s KeySet) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "keyring.KeySet(%v)", s.dialect) }

// LogValue logs what Format prints.
func (s KeySet) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(s)) }

// NewTestKeySet makes a set of random keys that no file knows: for tests and benchmarks of others.
func NewTestKeySet(d cookie.Dialect) (*KeySet, error) {
	p := policy{dialect: d, alg: aead.AESSIVCMAC256, interval: time.Hour, keep: 2}
	if d == cookie.NTPDRS {
		p.alg = aead.AESSIVCMAC512
	}
	return newKeySet(p, time.Now())
}
