package ntske

import (
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"math"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

var (
	// ErrTruncated tells that the input ends inside a record or before End of Message.
	ErrTruncated = errors.New("ntske: message is cut off")
	// ErrTooLong tells that a message is longer than its reader allows.
	ErrTooLong = errors.New("ntske: message is too long")
	// ErrEnd tells that End of Message is not as RFC 8915 section 4.1.1 wants it: critical, empty, last.
	ErrEnd = errors.New("ntske: end of message is not critical, has a body, or is not the last record")
)

const criticalBit = 1 << 15 // RFC 8915 section 4

// Record is one record; Body aliases the input. A body has at most 65535 octets.
type Record struct {
	Critical bool
	Type     RecordType
	Body     []byte
}

// NextRecord takes one record off b. ErrTruncated: more octets are needed.
func NextRecord(b []byte) (r Record, rest []byte, err error) {
	s := cryptobyte.String(b)
	var head uint16
	var body cryptobyte.String
	if !s.ReadUint16(&head) || !s.ReadUint16LengthPrefixed(&body) {
		return Record{}, b, ErrTruncated
	}
	return Record{Critical: head&criticalBit != 0, Type: RecordType(head &^ criticalBit), Body: body}, s, nil
}

// AppendTo appends the record. It panics if the body does not fit into a record.
func (r Record) AppendTo(b []byte) []byte {
	if len(r.Body) > math.MaxUint16 {
		panic("ntske: record body longer than 65535 octets")
	}
	head := uint16(r.Type) &^ criticalBit
	if r.Critical {
		head |= criticalBit
	}
	b = binary.BigEndian.AppendUint16(b, head)
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Body)))
	return append(b, r.Body...)
}

// Records yields the records before End of Message, and ends with ErrTruncated or ErrEnd if the message is not whole.
func Records(b []byte) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for {
			r, rest, err := NextRecord(b)
			if err != nil {
				yield(Record{}, err)
				return
			}
			if r.Type == EndOfMessage {
				if !r.Critical || len(r.Body) > 0 || len(rest) > 0 {
					yield(Record{}, ErrEnd)
				}
				return
			}
			if !yield(r, nil) {
				return
			}
			b = rest
		}
	}
}

// readIDs reads the body of a list, RFC 8915 sections 4.1.2 and 4.1.5.
func readIDs[ID ~uint16](ids []ID, body []byte) (_ []ID, ok bool) {
	s := cryptobyte.String(body)
	for !s.Empty() {
		var id uint16
		if !s.ReadUint16(&id) {
			return ids, false
		}
		ids = append(ids, ID(id))
	}
	return ids, true
}

// appendIDs appends a critical record with a list.
func appendIDs[ID ~uint16](b []byte, t RecordType, ids ...ID) []byte {
	body := make([]byte, 0, 16)
	for _, id := range ids {
		body = binary.BigEndian.AppendUint16(body, uint16(id))
	}
	return Record{Critical: true, Type: t, Body: body}.AppendTo(b)
}

func appendEnd(b []byte) []byte { return Record{Critical: true, Type: EndOfMessage}.AppendTo(b) }

const (
	readStep      = 512 // octets that a buffer grows by; any known request fits into one step
	maxEmptyReads = 100 // in a row, as bufio has it, before a reader counts as broken
)

// ReadMessage reads from r up to and including End of Message, at most max octets, into buf (grown as needed).
// It returns what was read even on error (ErrTooLong, ErrTruncated at EOF, or the reader's), so that the caller can
// answer. Octets after End of Message in the same read are kept in the result: Parse judges them.
func ReadMessage(r io.Reader, buf []byte, max int) ([]byte, error) {
	buf = buf[:0]
	unread := 0 // offset of the first record that is not whole yet
	for empty := 0; empty < maxEmptyReads; {
		if len(buf) >= max {
			return buf, ErrTooLong
		}
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, min(readStep, max-len(buf)))
		}
		n, err := r.Read(buf[len(buf):min(cap(buf), max)])
		buf = buf[:len(buf)+n]
		empty++
		if n > 0 {
			empty = 0
		}
		var ended bool
		if unread, ended = skipRecords(buf, unread); ended {
			return buf, nil
		}
		if err == io.EOF {
			return buf, ErrTruncated
		}
		if err != nil {
			return buf, err
		}
	}
	return buf, io.ErrNoProgress
}

// skipRecords goes over the whole records of b from an offset on, and tells whether End of Message was among them.
func skipRecords(b []byte, from int) (unread int, ended bool) {
	for rest := b[from:]; ; {
		r, next, err := NextRecord(rest)
		if err != nil {
			return len(b) - len(rest), false
		}
		if rest = next; r.Type == EndOfMessage {
			return len(b) - len(rest), true
		}
	}
}
