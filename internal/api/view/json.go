package view

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf16"
)

// maxDepth bounds how deep an answer nests, and so how far it is indented.
const maxDepth = 32

// decode reads an answer of the declared type. What it has beside that may come from a newer daemon; lists are never left
// out.
func decode[R any](answer []byte) (r R, err error) {
	answer = bytes.TrimSpace(answer)
	if !bytes.HasPrefix(answer, []byte("{")) { // null, too, which Unmarshal would take
		return r, errors.New("it is no JSON object")
	}
	if err := json.Unmarshal(answer, &r); err != nil {
		return r, err
	}
	for f, v := range reflect.ValueOf(r).Fields() {
		if v.Kind() == reflect.Slice && v.IsNil() {
			return r, fmt.Errorf("it has no list %q", f.Tag.Get("json"))
		}
	}
	return r, nil
}

// Indent writes JSON for people. What would act on a terminal, which JSON allows in strings, is escaped as JSON does.
func Indent(out *bytes.Buffer, answer []byte) error {
	if err := checkDepth(answer); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(answer), "", "  "); err != nil {
		return err
	}
	out.WriteString(Escape(b.String()))
	out.WriteByte('\n')
	return nil
}

// Escape writes JSON so that nothing in its strings acts on a terminal.
func Escape(text string) string {
	var out strings.Builder
	for _, r := range text {
		switch high, low := utf16.EncodeRune(r); {
		case r == '\n' || unicode.IsPrint(r):
			out.WriteRune(r)
		case high != unicode.ReplacementChar:
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}

func checkDepth(answer []byte) error {
	depth := 0
	for b := range Structure(answer) {
		switch b {
		case '{', '[':
			if depth++; depth > maxDepth {
				return fmt.Errorf("it nests deeper than %d levels", maxDepth)
			}
		case '}', ']':
			depth--
		}
	}
	return nil
}

// Structure gives the octets of JSON, or what shall be, that stand in no string.
func Structure(json []byte) iter.Seq[byte] {
	return func(yield func(byte) bool) {
		quoted, escaped := false, false
		for _, b := range json {
			switch {
			case escaped:
				escaped = false
			case b == '\\':
				escaped = quoted
			case b == '"':
				quoted = !quoted
			case !quoted && !yield(b):
				return
			}
		}
	}
}
