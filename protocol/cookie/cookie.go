// Package cookie seals the keys of an NTS session into the opaque cookies that a client hands back with each request,
// and opens them again (RFC 8915 section 6, which gives advice only: the bytes are a matter between key exchange and
// time server). The dialect decides the bytes. All of them start with the key's id and have a nonce:
//
//	native   id u32 BE | nonce 16    | SIV(K; AD = id, nonce | AEAD u16 BE, 0 u16, C2S, S2C)
//	chrony   id u32 BE | nonce 16/12 | AEAD(K; AD = "", nonce | C2S, S2C)            nonce as the key's AEAD wants
//	ntpsec   id u32 HE | nonce 16    | SIV(K; AD = id and nonce, nonce | AEAD u32 HE, C2S, S2C)
//	ntpdrs   id u32 BE | length u16 BE | nonce 16 | SIV(K; AD = "", nonce | AEAD u16 BE, S2C, C2S) | padding
//
// HE is the byte order of the host, as ntpd writes it: little endian on all common machines. The length of ntpd-rs is that
// of what was sealed, tag included; we add no padding and ignore what comes. Which keys there are, how
// long they live and where the nonces come from is left to others. Vectors: testdata/cookies.json.
package cookie

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"

	"github.com/ntptsd/ntptsd/protocol/aead"
)

const idLen = 4 // of the key id in front, in all dialects

var (
	// ErrOpen is every failure of Open: a time server answers all of them with the same NTS NAK (RFC 8915 section 5.7).
	ErrOpen = errors.New("cookie: not sealed by this key")
	// ErrSession tells that the dialect has no cookie for the session's AEAD.
	ErrSession = errors.New("cookie: dialect cannot carry this session's AEAD")
	// ErrNonce tells that the nonce given to Seal has not NonceLen octets.
	ErrNonce = errors.New("cookie: nonce has a wrong length")
)

// Key seals and opens the cookies of one dialect. Immutable, safe for concurrent use. Prints as its id only.
type Key struct {
	dialect Dialect
	id      uint32
	alg     aead.ID
	aead    *aead.AEAD
}

// NewKey makes a key of a dialect. The secret has exactly the length that alg wants; it is copied.
func NewKey(d Dialect, id uint32, alg aead.ID, secret []byte) (*Key, error) {
	if !d.SealsWith(alg) {
		return nil, fmt.Errorf("cookie key %08x: dialect %v has no keys of %v", id, d, alg)
	}
	a, err := aead.New(alg, secret)
	if err != nil {
		return nil, fmt.Errorf("cookie key %08x: %w", id, err)
	}
	return &Key{dialect: d, id: id, alg: alg, aead: a}, nil
}

// ID is the key's id, in front of all its cookies.
func (k *Key) ID() uint32 { return k.id }

// NonceLen is the length of the nonce that Seal wants.
func (k *Key) NonceLen() int { return k.alg.NonceLen() }

// Len is the length of a cookie for a session of that AEAD; 0 if the dialect cannot carry it.
func (k *Key) Len(session aead.ID) int {
	if !k.dialect.Carries(session) {
		return 0
	}
	return k.headLen() + aead.Overhead + k.dialect.prefixLen() + 2*session.KeyLen()
}

// headLen is how much stands before what was sealed.
func (k *Key) headLen() int { return k.dialect.nonceAt() + k.NonceLen() }

// Seal appends a cookie. The nonce has NonceLen octets, fresh and random. No allocation beyond growing dst, except under
// keys of AES-128-GCM-SIV, in Open too: that makes a cipher for each nonce.
func (k *Key) Seal(dst, nonce []byte, s *Session) ([]byte, error) {
	if !k.dialect.Carries(s.id) {
		return dst, ErrSession
	}
	if len(nonce) != k.NonceLen() {
		return dst, ErrNonce
	}
	var plain [maxPlain]byte // a copy: the session may be sealed by several keys at once
	defer clear(plain[:])
	n := copy(plain[:], s.plain[:prefixRoom+2*s.id.KeyLen()])
	k.dialect.putPrefix(plain[:prefixRoom], s.id)
	k.dialect.order(plain[prefixRoom:n])

	start := len(dst)
	dst = k.dialect.appendID(dst, k.id)
	if k.dialect == NTPDRS {
		dst = binary.BigEndian.AppendUint16(dst, uint16(k.Len(s.id)-k.headLen()))
	}
	dst = append(dst, nonce...)
	head := dst[start:]
	return k.aead.Seal(dst, nonce, plain[prefixRoom-k.dialect.prefixLen():n], k.dialect.associated(head)), nil
}

// Open fills s from a cookie that this key has sealed. Any failure is ErrOpen, and leaves s zero. No allocation.
func (k *Key) Open(s *Session, cookie []byte) error {
	s.Zero()
	id, ok := k.dialect.KeyID(cookie)
	cookie = k.unpadded(cookie)
	if !ok || id != k.id || !k.hasLen(len(cookie)) {
		return ErrOpen
	}
	head, sealed := cookie[:k.headLen()], cookie[k.headLen():]
	from := prefixRoom - k.dialect.prefixLen()
	plain, err := k.aead.Open(s.plain[from:from], head[k.dialect.nonceAt():], sealed, k.dialect.associated(head))
	if err != nil {
		s.Zero()
		return ErrOpen
	}
	session := k.dialect.readSession(s.plain[:prefixRoom], len(plain))
	if k.Len(session) != len(cookie) { // also when there is none: its length is 0
		s.Zero()
		return ErrOpen
	}
	k.dialect.order(s.plain[prefixRoom : prefixRoom+2*session.KeyLen()])
	clear(s.plain[:prefixRoom]) // equal sessions are equal values
	s.id = session
	return nil
}

// unpadded is the cookie without what ntpd-rs may have put behind it; nil if it is cut off.
func (k *Key) unpadded(cookie []byte) []byte {
	if k.dialect != NTPDRS {
		return cookie
	}
	if len(cookie) < k.headLen() {
		return nil
	}
	end := k.headLen() + int(binary.BigEndian.Uint16(cookie[idLen:]))
	if len(cookie) < end {
		return nil
	}
	return cookie[:end]
}

// hasLen tells whether n is the length of any cookie of the key. It also bounds the plaintext by the room in a Session.
func (k *Key) hasLen(n int) bool {
	for _, session := range sessions {
		if n > 0 && k.Len(session) == n {
			return true
		}
	}
	return false
}

// Format prints the id only, whatever the verb.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "cookie key %08x", k.id) }

// LogValue logs the id only.
func (k *Key) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(k)) }
