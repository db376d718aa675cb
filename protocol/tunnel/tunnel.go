// Package tunnel is how datagrams of ntpq and chronyc travel over TCP, unchanged: our own format, as there is no standard.
// Which of the two protocols a connection carries is agreed on by ALPN. Each frame, either way, is
//
//	length 2, big endian, 1 to 1024 | a datagram as it is, or a greeting
//
// The first frame of a client may be a greeting: AUTH, a blank and a token, which is empty when a certificate says who asks.
// It is answered by one frame, OK or NO and a reason, before any other. Datagrams of the two protocols begin with other
// octets than greetings. What is carried means is left to mode6 and cmdmon; who may ask what, to the server.
package tunnel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The protocols by their ALPN ids, which are private.
const (
	Mode6  = "ntptsd-mode6/1"
	Cmdmon = "ntptsd-cmdmon/1"
)

const (
	// MaxDatagram is the longest datagram of a frame: those of mode 6 have up to 504 octets, those of chronyd up to 860.
	MaxDatagram = 1024
	// MaxToken bounds what a server compares with the tokens that it knows.
	MaxToken = 512
	// MaxReason bounds what a client shows of a stranger's words.
	MaxReason = 512

	lengthLen = 2

	auth = "AUTH "
	yes  = "OK"
	no   = "NO "
)

// ErrLength tells that a frame announces no octets, or more than a datagram may have: nothing after it can be understood.
var ErrLength = errors.New("tunnel: a frame of 0 octets, or of too many")

// ErrGreeting tells that an answer to a greeting is none.
var ErrGreeting = errors.New("tunnel: the answer to the greeting is neither OK nor NO: is ntptsd there?")

// Refusal is a NO, and its reason.
type Refusal struct{ Reason string }

func (r *Refusal) Error() string { return r.Reason }

// AppendFrame appends a frame, which is to be written at once. The datagram must have 1 to MaxDatagram octets.
func AppendFrame(b, datagram []byte) ([]byte, error) {
	if len(datagram) == 0 || len(datagram) > MaxDatagram {
		return b, fmt.Errorf("%w: %d", ErrLength, len(datagram))
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(datagram)))
	return append(b, datagram...), nil
}

// ReadFrame reads a frame into room, which has MaxDatagram octets, and gives the part that is the datagram. At the end
// between two frames it gives io.EOF, within one io.ErrUnexpectedEOF.
func ReadFrame(r io.Reader, room []byte) ([]byte, error) {
	var length [lengthLen]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if n == 0 || n > min(len(room), MaxDatagram) {
		return nil, fmt.Errorf("%w: %d", ErrLength, n)
	}
	if _, err := io.ReadFull(r, room[:n]); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return room[:n], nil
}

// AppendGreeting appends the datagram of a greeting with the token, which may be empty.
func AppendGreeting(b []byte, token string) []byte { return append(append(b, auth...), token...) }

// ParseGreeting tells whether a datagram is a greeting, and gives its token.
func ParseGreeting(datagram []byte) (token string, ok bool) {
	rest, ok := bytes.CutPrefix(datagram, []byte(auth))
	if !ok || len(rest) > MaxToken {
		return "", false
	}
	return string(rest), true
}

// AppendAnswer appends the datagram that answers a greeting: OK if there is no reason against it.
func AppendAnswer(b []byte, against string) []byte {
	if against == "" {
		return append(b, yes...)
	}
	return append(append(b, no...), against[:min(len(against), MaxReason)]...)
}

// ParseAnswer reads that answer: nil, a *Refusal, or ErrGreeting.
func ParseAnswer(datagram []byte) error {
	if string(datagram) == yes {
		return nil
	}
	if reason, ok := bytes.CutPrefix(datagram, []byte(no)); ok && len(reason) > 0 && len(reason) <= MaxReason {
		return &Refusal{string(reason)}
	}
	return ErrGreeting
}
