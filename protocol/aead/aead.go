// Package aead provides the AEAD algorithms of Network Time Security by their IANA number: AES-SIV-CMAC-256, -384 and
// -512 (RFC 5297) and AES-128-GCM-SIV (RFC 8452).
//
//	AES-SIV       key     K1 (CMAC) | K2 (CTR)                     AES-GCM-SIV   key     K, keys a pair per nonce
//	              sealed  tag (16)  | ciphertext                                 sealed  ciphertext | tag (16)
//	              tag     S2V(K1; AD, nonce, plaintext)                          tag     AES(POLYVAL(AD, plaintext) ^ nonce)
//
// Blocks go through crypto/aes, which is constant time where the processor has AES instructions; all else here is
// constant time everywhere. Choosing an algorithm, making keys and making nonces are the caller's.
//
// No argument escapes, and a call allocates only a dst that has to grow, and AES-SIV's second cipher once a key.
// AES-GCM-SIV alone also allocates one cipher a call: it encrypts under another key for each nonce, and crypto/aes cannot
// key a cipher in place.
package aead

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ID is an algorithm's number in the IANA AEAD registry.
type ID uint16

const (
	AESSIVCMAC256 ID = 15 // RFC 5297 section 6.1
	AESSIVCMAC384 ID = 16 // RFC 5297 section 6.2
	AESSIVCMAC512 ID = 17 // RFC 5297 section 6.3
	AES128GCMSIV  ID = 30 // RFC 8452 section 6
)

const (
	MaxKeyLen = 64 // of all algorithms here
	Overhead  = 16 // octets an algorithm adds to a plaintext; the same for all

	// MaxComponents bounds the strings beside the plaintext in SealVector (RFC 5297 section 7: S2V loses its proof
	// beyond 127 inputs).
	MaxComponents = 126

	// MaxText bounds a plaintext, and each string of associated data. It is RFC 8452 section 6's P_MAX and A_MAX; AES-SIV,
	// which allows more, shares it so that its block counter cannot carry out of 64 bits.
	MaxText = 1 << 36
)

// ErrOpen says that a sealed text is not authentic, or could not be for its shape. Which of these is not told.
var ErrOpen = errors.New("aead: message authentication failed")

// Known reports whether New takes id.
func (id ID) Known() bool { return id.KeyLen() != 0 }

// KeyLen returns the octets of a key, 0 if id is unknown.
func (id ID) KeyLen() int {
	switch id {
	case AESSIVCMAC256:
		return 32
	case AESSIVCMAC384:
		return 48
	case AESSIVCMAC512:
		return 64
	case AES128GCMSIV:
		return 16
	}
	return 0
}

// NonceLen returns the octets of the nonces we choose, 0 if id is unknown. AES-SIV opens under any other but 0 as well.
func (id ID) NonceLen() int {
	switch {
	case id == AES128GCMSIV:
		return gcmNonceLen
	case id.Known():
		return 16 // RFC 8915 section 5.6: room for it is what a request must bring
	}
	return 0
}

// String returns the registry's name in the RFCs' spelling, or "AEAD 99".
func (id ID) String() string {
	switch id {
	case AESSIVCMAC256:
		return "AES-SIV-CMAC-256"
	case AESSIVCMAC384:
		return "AES-SIV-CMAC-384"
	case AESSIVCMAC512:
		return "AES-SIV-CMAC-512"
	case AES128GCMSIV:
		return "AES-128-GCM-SIV"
	}
	return fmt.Sprintf("AEAD %d", uint16(id))
}

// AEAD is one algorithm under one key, a cipher.AEAD. It is safe for concurrent use, SetKey excepted. Without a key it
// opens nothing, and Seal panics. It prints as its algorithm's name.
type AEAD struct {
	id ID // 0: no key

	// Behind pointers, so that no fmt verb reaches key material through an unexported field; kept for the next SetKey.
	siv *siv
	gcm *gcmSIV
}

// New returns an AEAD for a copy of key, which must have id.KeyLen() octets.
func New(id ID, key []byte) (*AEAD, error) {
	a := new(AEAD)
	if err := a.SetKey(id, key); err != nil {
		return nil, err
	}
	return a, nil
}

// SetKey re-keys in place, allocating what aes.NewCipher forces: one cipher, and for AES-SIV a second one with the first
// text that is not empty. After an error the AEAD has no key: better none than the key of the client before.
func (a *AEAD) SetKey(id ID, key []byte) error {
	a.id = 0
	if !id.Known() {
		return fmt.Errorf("aead: %v is not implemented", id)
	}
	if len(key) != id.KeyLen() {
		return fmt.Errorf("aead: %v takes a key of %d octets, not %d", id, id.KeyLen(), len(key))
	}
	if err := a.expand(id, key); err != nil {
		return fmt.Errorf("aead: %v: %w", id, err)
	}
	a.id = id
	return nil
}

func (a *AEAD) expand(id ID, key []byte) error {
	if id == AES128GCMSIV {
		if a.gcm == nil {
			a.gcm = new(gcmSIV)
		}
		return a.gcm.setKey(key)
	}
	if a.siv == nil {
		a.siv = new(siv)
	}
	return a.siv.setKey(key)
}

// ID returns the algorithm, 0 without a key.
func (a *AEAD) ID() ID { return a.id }

// NonceSize returns ID().NonceLen().
func (a *AEAD) NonceSize() int { return a.id.NonceLen() }

// Overhead returns the constant Overhead.
func (a *AEAD) Overhead() int { return Overhead }

// Format prints the algorithm's name and nothing of the key, whatever the verb.
func (a AEAD) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.id.String()) }

// Seal appends the sealed plaintext to dst. The spare capacity of dst may overlap any argument in any way. Seal panics on
// a nonce that the algorithm cannot take (AES-SIV: empty; AES-GCM-SIV: not 12 octets) and beyond MaxText: both are ours.
func (a *AEAD) Seal(dst, nonce, plaintext, additionalData []byte) []byte {
	switch {
	case a.id == 0:
		panic("aead: Seal without a key")
	case !fits(len(plaintext), len(additionalData)) || !fits(0, len(nonce)):
		panic("aead: text too long")
	case a.id == AES128GCMSIV:
		if len(nonce) != gcmNonceLen {
			panic("aead: AES-128-GCM-SIV takes a nonce of 12 octets")
		}
		return a.gcm.seal(dst, nonce, plaintext, additionalData)
	case len(nonce) == 0:
		panic("aead: AES-SIV takes a nonce of at least one octet")
	}
	return a.siv.seal(dst, plaintext, additionalData, nonce)
}

// Open appends the plaintext to dst, whose spare capacity may overlap any argument in any way. On failure what it wrote
// there is zeroed (and an overlapping ciphertext with it). It never panics: a nonce or a length that the algorithm cannot
// take is ErrOpen like every other failure.
func (a *AEAD) Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error) {
	if len(ciphertext) < Overhead || !fits(len(ciphertext)-Overhead, len(additionalData)) || !fits(0, len(nonce)) {
		return nil, ErrOpen
	}
	switch {
	case a.id == AES128GCMSIV && len(nonce) == gcmNonceLen:
		return a.gcm.open(dst, nonce, ciphertext, additionalData)
	case a.id != 0 && a.id != AES128GCMSIV && len(nonce) > 0:
		return a.siv.open(dst, ciphertext, additionalData, nonce)
	}
	return nil, ErrOpen
}

// SealVector is Seal for AES-SIV with the components that S2V mixes in before the plaintext, in order. Seal's are two: the
// associated data, be it empty, and the nonce. It panics under AES-GCM-SIV and beyond MaxComponents or MaxText.
func (a *AEAD) SealVector(dst, plaintext []byte, components ...[]byte) []byte {
	if !a.takesVector(len(plaintext), components) {
		panic("aead: SealVector needs a key of AES-SIV, and components within their bounds")
	}
	return a.siv.seal(dst, plaintext, components...)
}

// OpenVector opens what SealVector sealed under the same components, and is otherwise as Open.
func (a *AEAD) OpenVector(dst, ciphertext []byte, components ...[]byte) ([]byte, error) {
	if len(ciphertext) < Overhead || !a.takesVector(len(ciphertext)-Overhead, components) {
		return nil, ErrOpen
	}
	return a.siv.open(dst, ciphertext, components...)
}

func (a *AEAD) takesVector(text int, components [][]byte) bool {
	for _, c := range components {
		if !fits(0, len(c)) {
			return false
		}
	}
	return a.id != 0 && a.id != AES128GCMSIV && fits(text, 0) && len(components) <= MaxComponents
}

// fits counts in 64 bits because MaxText is beyond the int of a 32-bit machine.
func fits(text, data int) bool { return int64(text) <= MaxText && int64(data) <= MaxText }

// extend returns dst grown by n octets, and these.
func extend(dst []byte, n int) (all, added []byte) {
	all = slices.Grow(dst, n)[:len(dst)+n]
	return all, all[len(dst):]
}

// verdict compares the tags in constant time; plaintext is what opened lately and must not survive a forgery.
func verdict(all, plaintext []byte, got, want *[Overhead]byte) ([]byte, error) {
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		clear(plaintext)
		return nil, ErrOpen
	}
	return all, nil
}
