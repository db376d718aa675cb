package audit

import (
	"bufio"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
)

// Fault is the first thing that is wrong with a log.
type Fault struct {
	File string
	Line int // from 1; 0: it is about the log as a whole
	Kind FaultKind
	Text string // what it means
}

// FaultKind sorts faults.
type FaultKind int

// Kinds of a Fault.
const (
	Altered  FaultKind = iota + 1 // what stands there is not what was written
	Missing                       // records were taken out
	Misplace                      // a record stands where it does not belong
	Torn                          // the last line has no end
	Cut                           // the log ends before a head that is known
	Other                         // it is another log than the head's, or the head is not signed by the key
)

func (f *Fault) Error() string {
	if f.Line == 0 {
		return f.Text
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text)
}

// Verifier reads the files of a log, the oldest first, and says what is wrong first.
type Verifier struct {
	heads    []Head
	reached  []bool // which of heads were met
	first    uint64
	last     Head
	finished error
}

// Expect lets the verifier compare with a head that somebody kept; before the first Read. With a key the head must be signed
// by it.
func (v *Verifier) Expect(h Head, key ed25519.PublicKey) error {
	if key != nil && !h.SignedBy(key) {
		return &Fault{Kind: Other, Text: fmt.Sprintf("the head of record %d is not signed by key %s: it was altered, or is of another log", h.Sequence, KeyID(key))}
	}
	v.heads, v.reached = append(v.heads, h), append(v.reached, h.Sequence == 0)
	return nil
}

// First is the sequence of the first record that was read, 0 if there was none; Last is the end.
func (v *Verifier) First() uint64 { return v.first }

// Last is the head of the last record that was right.
func (v *Verifier) Last() Head { return v.last }

// Read verifies the next file and hands over each record that is right, with its line, which is good until it returns. Its
// error is a *Fault, or what r or take failed with; after one nothing more can be read.
func (v *Verifier) Read(name string, r io.Reader, take func(Record, []byte) error) error {
	if v.finished != nil {
		return v.finished
	}
	lines := bufio.NewReaderSize(r, MaxLine)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			return nil
		}
		var record Record
		if record, err = v.judge(line, err); err == nil && take != nil {
			err = take(record, line)
		}
		if err != nil {
			if f, ok := errors.AsType[*Fault](err); ok && f.Line == 0 {
				f.File, f.Line = name, n
			}
			v.finished = err
			return err
		}
	}
}

// judge judges a line as it was read.
func (v *Verifier) judge(line []byte, reading error) (r Record, err error) {
	next := v.last.Sequence + 1
	wrong := func(kind FaultKind, format string, args ...any) (Record, error) {
		return r, &Fault{Kind: kind, Text: fmt.Sprintf(format, args...)}
	}
	switch {
	case errors.Is(reading, bufio.ErrBufferFull):
		return wrong(Altered, "%s was altered: the line is longer than any record", v.call(next))
	case reading == io.EOF:
		return wrong(Torn, "the line has no end: a crash while %s was written leaves it so, or somebody cut the file", v.call(next))
	case reading != nil:
		return r, reading
	}
	r, err = Parse(line)
	switch {
	case err != nil:
		return wrong(Altered, "%s was altered: %v", v.call(next), err)
	case r.Hash != Sum(line):
		return wrong(Altered, "%s was altered: its hash is not that of what stands there", v.call(next))
	case v.first == 0 && r.Sequence == 1 && r.Previous != zeros:
		return wrong(Altered, "record 1 was altered and hashed anew: nothing can stand before it")
	case v.first != 0 && r.Sequence > next:
		return wrong(Missing, "%s missing", span(next, r.Sequence-1))
	case v.first != 0 && r.Sequence < next:
		return wrong(Misplace, "record %d stands where record %d belongs", r.Sequence, next)
	case v.first != 0 && r.Previous != v.last.Hash:
		return wrong(Altered, "record %d does not follow from record %d: one of them was altered and hashed anew", r.Sequence, r.Sequence-1)
	}
	if err := v.compare(r); err != nil {
		return r, err
	}
	if v.first == 0 {
		v.first = r.Sequence
	}
	v.last = r.Head()
	return r, nil
}

// call names the record that must come next.
func (v *Verifier) call(next uint64) string {
	if v.first == 0 {
		return "the first record"
	}
	return fmt.Sprintf("record %d", next)
}

func span(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("record %d is", from)
	}
	return fmt.Sprintf("records %d to %d are", from, to)
}

func (v *Verifier) compare(r Record) error {
	for i, h := range v.heads {
		if h.Sequence != r.Sequence {
			continue
		}
		if h.Hash != r.Hash {
			return &Fault{Kind: Other, Text: fmt.Sprintf(
				"record %d is not the one that the head names: the log was written anew from there or from before, or is another one", r.Sequence)}
		}
		v.reached[i] = true
	}
	return nil
}

// Finish is a *Fault if the log ends before a head that was expected. After it nothing more can be read.
func (v *Verifier) Finish() error {
	if v.finished != nil {
		return v.finished
	}
	for i, h := range v.heads {
		switch {
		case v.reached[i]:
		case h.Sequence > v.last.Sequence && v.last.Sequence == 0:
			return &Fault{Kind: Cut, Text: fmt.Sprintf("there is no record: the head says that there were %d", h.Sequence)}
		case h.Sequence > v.last.Sequence:
			return &Fault{Kind: Cut, Text: fmt.Sprintf("the tail behind record %d was cut off: the head says that there were %d", v.last.Sequence, h.Sequence)}
		default:
			return &Fault{Kind: Missing, Text: fmt.Sprintf(
				"record %d of the head is not kept any more: the files begin with record %d; give the older ones, too, or a newer head", h.Sequence, v.first)}
		}
	}
	return nil
}
