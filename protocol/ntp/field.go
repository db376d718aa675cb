package ntp

import (
	"encoding/binary"
	"errors"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

const (
	// MaxPacket bounds the memory of a datagram. The longest that a known client sends has 1500 octets: NTPsec
	// asking for eight cookies of AEAD 17.
	MaxPacket = 2048

	// FieldHeaderLen counts in a field's own length, RFC 5905 section 7.5.
	FieldHeaderLen = 4

	// MinFieldLen is the length of the shortest field outside a ciphertext, RFC 5905 section 7.5 as of RFC 7822.
	MinFieldLen = 16

	maxFieldBody = 0xffff&^3 - FieldHeaderLen

	cryptoNAKLen = 4  // a key id of 0 alone, RFC 5905 section 9.2
	shortMACLen  = 20 // key id and 16 octets: MD5, AES-CMAC (RFC 8573)
	maxMACLen    = 24 // key id and 20 octets: SHA-1. No longer MAC in version 4, RFC 7822
)

var (
	ErrLong      = errors.New("ntp: packet longer than any client's")
	ErrUnaligned = errors.New("ntp: length of the packet is not a multiple of 4")
	ErrVersion   = errors.New("ntp: version is not 1 to 4")
	ErrField     = errors.New("ntp: bad length of an extension field")
	ErrTrailer   = errors.New("ntp: trailing octets are neither field nor MAC")
)

// Packet is a datagram cut into header, extension fields and MAC, RFC 7822. It aliases its input.
type Packet struct {
	Header
	Fields []byte // whole extension fields, each checked; empty below version 4
	MAC    []byte // 0, 4 (crypto-NAK), 20 or 24 octets; any trailing octets below version 4
}

// Parse cuts b. What follows the fields is told from a field by the number of octets left alone, as RFC 7822
// demands that the last field be too long to be mistaken: no key needs to be known for it.
func Parse(b []byte) (Packet, error) {
	h, err := ParseHeader(b)
	switch {
	case err != nil:
		return Packet{}, err
	case len(b) > MaxPacket:
		return Packet{}, ErrLong
	case len(b)%4 != 0:
		return Packet{}, ErrUnaligned
	case h.Version < 1 || h.Version > 4:
		return Packet{}, ErrVersion
	}
	rest := b[HeaderLen:]
	if h.Version < 4 {
		return Packet{Header: h, MAC: rest}, nil
	}
	for len(rest) > maxMACLen {
		f, after, err := NextField(rest)
		if err != nil || FieldHeaderLen+len(f.Body) < MinFieldLen {
			return Packet{}, ErrField
		}
		rest = after
	}
	if !isMAC(rest) {
		return Packet{}, ErrTrailer
	}
	end := len(b) - len(rest)
	return Packet{Header: h, Fields: b[HeaderLen:end:end], MAC: rest}, nil
}

// isMAC judges what is left when no further field can be.
func isMAC(b []byte) bool {
	switch len(b) {
	case cryptoNAKLen:
		return binary.BigEndian.Uint32(b) == 0
	case 0, shortMACLen, maxMACLen:
		return true
	}
	return false
}

// Field is one extension field. Body aliases the packet.
//
//	0  type | length, a multiple of 4 that counts these 4 octets too
//	4  body
type Field struct {
	Type uint16
	Body []byte
}

// NextField takes one field off b. Inside an NTS ciphertext fields have no minimum but their header.
func NextField(b []byte) (f Field, rest []byte, err error) {
	s := cryptobyte.String(b)
	var length uint16
	if !s.ReadUint16(&f.Type) || !s.ReadUint16(&length) || length%4 != 0 ||
		!s.ReadBytes(&f.Body, int(length)-FieldHeaderLen) {
		return Field{}, nil, ErrField
	}
	f.Body = slices.Clip(f.Body)
	return f, s, nil
}

// AppendField appends a field, its body zero-padded to a multiple of 4. A body of more than 65528 octets is the
// caller's mistake, and panics.
func AppendField(b []byte, typ uint16, body []byte) []byte {
	if len(body) > maxFieldBody {
		panic("ntp: body does not fit into an extension field")
	}
	padding := -len(body) & 3
	b = binary.BigEndian.AppendUint16(b, typ)
	b = binary.BigEndian.AppendUint16(b, uint16(FieldHeaderLen+len(body)+padding))
	b = append(b, body...)
	return append(b, make([]byte, padding)...)
}
