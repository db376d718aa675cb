package cookie

import (
	"encoding/binary"
	"fmt"

	"github.com/ntptsd/ntptsd/protocol/aead"
)

// Dialect decides a cookie's bytes.
type Dialect uint8

// The dialects. Zero is none of them.
const (
	Native Dialect = 1 + iota // ours
	Chrony                    // chronyd 4.0 and later; keys of AES-128-GCM-SIV from 4.4 on
	NTPsec                    // NTPsec ntpd 1.2 and later
	NTPDRS                    // ntpd-rs 1.0 and later
)

// sessions are the AEADs that any dialect can carry.
var sessions = [...]aead.ID{aead.AESSIVCMAC256, aead.AESSIVCMAC384, aead.AESSIVCMAC512, aead.AES128GCMSIV}

// ParseDialect reads a name as it stands in the configuration.
func ParseDialect(name string) (Dialect, error) {
	for d := Native; d <= NTPDRS; d++ {
		if name == d.String() {
			return d, nil
		}
	}
	return 0, fmt.Errorf("cookie dialect %q is none of native, chrony, ntpsec, ntpdrs", name)
}

func (d Dialect) String() string {
	switch d {
	case Native:
		return "native"
	case Chrony:
		return "chrony"
	case NTPsec:
		return "ntpsec"
	case NTPDRS:
		return "ntpdrs"
	}
	return fmt.Sprintf("dialect %d", uint8(d))
}

// KeyID reads the id of the key a cookie was sealed with; ok is false for a cookie too short to have one.
func (d Dialect) KeyID(cookie []byte) (id uint32, ok bool) {
	if len(cookie) < idLen {
		return 0, false
	}
	if d == NTPsec {
		return binary.NativeEndian.Uint32(cookie), true
	}
	return binary.BigEndian.Uint32(cookie), true
}

// Carries tells whether the dialect can carry a session of this AEAD. Chrony's cookies do not name it, the length of
// the keys does; NTPsec knows the AES-SIV family only, ntpd-rs two of it.
func (d Dialect) Carries(session aead.ID) bool {
	switch session {
	case aead.AESSIVCMAC256:
		return d.known()
	case aead.AESSIVCMAC384:
		return d == Native || d == NTPsec
	case aead.AESSIVCMAC512:
		return d == Native || d == NTPsec || d == NTPDRS
	case aead.AES128GCMSIV:
		return d == Native || d == Chrony
	}
	return false
}

// SealsWith tells whether keys of this AEAD may seal cookies of the dialect.
func (d Dialect) SealsWith(key aead.ID) bool {
	switch key {
	case aead.AESSIVCMAC256:
		return d == Native || d == Chrony || d == NTPsec
	case aead.AESSIVCMAC384:
		return d == NTPsec
	case aead.AESSIVCMAC512:
		return d == NTPsec || d == NTPDRS
	case aead.AES128GCMSIV:
		return d == Chrony
	}
	return false
}

func (d Dialect) known() bool { return d >= Native && d <= NTPDRS }

// prefixLen is how much stands before the keys in the plaintext.
func (d Dialect) prefixLen() int {
	switch d {
	case Chrony:
		return 0
	case NTPDRS:
		return 2
	}
	return prefixRoom
}

// nonceAt is where the nonce begins: ntpd-rs has a length before it.
func (d Dialect) nonceAt() int {
	if d == NTPDRS {
		return idLen + 2
	}
	return idLen
}

// order turns a session's two keys into the order of a cookie, or back: ntpd-rs has S2C first.
func (d Dialect) order(keys []byte) {
	if d != NTPDRS {
		return
	}
	c2s, s2c := keys[:len(keys)/2], keys[len(keys)/2:]
	for i := range c2s {
		c2s[i], s2c[i] = s2c[i], c2s[i]
	}
}

// appendID puts the key's id at the front of a cookie.
func (d Dialect) appendID(b []byte, id uint32) []byte {
	if d == NTPsec {
		return binary.NativeEndian.AppendUint32(b, id)
	}
	return binary.BigEndian.AppendUint32(b, id)
}

// associated is the part of a cookie's id and nonce that is its associated data. NTPsec takes both, so that its nonce
// goes into the computation twice.
func (d Dialect) associated(head []byte) []byte {
	switch d {
	case Native:
		return head[:idLen]
	case NTPsec:
		return head
	}
	return nil
}

// putPrefix writes what stands before the keys of a session, at the end of its room; Chrony has nothing there.
func (d Dialect) putPrefix(prefix []byte, session aead.ID) {
	switch d {
	case Native:
		binary.BigEndian.PutUint32(prefix, uint32(session)<<16)
	case NTPsec:
		binary.NativeEndian.PutUint32(prefix, uint32(session))
	case NTPDRS:
		binary.BigEndian.PutUint16(prefix[2:], uint16(session))
	}
}

// readSession is the AEAD of a session from its opened plaintext; 0 if there is none.
func (d Dialect) readSession(prefix []byte, plainLen int) aead.ID {
	var id uint32
	switch d {
	case Native:
		id = binary.BigEndian.Uint32(prefix)
		if id&0xffff != 0 { // reserved
			return 0
		}
		id >>= 16
	case NTPsec:
		id = binary.NativeEndian.Uint32(prefix)
		if id > 0xffff {
			return 0
		}
	case NTPDRS:
		id = uint32(binary.BigEndian.Uint16(prefix[2:]))
	case Chrony: // infers it from the length, as chronyd does
		switch plainLen {
		case 2 * aead.AESSIVCMAC256.KeyLen():
			return aead.AESSIVCMAC256
		case 2 * aead.AES128GCMSIV.KeyLen():
			return aead.AES128GCMSIV
		}
	}
	return aead.ID(id)
}
