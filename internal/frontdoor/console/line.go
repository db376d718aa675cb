package console

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxWords bounds the words of a line.
const maxWords = 32

var (
	errLineTooLong = fmt.Errorf("a line has at most %d octets", maxLine)
	errNotText     = errors.New("a line is UTF-8 text without control characters")
	errQuote       = errors.New(`a quoted word ends with the same "`)
	errHTTP        = errors.New("this is a console, and too late for HTTP")
	errWords       = fmt.Errorf("a line has at most %d words", maxWords)
)

// lines reads requests.
type lines struct{ r *bufio.Reader }

func newLines(r io.Reader) *lines { return &lines{bufio.NewReaderSize(r, maxLine)} }

// ready tells whether a whole line was received already.
func (l *lines) ready() bool {
	waiting, _ := l.r.Peek(l.r.Buffered())
	return bytes.IndexByte(waiting, '\n') >= 0
}

// next is the next line without its end, LF or CR LF. What a peer sends before it half-closes counts as a line. A request of
// HTTP ends the session, wherever it comes: behind its first line a web page may say whatever it likes.
func (l *lines) next() (string, error) {
	b, err := l.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errLineTooLong
	case err != nil && (!errors.Is(err, io.EOF) || len(b) == 0):
		return "", err
	}
	line, err := clean(bytes.TrimRight(b, "\r\n"))
	if err == nil && isHTTP(line) {
		return "", errHTTP
	}
	return line, err
}

// isHTTP tells whether a line is a request line (RFC 9112 section 3) of any version, or the preface of HTTP/2: three words, the last of which
// is the version. No browser and no page can leave it out.
func isHTTP(line string) bool {
	words := strings.Fields(line)
	return len(words) > 2 && len(words[len(words)-1]) > len("HTTP/") && strings.EqualFold(words[len(words)-1][:len("HTTP/")], "HTTP/")
}

// clean takes telnet's options out (RFC 854: IAC, command, option) and refuses what is no text.
func clean(b []byte) (string, error) {
	const iac = 0xff
	if bytes.IndexByte(b, iac) >= 0 {
		kept := b[:0]
		for i := 0; i < len(b); i++ {
			if b[i] == iac {
				i += 2
				continue
			}
			kept = append(kept, b[i])
		}
		b = kept
	}
	if !utf8.Valid(b) {
		return "", errNotText
	}
	s := strings.ReplaceAll(string(b), "\t", " ")
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "", errNotText
	}
	return s, nil
}

// split gives the words of a line: between blanks, or between quotation marks.
func split(line string) (words []string, err error) {
	for line = strings.TrimLeft(line, " "); line != ""; line = strings.TrimLeft(line, " ") {
		if len(words) == maxWords {
			return nil, errWords
		}
		if rest, quoted := strings.CutPrefix(line, `"`); quoted {
			word, rest, whole := strings.Cut(rest, `"`)
			if !whole || rest != "" && rest[0] != ' ' {
				return nil, errQuote
			}
			words, line = append(words, word), rest
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		words, line = append(words, word), rest
	}
	return words, nil
}
