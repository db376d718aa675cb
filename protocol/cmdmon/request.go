package cmdmon

import (
	"encoding/binary"
	"errors"
)

const (
	// minRequest and maxRequest are what chronyd answers at all; below and beyond it says nothing.
	minRequest = 28
	maxRequest = 860
)

// ErrRequest tells that a datagram is no request that chronyd would carry out.
var ErrRequest = errors.New("cmdmon: not a well-formed request")

// Raw is a body as it came, with the zeros that pad it. Its fields stand at fixed places; what is not there counts as zero.
type Raw []byte

func (r Raw) appendTo(b []byte) []byte { return append(b, r...) }

// uint32 is the nth 32-bit number of the body.
func (r Raw) uint32(n int) uint32 {
	if len(r) < 4*n+4 {
		return 0
	}
	return binary.BigEndian.Uint32(r[4*n:])
}

// Resets tells whether the request sets counters to zero, though its command reads: ClientsCommand may.
func (r Request) Resets() bool {
	switch body := r.Body.(type) {
	case Page:
		return body.Reset
	case Raw:
		return r.Command == ClientsCommand && body.uint32(3) != 0
	}
	return false
}

// ParseRequest reads a datagram, and refuses what chronyd does not answer, and what no chronyc sends, so that whoever hands
// requests on knows what they ask. The body is a Raw that aliases b; whether it is long enough for the command, chronyd judges.
func ParseRequest(b []byte) (Request, error) {
	if len(b) < minRequest || len(b) > maxRequest || b[0] != version || b[1] != typeRequest || b[2] != 0 || b[3] != 0 ||
		binary.BigEndian.Uint64(b[12:]) != 0 {
		return Request{}, ErrRequest
	}
	return Request{
		Command:  Command(binary.BigEndian.Uint16(b[4:])),
		Sequence: binary.BigEndian.Uint32(b[8:]),
		Body:     Raw(b[requestHeader:]),
	}, nil
}
