// Package ntp reads and writes NTP packets, versions 1 to 4: header, timestamps and the framing of extension
// fields (RFC 5905, RFC 7822). What a field means, which packet deserves an answer and what time it is are left
// to others; nothing here opens a socket or looks at a clock.
package ntp

import (
	"encoding/binary"
	"errors"
)

// HeaderLen is the length of the header in every version, RFC 5905 section 7.3.
const HeaderLen = 48

// ErrShort tells that a packet ends before its header does.
var ErrShort = errors.New("ntp: packet shorter than its header")

// Leap warns of a leap second, or that the clock is not synchronised, RFC 5905 figure 9.
type Leap uint8

const (
	LeapNone    Leap = iota
	LeapInsert       // the last minute of the month has 61 seconds
	LeapDelete       // the last minute of the month has 59 seconds
	LeapUnknown      // not synchronised
)

// Mode is what the sender takes itself for, RFC 5905 figure 10.
type Mode uint8

const (
	ModeReserved Mode = iota
	ModeSymmetricActive
	ModeSymmetricPassive
	ModeClient
	ModeServer
	ModeBroadcast
	ModeControl
	ModePrivate
)

// Header is the part that all packets have, RFC 5905 section 7.3. Every pattern of 48 octets is a header.
//
//	 0  LI 2 bits, version 3, mode 3 | stratum | poll | precision
//	 4  root delay
//	 8  root dispersion
//	12  reference id
//	16  reference timestamp
//	24  origin timestamp
//	32  receive timestamp
//	40  transmit timestamp
type Header struct {
	Leap           Leap
	Version        uint8
	Mode           Mode
	Stratum        uint8 // 0: kiss, or not synchronised
	Poll           int8  // log2 seconds
	Precision      int8  // log2 seconds
	RootDelay      Short
	RootDispersion Short
	ReferenceID    ReferenceID
	ReferenceTime  Timestamp
	Origin         Timestamp
	Receive        Timestamp
	Transmit       Timestamp
}

// ParseHeader reads the first 48 octets of b, and fails with ErrShort only.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderLen {
		return Header{}, ErrShort
	}
	return Header{
		Leap:           Leap(b[0] >> 6),
		Version:        b[0] >> 3 & 7,
		Mode:           Mode(b[0] & 7),
		Stratum:        b[1],
		Poll:           int8(b[2]),
		Precision:      int8(b[3]),
		RootDelay:      Short(binary.BigEndian.Uint32(b[4:])),
		RootDispersion: Short(binary.BigEndian.Uint32(b[8:])),
		ReferenceID:    ReferenceID(b[12:16]),
		ReferenceTime:  Timestamp(binary.BigEndian.Uint64(b[16:])),
		Origin:         Timestamp(binary.BigEndian.Uint64(b[24:])),
		Receive:        Timestamp(binary.BigEndian.Uint64(b[32:])),
		Transmit:       Timestamp(binary.BigEndian.Uint64(b[40:])),
	}, nil
}

// AppendTo appends the 48 octets of h to b.
func (h Header) AppendTo(b []byte) []byte {
	b = append(b, byte(h.Leap)<<6|h.Version&7<<3|byte(h.Mode)&7, h.Stratum, byte(h.Poll), byte(h.Precision))
	b = binary.BigEndian.AppendUint32(b, uint32(h.RootDelay))
	b = binary.BigEndian.AppendUint32(b, uint32(h.RootDispersion))
	b = append(b, h.ReferenceID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.ReferenceTime))
	b = binary.BigEndian.AppendUint64(b, uint64(h.Origin))
	b = binary.BigEndian.AppendUint64(b, uint64(h.Receive))
	return binary.BigEndian.AppendUint64(b, uint64(h.Transmit))
}
