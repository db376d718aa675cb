package console

import (
	"bufio"
	"encoding/json"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/ntptsd/ntptsd/internal/api"
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
	conn net.Conn
	b    *bufio.Writer
	told *counters
}

func newWriter(conn net.Conn, told *counters) *writer {
	w := &writer{conn: conn, told: told}
	w.b = bufio.NewWriterSize(deadlined{conn}, maxOut)
	return w
}

// deadlined gives every write its time: a reader who does not read is cut.
type deadlined struct{ net.Conn }

func (d deadlined) Write(b []byte) (int, error) {
	if err := d.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return d.Conn.Write(b)
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
	b, err := json.Marshal(answer) // escapes control characters
	if err != nil {
		return api.Fail(api.Internal, err)
	}
	w.told.count(code)
	w.b.Write(b)
	w.b.WriteString(newline)
	return nil
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
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar || r == '\u2028' || r == '\u2029'
}
