package audit

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"

	"github.com/ntptsd/ntptsd/protocol/audit"
)

const (
	// MaxRecords bounds a list of records.
	MaxRecords = 1000
	// maxOctets bounds the same by the room that they take, in memory and in answers.
	maxOctets = 2 << 20
)

// recent are the newest records, the oldest first, without a gap.
type recent struct {
	records []audit.Record
	octets  int
}

// sizeOf is about what a record takes.
func sizeOf(r audit.Record) int {
	return 256 + len(r.Args) + len(r.Summary) + len(r.Before) + len(r.After) + len(r.Error) + len(r.Caller) + len(r.Command)
}

func (a *recent) add(r audit.Record) {
	a.records = append(a.records, r)
	a.octets += sizeOf(r)
	n := 0
	for len(a.records)-n > MaxRecords || a.octets > maxOctets {
		a.octets -= sizeOf(a.records[n])
		a.records[n] = audit.Record{}
		n++
	}
	a.records = a.records[n:]
}

// Recent are the newest records, at most MaxRecords, the newest last.
func (l *Log) Recent() []audit.Record { return l.newest(MaxRecords) }

func (l *Log) newest(n int) []audit.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.recent.records
	return slices.Clone(all[len(all)-min(max(n, 0), len(all)):])
}

// Records are at most so many behind that sequence, the newest last; of 0, the newest ones.
func (l *Log) Records(after uint64, limit int) ([]audit.Record, error) {
	limit = min(max(limit, 0), MaxRecords)
	if after == 0 {
		return l.newest(limit), nil
	}
	if all, ok := l.remembered(after, limit); ok {
		return all, nil
	}
	l.reading.Lock()
	defer l.reading.Unlock()
	names, err := l.disk.Names(l.dir)
	if err != nil {
		return nil, err
	}
	files := append(filesIn(names), file{name: currentName})
	for len(files) > 2 && files[1].first <= after+1 {
		files = files[1:]
	}
	var found recent
	for _, f := range files {
		if err := l.collect(f.name, after, limit, &found); err != nil || len(found.records) == limit || found.octets > maxOctets/2 {
			return found.records, err
		}
	}
	return found.records, nil
}

// remembered answers from memory what is there.
func (l *Log) remembered(after uint64, limit int) (all []audit.Record, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after >= l.head.Sequence {
		return nil, true
	}
	r := l.recent.records
	if len(r) == 0 || r[0].Sequence > after+1 {
		return nil, false
	}
	r = r[after+1-r[0].Sequence:]
	return slices.Clone(r[:min(limit, len(r))]), true
}

// collect reads on in a file. A gap ends it: files change hands while they are read, and the next question goes on behind it.
func (l *Log) collect(name string, after uint64, limit int, into *recent) error {
	f, err := l.disk.Open(l.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewReaderSize(f, audit.MaxLine)
	for len(into.records) < limit && into.octets <= maxOctets/2 {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return nil // an end without a newline is being written
		}
		if err != nil {
			return err
		}
		if n, ok := sequenceOf(line); ok && n <= after {
			continue
		}
		r, err := audit.Parse(line)
		if err != nil {
			return err
		}
		if n := len(into.records); n > 0 && into.records[n-1].Sequence+1 != r.Sequence {
			return nil
		}
		into.add(r)
	}
	return nil
}

// sequenceOf reads the first member only.
func sequenceOf(line []byte) (n uint64, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte(`{"seq":`))
	digits, _, found := bytes.Cut(rest[:min(len(rest), 21)], []byte{','})
	n, err := strconv.ParseUint(string(digits), 10, 64)
	return n, ok && found && err == nil
}
