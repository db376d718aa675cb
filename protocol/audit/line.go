package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxLine bounds a line with its end, in octets: what reading one may cost.
const MaxLine = 16 << 10

// ErrTooLong is a record that does not fit into a line; Bounded makes it fit.
var ErrTooLong = errors.New("audit: the record is too long for a line")

// The bounds of what stands in a record, in octets as they are written. Their sum is below MaxLine: a caller can fill a record
// and never keep it from being written.
const (
	maxWord  = 64 // kind, role, address, result, key of idempotency
	maxName  = 256
	maxText  = 1024
	maxState = 2048 // before and after
	maxArgs  = 6 << 10
)

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

// hashMember is what begins the last member. It cannot stand in a text, where its quotes would be escaped.
const hashMember = `,"hash":"`

// AppendTo appends the line of a record, as it is; Seal gives it its hash.
func (r Record) AppendTo(b []byte) ([]byte, error) {
	start := len(b)
	var line bytes.Buffer
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false) // it is for people with grep, not for browsers
	if err := e.Encode(r); err != nil {
		return b, fmt.Errorf("audit: record %d cannot be written: %v", r.Sequence, err)
	}
	b = appendLegible(b, bytes.TrimSuffix(line.Bytes(), []byte{'\n'}))
	if len(b)-start >= MaxLine {
		return b[:start], ErrTooLong
	}
	return append(b, '\n'), nil
}

// appendLegible appends JSON in which all that would act on a terminal is escaped: people read the log with grep and tail, and
// callers choose texts in it. JSON itself lets C1 controls and those of bidirectional text through.
func appendLegible(b, json []byte) []byte {
	for len(json) > 0 {
		r, n := utf8.DecodeRune(json)
		switch high, low := utf16.EncodeRune(r); {
		case unicode.IsPrint(r): // or no UTF-8, which stays as it is; Bounded lets none through
			b = append(b, json[:n]...)
		case high != unicode.ReplacementChar:
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
		json = json[n:]
	}
	return b
}

// Parse reads a line, with its end or without. It knows the form alone, and ignores members that it does not know: a newer
// ntptsd may have written them. Whether the hash is right is told by Sum.
func Parse(line []byte) (r Record, err error) {
	if len(line) > MaxLine {
		return r, ErrTooLong
	}
	if _, err := body(line); err != nil {
		return r, err
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return Record{}, fmt.Errorf("audit: the line is no record: %v", err)
	}
	if r.Sequence == 0 || !isHash(r.Previous) || !isHash(r.Hash) {
		return Record{}, errors.New("audit: the line is no record: its seq, prev or hash cannot be one")
	}
	return r, nil
}

// Sum is the hash that the record on a line must have; empty: the line is none.
func Sum(line []byte) string {
	hashed, err := body(line)
	if err != nil {
		return ""
	}
	h := sha256.New()
	h.Write(hashed)
	h.Write([]byte{'}'})
	return hex.EncodeToString(h.Sum(nil))
}

// body is what is hashed of a line, but for the } at its end.
func body(line []byte) ([]byte, error) {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	i := bytes.LastIndex(line, []byte(hashMember))
	if i < 0 || !bytes.HasPrefix(line, []byte{'{'}) || !isHashEnd(line[i+len(hashMember):]) {
		return nil, errors.New("audit: the line is no record: it does not end in its hash")
	}
	return line[:i], nil
}

func isHashEnd(b []byte) bool {
	text, ok := strings.CutSuffix(string(b), `"}`)
	return ok && (text == "" || isHash(text)) // none yet: Seal
}

func isHash(s string) bool {
	return len(s) == len(zeros) && strings.Trim(s, "0123456789abcdef") == ""
}

// Seal is the record behind another one: with its sequence, the hash of that one, and its own. Behind none stands record 1.
func (r Record) Seal(behind Head) (Record, error) {
	r.Sequence, r.Previous, r.Hash = behind.Sequence+1, behind.Hash, ""
	if behind.Sequence == 0 {
		r.Previous = zeros
	}
	line, err := r.AppendTo(nil)
	if err != nil {
		return r, err
	}
	r.Hash = Sum(line)
	return r, nil
}

// Bounded is the record as it can be written: in UTF-8, in UTC, and each part of it cut to its bound.
func (r Record) Bounded() Record {
	r.Time = r.Time.Round(0).UTC()
	if y := r.Time.Year(); y < 0 || y > 9999 { // RFC 3339 has no other years: the clock is far off
		r.Time = time.Unix(0, 0).UTC()
	}
	for text, most := range map[*string]int{
		&r.Kind: maxWord, &r.Role: maxWord, &r.From: maxWord, &r.Result: maxWord, &r.Key: maxWord, &r.Caller: maxName, &r.Command: maxName,
		&r.Summary: maxText, &r.Error: maxText, &r.Before: maxState, &r.After: maxState,
	} {
		*text = clip(*text, most)
	}
	r.Args = boundedArgs(r.Args)
	return r
}

func boundedArgs(args json.RawMessage) json.RawMessage {
	if len(args) == 0 {
		return nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, args); err != nil || args[0] == 'n' || compact.Bytes()[0] != '{' || !utf8.Valid(args) {
		return json.RawMessage(`{"unreadable":true}`)
	}
	legible := appendLegible(nil, compact.Bytes())
	if n := len(legible); n > maxArgs {
		return json.RawMessage(fmt.Sprintf(`{"octets":%d}`, n))
	}
	return legible
}

// clip is valid UTF-8 that takes at most so many octets between its quotes.
func clip(s string, most int) string {
	const sign = "…"
	var b strings.Builder
	used, cut := 0, 0
	for _, r := range s { // what is no UTF-8 is U+FFFD here
		n := written(r)
		if used+n > most {
			return b.String()[:cut] + sign
		}
		b.WriteRune(r)
		if used += n; used+len(sign) <= most {
			cut = b.Len()
		}
	}
	return b.String()
}

// written is how many octets a character takes in JSON, at most.
func written(r rune) int {
	switch {
	case r == '"', r == '\\':
		return 2
	case unicode.IsPrint(r):
		return utf8.RuneLen(r)
	case r > 0xffff:
		return len(`\u0000\u0000`)
	}
	return len(`\u0000`)
}
