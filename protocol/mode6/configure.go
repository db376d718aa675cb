package mode6

import (
	"errors"
	"fmt"
	"strings"
)

// ErrLine tells that something is no line for a running daemon.
var ErrLine = errors.New("mode6: not one printable line of a configuration")

// maxLine leaves room for more blanks.
const maxLine = MaxData - 7

// Configure is the request for one line of ntp.conf, to be signed with the control key: two words or more. The first blank is
// made so wide that those daemons which look for the MAC at the next multiple of 4 find it where the others do, at the next of
// 8; classic ntpd refuses a line that ends in blanks. What the words mean is the caller's business; a comment, or a second line,
// is never among them.
func Configure(line string) (Request, error) {
	odd := func(c rune) bool { return c < ' ' || c > '~' || c == '#' }
	first, rest, words := strings.Cut(line, " ")
	if !words || strings.TrimSpace(line) != line || len(line) > maxLine || strings.ContainsFunc(line, odd) {
		return Request{}, ErrLine
	}
	lack := -(headerLen + len(line)) & 7
	return Request{Op: OpConfigure, Data: []byte(first + strings.Repeat(" ", 1+lack) + rest)}, nil
}

// Refusal is what a daemon says of a line that it does not take. It is the daemon's text, cut to what can be shown.
type Refusal string

func (r Refusal) Error() string { return fmt.Sprintf("ntpd refuses the line: %s", string(r)) }

// ParseVerdict reads the answer to Configure: nil, or a Refusal. Taken means no more than that the line was understood: what
// became of it, only reading tells.
func ParseVerdict(data []byte) error {
	const most = 200 // of a text that goes into an error
	switch text := Sentence(data); text {
	case "Config Succeeded":
		return nil
	case "":
		return Refusal("it does not say why")
	default:
		return Refusal(text[:min(len(text), most)])
	}
}
