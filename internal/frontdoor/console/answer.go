package console

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/api/view"
)

// Codes of answers. Where chronyc has a number for the same thing, it is that.
const (
	codeReady       = 220
	codeOK          = 200
	codeClosing     = 421
	codeNoAnswer    = 430 // from the daemon next door
	codeBusy        = 450
	codeFailed      = 500
	codeDenied      = 501
	codeUnknown     = 502 // command
	codeNotFound    = 503
	codeBadArgument = 504
	codeConflict    = 505
	codeLogIn       = 530
)

// codeOf is the code of a kind of error.
func codeOf(k api.Kind) int {
	switch k {
	case api.BadArgument:
		return codeBadArgument
	case api.Unknown:
		return codeLogIn
	case api.TooMany:
		return codeBusy
	case api.Denied:
		return codeDenied
	case api.NotFound:
		return codeNotFound
	case api.Conflict:
		return codeConflict
	case api.Unavailable:
		return codeNoAnswer
	}
	return codeFailed
}

// writer writes answers. An error sticks and is told by flush.
type writer struct {
	conn  net.Conn
	b     *bufio.Writer
	told  *counters
	until time.Time // when a long answer must have been taken; zero: none is written
}

func newWriter(conn net.Conn, told *counters) *writer {
	w := &writer{conn: conn, told: told}
	w.b = bufio.NewWriterSize(deadlined{w}, maxOut)
	return w
}

// deadlined gives every write its time: a reader who does not read is cut.
type deadlined struct{ *writer }

func (d deadlined) Write(b []byte) (int, error) {
	deadline := time.Now().Add(writeTimeout)
	if !d.until.IsZero() && d.until.Before(deadline) {
		deadline = d.until
	}
	if err := d.conn.SetWriteDeadline(deadline); err != nil {
		return 0, err
	}
	return d.conn.Write(b)
}

func (w *writer) flush() error { return w.b.Flush() }

const newline = "\r\n"

// line is a whole answer. Whatever the text quotes, it stays a line.
func (w *writer) line(code int, text string) {
	w.told.count(code)
	w.b.WriteString(strconv.Itoa(code))
	w.b.WriteByte(' ')
	w.b.WriteString(harmless(text))
	w.b.WriteString(newline)
}

// begin begins an answer of several lines.
func (w *writer) begin(command string) {
	w.told.count(codeOK)
	w.b.WriteString(strconv.Itoa(codeOK))
	w.b.WriteByte('-')
	w.b.WriteString(harmless(command))
	w.b.WriteString(newline)
}

// data is text within such an answer.
func (w *writer) data(text string) {
	for line := range strings.Lines(text) {
		line = harmless(strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\t", "        ")) // NTPsec's filters have tabs
		if strings.HasPrefix(line, ".") {
			w.b.WriteByte('.')
		}
		w.b.WriteString(line)
		w.b.WriteString(newline)
	}
}

// end ends it.
func (w *writer) end() { w.b.WriteString("." + newline) }

// object is an answer in JSON, on one line.
func (w *writer) object(code int, result any, problem *api.Problem) error {
	b, err := encoded(code, result, problem)
	if err != nil {
		return err
	}
	w.told.count(code)
	w.json(b)
	return nil
}

func encoded(code int, result any, problem *api.Problem) ([]byte, error) {
	var answer any = struct {
		Code   int `json:"code"`
		Result any `json:"result"`
	}{code, result}
	if problem != nil {
		answer = struct {
			Code  int          `json:"code"`
			Error *api.Problem `json:"error"`
		}{code, problem}
	}
	b, err := json.Marshal(answer)
	return b, api.Fail(api.Internal, err)
}

// json is a line of JSON, in which all is an escape that a terminal would act on: an encoder leaves some of that as it is.
func (w *writer) json(b []byte) {
	if bytes.ContainsFunc(b, acts) {
		b = []byte(view.Escape(string(b)))
	}
	w.b.Write(b)
	w.b.WriteString(newline)
}

// harmless has nothing that a terminal would act on: no control characters, and no marks that turn the direction of text.
func harmless(s string) string {
	if !strings.ContainsFunc(s, acts) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if acts(r) {
			return '?'
		}
		return r
	}, s)
}

func acts(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' || r == 0x7f
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar || r == '\u2028' || r == '\u2029'
}
