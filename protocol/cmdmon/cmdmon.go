// Package cmdmon is chronyd's command and monitoring protocol, version 6, as chrony 4.0 to 4.8 speak it: one datagram asks,
// one answers. There is no specification but the daemon's own header; the numbers here were checked against chrony 4.3 and
// 4.8. Numbers are big endian.
//
//	request  | 6 | 1 | 0 0 | command 2 | attempt 2 | sequence 4 | 0 (8) | body ... | zeros up to 520 octets
//	reply    | 6 | 2 | 0 0 | command 2 | type 2 | status 2 | 0 (6) | sequence 4 | 0 (8) | body ...
//
// chronyd wants each request to be as long as its longest reply, which differs between versions; 520 octets satisfy all.
// Versions show in the type of a reply and in which commands are known (Invalid), not in a number.
package cmdmon

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	version     = 6
	typeRequest = 1
	typeReply   = 2

	requestHeader = 20
	replyHeader   = 28

	// RequestLen is the length of every request.
	RequestLen = 520
	// MaxReply bounds what a reply may be: none is longer than a request may be.
	MaxReply = 1024
)

var (
	// ErrMalformed tells that a datagram is no reply of this protocol.
	ErrMalformed = errors.New("cmdmon: not a reply of chronyd's protocol version 6")
	// ErrForeign tells that a reply is one to another request, as after a timeout: wait for the right one.
	ErrForeign = errors.New("cmdmon: a reply to another request")
	// ErrShort tells that the body is shorter than its type wants.
	ErrShort = errors.New("cmdmon: the reply is cut off")
)

// Request is a command with the fields of its body. The zero body is that of all commands without arguments.
type Request struct {
	Command  Command
	Sequence uint32 // random: the reply echoes it
	Body     Body   // nil: none
}

// Body is what follows the header of a request.
type Body interface{ appendTo(b []byte) []byte }

// AppendTo appends the datagram, padded.
func (r Request) AppendTo(b []byte) []byte {
	start := len(b)
	b = append(b, version, typeRequest, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(r.Command))
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint32(b, r.Sequence)
	b = append(b, make([]byte, 8)...)
	if r.Body != nil {
		b = r.Body.appendTo(b)
	}
	return append(b, make([]byte, max(0, RequestLen-(len(b)-start)))...)
}

// Reply is an answer; its body is read by the Parse function of its type.
type Reply struct {
	Command  Command
	Type     ReplyType
	Status   Status
	Sequence uint32
	Body     []byte
}

// ParseReply reads a datagram. Whether it answers a request, and with success, tells Check.
func ParseReply(b []byte) (Reply, error) {
	if len(b) < replyHeader || len(b) > MaxReply || b[0] != version || b[1] != typeReply || b[2] != 0 || b[3] != 0 {
		return Reply{}, ErrMalformed
	}
	return Reply{
		Command:  Command(binary.BigEndian.Uint16(b[4:])),
		Type:     ReplyType(binary.BigEndian.Uint16(b[6:])),
		Status:   Status(binary.BigEndian.Uint16(b[8:])),
		Sequence: binary.BigEndian.Uint32(b[16:]),
		Body:     b[replyHeader:],
	}, nil
}

// AppendTo appends the datagram of a reply.
func (r Reply) AppendTo(b []byte) []byte {
	b = append(b, version, typeReply, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(r.Command))
	b = binary.BigEndian.AppendUint16(b, uint16(r.Type))
	b = binary.BigEndian.AppendUint16(b, uint16(r.Status))
	b = append(b, make([]byte, 6)...)
	b = binary.BigEndian.AppendUint32(b, r.Sequence)
	b = append(b, make([]byte, 8)...)
	return append(b, r.Body...)
}

// Check tells whether the reply answers q: ErrForeign if not, its Status if that is not Success. AccessAllowed and
// AccessDenied are answers, and no errors.
func (r Reply) Check(q Request) error {
	switch {
	case r.Command != q.Command || r.Sequence != q.Sequence:
		return ErrForeign
	case r.Status == Success, r.Status == AccessAllowed, r.Status == AccessDenied:
		return nil
	}
	return r.Status
}

// want is the reader of a body of that type.
func (r Reply) want(types ...ReplyType) (*reader, error) {
	for _, t := range types {
		if r.Type == t {
			return &reader{b: r.Body}, nil
		}
	}
	return nil, fmt.Errorf("cmdmon: a reply of type %d to %v: this version of chronyd is not known", r.Type, r.Command)
}
