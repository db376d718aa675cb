package sockets

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

// TakeOverPath is where an ntptsd is asked for its sockets, on its control socket.
const TakeOverPath = "/v1/take-over"

// Taking is the new one's side: see HandOver. One goroutine's, but for Close.
type Taking struct {
	Lock *os.File // of the state directory; the caller's

	dialogue  dialogue
	stop      func() bool
	inherited *inheritance
	set       *Set
}

// TakeOver asks whoever answers on the control socket at path for all that it serves on. When ctx is done, or the old one takes
// too long, everything fails.
func TakeOver(ctx context.Context, path string) (*Taking, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("no ntptsd answers on %s: start without --take-over", path)
	}
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(HandOverWithin)) // fails on a closed connection only
	t := &Taking{dialogue: dialogue{conn}, inherited: &inheritance{gate: newGate()}}
	t.stop = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	if err = greet(conn); err == nil {
		err = t.receive()
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// greet turns HTTP into the protocol. The old one says nothing more until it is asked, so that nothing is read too far.
func greet(conn net.Conn) error {
	_, err := io.WriteString(conn, "POST "+TakeOverPath+" HTTP/1.1\r\nHost: ntptsd\r\nConnection: Upgrade\r\nUpgrade: "+TakeOverProtocol+"\r\nContent-Length: 0\r\n\r\n")
	if err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxGreeting)), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusSwitchingProtocols && strings.EqualFold(answer.Header.Get("Upgrade"), TakeOverProtocol):
		return nil
	case answer.StatusCode == http.StatusNotFound, answer.StatusCode == http.StatusMethodNotAllowed, answer.StatusCode == http.StatusSwitchingProtocols:
		return errors.New("the ntptsd that runs hands over in another way, or not at all: stop it and start this one without --take-over")
	}
	why, _ := io.ReadAll(io.LimitReader(answer.Body, maxMessage))
	return fmt.Errorf("the ntptsd that runs says no: %s", printable(strings.TrimSpace(string(why))))
}

// maxGreeting bounds the answer of HTTP.
const maxGreeting = 8 << 10

// receive takes the lock and every socket.
func (t *Taking) receive() error {
	for range maxSockets {
		if err := t.dialogue.say(message{say: sayNext}, none); err != nil {
			return err
		}
		m, f, err := t.dialogue.hearFile()
		if err != nil {
			return err
		}
		switch {
		case m.say == sayEnd && f == nil && t.Lock != nil:
			return nil
		case m.say == sayLock && f != nil && t.Lock == nil:
			t.Lock = f
		case m.say == saySocket && f != nil && t.Lock != nil:
			if err := t.inherited.add(m, f); err != nil {
				return err
			}
		default:
			if f != nil {
				f.Close()
			}
			return errTurn
		}
	}
	return fmt.Errorf("the ntptsd that runs has more than %d sockets: restart instead", maxSockets)
}

// add takes a socket out of f, which it closes.
func (in *inheritance) add(m message, f *os.File) error {
	defer f.Close()
	h, err := newHanded(f)
	if err != nil {
		return fmt.Errorf("a socket that was handed over for %s: %w", m.name, err)
	}
	h.name, h.made = m.name, m.made
	in.left = append(in.left, h)
	return nil
}

// Open makes what cfg names of what was taken, and opens what is new. Nothing is accepted or read before Taken: Accept and
// ReadBatch wait.
func (t *Taking) Open(cfg *config.Config) (*Set, error) {
	s, err := open(cfg, t.inherited)
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("%w; what cannot be changed by --take-over can be by a restart", err)
	}
	t.set = s
	return s, nil
}

// Freeze returns when the old one has written all it knows, and no longer writes.
func (t *Taking) Freeze() error { return t.ask(sayFreeze, sayFrozen) }

// Ready tells that we could serve. nil: all is ours, and the old one waits for Taken.
func (t *Taking) Ready() error { return t.ask(sayReady, sayYours) }

func (t *Taking) ask(say, answer string) error {
	if err := t.dialogue.say(message{say: say}, none); err != nil {
		return err
	}
	return t.dialogue.expect(answer)
}

// Taken lets the services have the sockets, and the old one end. It cannot fail: an old one that is gone needs no telling.
func (t *Taking) Taken() {
	t.set.unlinkControl(true)
	t.set.gate.open()
	t.stop()
	_ = t.dialogue.conn.SetDeadline(time.Now().Add(refusalWithin))
	_ = t.dialogue.say(message{say: sayTaken}, none)
	_ = t.dialogue.conn.Close()
}

// Refuse tells the old one why nothing comes of it.
func (t *Taking) Refuse(err error) {
	if t.stop() {
		_ = t.dialogue.refuse(err)
	}
}

// Close ends the conversation, and what is left of the sockets. Before Taken the old one goes on.
func (t *Taking) Close() {
	t.stop()
	t.dialogue.conn.Close()
	t.inherited.close()
	if t.set == nil && t.Lock != nil {
		t.Lock.Close()
	}
}
