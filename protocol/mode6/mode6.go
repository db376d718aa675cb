// Package mode6 is the NTP control protocol, "mode 6", which ntpq speaks to ntpd: RFC 9327 (historic) and RFC 1305 appendix B,
// as classic ntpd 4.2.8 and NTPsec 1.2 really speak it. One datagram asks, up to MaxDatagrams answer. Big endian.
//
//	 0  LI 2 bits, version 3, mode 3 (6) | R E M 1 bit each, opcode 5
//	 2  sequence                         | status; of an error its code in the high octet; 0 in requests
//	 6  association, 0: the system       | offset of the data in the whole answer; 0 in requests
//	10  count of data                    | data, up to 468 octets
//	    padding to 4 or 8 | MAC, if any: key id 4, digest 16 or 20
//
// R marks answers, E errors, M that more datagrams belong to the answer. Most answers are text, name=value with commas
// between, cut into datagrams anywhere. Nothing is encrypted, nothing keeps an authenticated request from being replayed.
//
// Which names to ask for, how long to wait and what the values mean for a clock is left to others; nothing here opens a
// socket or looks at a clock. Vectors of three daemons: testdata.
package mode6

import (
	"encoding/binary"
	"errors"

	"github.com/ntptsd/ntptsd/protocol/ntp"
)

const (
	headerLen = 12

	// MaxData is the most data of one datagram, either way: beyond it NTPsec refuses and no daemon answers.
	MaxData = 468
	// MaxDatagram is the longest datagram, either way: 12 octets of header, data, and the longest MAC.
	MaxDatagram = headerLen + MaxData + maxMAC

	maxMAC     = keyIDLen + maxDigest
	maxPadding = 8 - 4 // beyond a multiple of 4, before a MAC

	// DefaultVersion is what all daemons accept, and what ntpq sends.
	DefaultVersion = 2
	maxVersion     = 4 // daemons drop others without a word
)

// The flags beside the opcode.
const (
	flagResponse = 0x80
	flagError    = 0x40
	flagMore     = 0x20
	opMask       = 0x1f
)

var (
	// ErrRequest tells that a datagram is no request, or that none can be made of these fields.
	ErrRequest = errors.New("mode6: not a well-formed request")
	// ErrMalformed tells that an answer, or a datagram of it, has not the form that it should.
	ErrMalformed = errors.New("mode6: not a well-formed answer")
	// ErrForeign tells that a datagram belongs to no answer expected here, as after a timeout: wait for the right one.
	ErrForeign = errors.New("mode6: a datagram of no answer that was asked for")
	// ErrContradiction tells that the datagrams of an answer cannot be of one: they overlap or end twice.
	ErrContradiction = errors.New("mode6: the datagrams of the answer contradict each other")
	// ErrTooLong tells that an answer goes beyond what we hold of one.
	ErrTooLong = errors.New("mode6: the answer is longer than any that a daemon gives")
	// ErrMAC tells that a datagram is not authentic under the key: the daemon does not trust it, or somebody forged.
	ErrMAC = errors.New("mode6: the datagram has no valid MAC under this key")
	// ErrName tells that something cannot be the name of a variable.
	ErrName = errors.New("mode6: not the name of a variable")
)

// Request is one question. The zero Request asks for the status of the system.
type Request struct {
	Leap        ntp.Leap // daemons do not look at it; NTPsec's ntpq sends 3
	Version     uint8    // 1 to 4; 0 sends DefaultVersion
	Op          Opcode
	Sequence    uint16 // answers echo it; +1 for each request, from a random start
	Association uint16
	Data        []byte
	Trailer     []byte // what follows the data, not judged: padding, MAC. AppendTo pads if it is empty
}

// AppendTo appends the datagram.
func (r Request) AppendTo(b []byte) ([]byte, error) {
	start := len(b)
	if r.Version == 0 {
		r.Version = DefaultVersion
	}
	if r.Version > maxVersion || r.Op > opMask || len(r.Data) > MaxData || len(r.Trailer) > MaxDatagram-headerLen-len(r.Data) {
		return b, ErrRequest
	}
	b = header{
		leap: r.Leap, version: r.Version, op: byte(r.Op), sequence: r.Sequence, association: r.Association,
		count: uint16(len(r.Data)),
	}.appendTo(b)
	return appendBody(b, start, r.Data, r.Trailer), nil
}

// ParseRequest reads a datagram, and refuses what daemons answer with an error or not at all, so that whoever hands
// requests on knows what they ask. The slices alias b.
func ParseRequest(b []byte) (Request, error) {
	h, body, ok := parseHeader(b)
	if !ok || len(b)%4 != 0 || h.op&^opMask != 0 || h.status != 0 || h.offset != 0 || h.version == 0 || h.version > maxVersion {
		return Request{}, ErrRequest
	}
	data, trailer := body[:h.count], body[h.count:]
	switch len(b) - aligned(headerLen+len(data), 4) {
	case 0, keyIDLen + 16, maxMAC, maxPadding + maxMAC: // maxMAC is as long as padding and a MAC of 16
	default:
		return Request{}, ErrRequest
	}
	return Request{
		Leap: h.leap, Version: h.version, Op: Opcode(h.op), Sequence: h.sequence, Association: h.association,
		Data: data, Trailer: trailer,
	}, nil
}

// Fragment is one datagram of an answer.
type Fragment struct {
	Leap        ntp.Leap // the system's
	Version     uint8    // as in the request
	Error       bool     // Status is an ErrorCode, and Offset a remnant of an earlier answer
	More        bool
	Op          Opcode
	Sequence    uint16
	Status      uint16
	Association uint16
	Offset      uint16
	Data        []byte
	Trailer     []byte // what follows the data: padding, which may be junk, and a MAC. AppendTo pads if it is empty
}

// ParseFragment reads a datagram. Whether it belongs to an answer tells Assembly. The slices alias b.
func ParseFragment(b []byte) (Fragment, error) {
	h, body, ok := parseHeader(b)
	if !ok || h.op&flagResponse == 0 {
		return Fragment{}, ErrMalformed
	}
	return Fragment{
		Leap: h.leap, Version: h.version, Error: h.op&flagError != 0, More: h.op&flagMore != 0, Op: Opcode(h.op & opMask),
		Sequence: h.sequence, Status: h.status, Association: h.association, Offset: h.offset,
		Data: body[:h.count], Trailer: body[h.count:],
	}, nil
}

// AppendTo appends the datagram. Of more than MaxData the rest is left out.
func (f Fragment) AppendTo(b []byte) []byte {
	start := len(b)
	f.Data = f.Data[:min(len(f.Data), MaxData)]
	op := byte(f.Op)&opMask | flagResponse
	if f.Error {
		op |= flagError
	}
	if f.More {
		op |= flagMore
	}
	b = header{f.Leap, f.Version, op, f.Sequence, f.Status, f.Association, f.Offset, uint16(len(f.Data))}.appendTo(b)
	return appendBody(b, start, f.Data, f.Trailer)
}

// header is what requests and answers begin with.
type header struct {
	leap                                         ntp.Leap
	version, op                                  byte // op with the flags
	sequence, status, association, offset, count uint16
}

// parseHeader also gives what follows, at least count octets.
func parseHeader(b []byte) (h header, body []byte, ok bool) {
	if len(b) < headerLen || len(b) > MaxDatagram || b[0]&7 != byte(ntp.ModeControl) {
		return h, nil, false
	}
	h = header{
		ntp.Leap(b[0] >> 6), b[0] >> 3 & 7, b[1],
		binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:]),
		binary.BigEndian.Uint16(b[8:]), binary.BigEndian.Uint16(b[10:]),
	}
	body = b[headerLen:]
	return h, body, h.count <= MaxData && int(h.count) <= len(body)
}

func (h header) appendTo(b []byte) []byte {
	b = append(b, byte(h.leap)<<6|h.version&7<<3|byte(ntp.ModeControl), h.op)
	for _, n := range [...]uint16{h.sequence, h.status, h.association, h.offset, h.count} {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	return b
}

func appendBody(b []byte, start int, data, trailer []byte) []byte {
	b = append(b, data...)
	if len(trailer) > 0 {
		return append(b, trailer...)
	}
	return pad(b, start, 4)
}

// pad fills what begins at start with zeros up to a multiple of n.
func pad(b []byte, start, n int) []byte {
	have := len(b) - start
	return append(b, make([]byte, aligned(have, n)-have)...)
}

func aligned(have, n int) int { return (have + n - 1) / n * n }
