// Package console is the services port for people: a line protocol that openssl s_client, nc and scripts speak alike. A request
// is a line of words, an answer is a line "200 text", or "200-" with the command, lines of data and a line with a single
// dot (data that begins with a dot has one more). The word json before a command makes its answer one line of JSON instead.
// Answers come in the order of the requests, which may be sent ahead. Commands are those of the table; those of ntpq and
// chronyc are answered in these tools' own form. What they do, and who may, is left to the table.
//
//	S: 220 ntptsd 1 ready: you are operator "alice"; help lists the commands, quit ends
//	C: peers
//	S: 200-peers
//	S:      remote           refid      st t when poll reach   delay   offset  jitter
//	S: .
//	C: json tracking
//	S: {"code":200,"result":{"source":"chrony", ...}}
package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// What one connection may cost.
const (
	maxLine = 1024 // octets of a request, its end included
	maxOut  = 16 << 10
	// maxStranger is how many lines are answered before anybody has logged in, each by one line.
	maxStranger = 8

	strangerTimeout = 15 * time.Second // for a log-in, whatever is said meanwhile
	idleTimeout     = 5 * time.Minute  // for the next line, after it
	writeTimeout    = 10 * time.Second // for a reader who does not read
	commandTimeout  = 10 * time.Second
	byeTimeout      = time.Second
)

// Commands do the commands of the table. Safe for concurrent use. Their errors have an api.Kind.
type Commands interface {
	Declarations() []api.Declaration
	Call(ctx context.Context, who api.Caller, name string, args []byte, how api.How) (any, error)
}

// Words answers in the daemon's own form. Safe for concurrent use.
type Words interface {
	Say(ctx context.Context, word string, args []string) (api.Native, error)
}

// Logins tells who shows a token, and whether somebody still counts. Safe for concurrent use.
type Logins interface {
	Token(remote netip.Addr, token string) (api.Caller, error)
	Still(who api.Caller) bool
}

// Stream is what happens. Safe for concurrent use.
type Stream interface {
	Next(ctx context.Context, after uint64) ([]api.Item, error)
}

// Console serves connections. Its fields are set before the first one. A prometheus.Collector.
type Console struct {
	Commands Commands
	Words    Words
	Logins   Logins
	Stream   Stream
	// View is the text for people of what a command answered as JSON.
	View func(command string, answer []byte, now time.Time) (string, error)

	answers counters
	longs   atomic.Int32 // long answers that are being written
}

// session is one connection, and belongs to its goroutine.
type session struct {
	*Console
	conn     net.Conn
	in       *lines
	out      *writer
	who      api.Caller
	remote   netip.Addr
	verbs    verbs
	answered int       // lines, of a stranger
	begun    time.Time // when the stranger came
}

// errBye ends a session in peace.
var errBye = errors.New("console: bye")

// Serve answers until the peer has gone, is idle for too long, or ctx is done.
func (c *Console) Serve(ctx context.Context, conn net.Conn, who api.Caller) {
	s := &session{Console: c, conn: conn, in: newLines(conn), out: newWriter(conn, &c.answers), who: who, remote: addressOf(conn),
		verbs: newVerbs(c.Commands.Declarations()), begun: time.Now()}
	s.who.From = s.remote
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	s.out.line(codeReady, s.greeting())
	for {
		line, err := s.next(ctx)
		if err == nil {
			err = s.request(ctx, line)
		}
		if err != nil {
			s.end(err)
			return
		}
	}
}

func addressOf(conn net.Conn) netip.Addr {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr()
	}
	return netip.Addr{}
}

// greeting tells a stranger how to go on, and nothing else.
func (s *session) greeting() string {
	if s.stranger() {
		return "ntptsd 1 ready: log in with a client certificate, or now with: login TOKEN"
	}
	return fmt.Sprintf("ntptsd 1 ready: you are %s %q; help lists the commands, quit ends", s.who.Role, s.who.Name)
}

func (s *session) stranger() bool { return s.who.Role == api.Anonymous }

// next is the next line. What was answered is sent before anybody is waited for.
func (s *session) next(ctx context.Context) (string, error) {
	if !s.in.ready() {
		if err := s.out.flush(); err != nil {
			return "", err
		}
	}
	deadline := time.Now().Add(idleTimeout)
	if s.stranger() {
		deadline = s.begun.Add(strangerTimeout)
	}
	if err := s.conn.SetReadDeadline(deadline); err != nil {
		return "", err
	}
	if ctx.Err() != nil { // after the deadline was set: it must not outlive the one of the end
		return "", context.Cause(ctx)
	}
	return s.in.next()
}

// request answers one line; an error ends the session.
func (s *session) request(ctx context.Context, line string) error {
	words, err := split(line)
	if err != nil {
		s.out.line(codeBadArgument, err.Error())
		return s.countStranger()
	}
	words, form, err := prefixes(words)
	if err != nil {
		s.out.line(codeBadArgument, err.Error())
		return s.countStranger()
	}
	if len(words) == 0 {
		return s.countStranger()
	}
	if !s.stranger() && !s.Logins.Still(s.who) {
		s.out.line(codeLogIn, "what you logged in with does not count any more")
		return errBye
	}
	if err := s.answer(ctx, strings.ToLower(words[0]), words, form); err != nil {
		return err
	}
	return s.countStranger()
}

// form is how an answer is wanted, and a change.
type form struct {
	json bool
	how  api.How
}

// prefixes takes off the words what may stand before any command.
func prefixes(words []string) (rest []string, f form, err error) {
	for len(words) > 0 {
		takes := 1
		switch strings.ToLower(words[0]) {
		case "show":
		case "json":
			f.json = true
		case "dry-run":
			f.how.DryRun = true
		case "confirm-within":
			takes = 2
			if len(words) > 1 {
				f.how.ConfirmWithin, err = time.ParseDuration(words[1])
			}
			if err != nil || f.how.ConfirmWithin <= 0 {
				return nil, f, errors.New("confirm-within takes a time, as 5m, and then the command")
			}
		case "once":
			if takes = 2; len(words) > 1 {
				f.how.Key = words[1]
			}
		default:
			return words, f, nil
		}
		if words = words[min(takes, len(words)):]; len(words) == 0 && f != (form{}) {
			return nil, f, errors.New("a command is missing behind this")
		}
	}
	return words, f, nil
}

// countStranger bounds what is said to somebody who does not log in.
func (s *session) countStranger() error {
	if s.answered++; s.stranger() && s.answered >= maxStranger {
		return errBye
	}
	return nil
}

// end says why, as far as the peer may still hear it.
func (s *session) end(err error) {
	_ = s.conn.SetWriteDeadline(time.Now().Add(byeTimeout))
	switch {
	case errors.Is(err, errLineTooLong), errors.Is(err, errNotText), errors.Is(err, errHTTP):
		s.out.line(codeFailed, err.Error())
	case errors.Is(err, errBye), errors.Is(err, io.EOF):
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.out.line(codeClosing, "too long without a line or a log-in, or ntptsd ends")
	case errors.Is(err, context.Canceled):
		s.out.line(codeClosing, "ntptsd ends")
	default:
		return
	}
	_ = s.out.flush()
}
