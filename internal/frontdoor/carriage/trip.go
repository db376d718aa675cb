package carriage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/tunnel"
)

// trip is one connection.
type trip struct {
	*Carriage
	conn   net.Conn
	cancel context.CancelFunc // ends the connection
	own    *pace
	open   open

	writing sync.Mutex
	frame   []byte // guarded by writing: what is written

	// Of the goroutine that serves.
	who    api.Caller
	ends   *time.Timer // nil if nothing does
	daemon *line       // nil until something is forwarded
}

// admit makes the connection the caller's, until what the caller showed ends.
func (t *trip) admit(who api.Caller) {
	t.stopClock()
	t.who = who
	if a, ok := t.conn.RemoteAddr().(*net.TCPAddr); ok {
		t.who.From = a.AddrPort().Addr().Unmap()
	}
	if guest, ok := t.conn.(interface{ LoggedIn() }); ok && who.Role > api.Anonymous {
		guest.LoggedIn()
	}
	if !who.Until.IsZero() {
		t.ends = time.AfterFunc(time.Until(who.Until), t.cancel)
	}
}

func (t *trip) stopClock() {
	if t.ends != nil {
		t.ends.Stop()
	}
}

var (
	errAnonymous = errors.New("somebody who has not logged in asked for more")
	errTurned    = errors.New("the greeting was refused")
	errGone      = errors.New("what the caller logged in with does not count any more")
)

// run reads frames until there is a reason to end.
func (t *trip) run(ctx context.Context) error {
	r := bufio.NewReaderSize(t.conn, maxFrame)
	room := make([]byte, tunnel.MaxDatagram)
	for first := true; ; first = false {
		patience := idleTimeout
		if t.role(t.who) == api.Anonymous {
			patience = loginTimeout
		}
		if err := t.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		frame, err := tunnel.ReadFrame(r, room)
		if errors.Is(err, tunnel.ErrLength) {
			t.count(badLength)
		}
		if err != nil {
			return err
		}
		if t.who.Login != "" && t.Still != nil && !t.Still(t.who) {
			return errGone
		}
		if token, ok := tunnel.ParseGreeting(frame); ok && first {
			err = t.greet(ctx, token)
		} else {
			err = t.carry(ctx, frame)
		}
		if err != nil {
			return err
		}
	}
}

// greet lets the caller in, if the caller may ask here and there is somebody to ask.
func (t *trip) greet(ctx context.Context, token string) error {
	err := t.login(ctx, token)
	if err == nil {
		err = t.permit(t.who)
	}
	if err == nil {
		err = t.call(ctx)
	}
	if err == nil {
		t.count(greeted)
		return t.write(tunnel.AppendAnswer(nil, ""))
	}
	t.count(turnedAway)
	against := "ntptsd failed"
	if known, ok := errors.AsType[*api.Error](err); ok {
		against = known.Error()
	}
	if err := t.write(tunnel.AppendAnswer(nil, against)); err != nil {
		return err
	}
	return fmt.Errorf("%w: %w", errTurned, err)
}

// login leaves who is known already alone, if there is no token.
func (t *trip) login(ctx context.Context, token string) error {
	switch {
	case token == "":
		return nil
	case t.Login == nil:
		return api.Failf(api.Unknown, "no tokens are taken here")
	}
	who, err := t.Login(ctx, t.conn, token)
	if err == nil {
		t.admit(who)
	}
	return err
}

// carry hands a frame on, or refuses it. It fails when the connection is to end. A turn of all connections' pace is for what the
// daemon is asked alone; a stranger, who asks once, waits for nothing.
func (t *trip) carry(ctx context.Context, frame []byte) error {
	role := t.role(t.who)
	d := t.judge(frame, role, t.Writes)
	if role != api.Anonymous {
		if err := t.own.wait(ctx); err != nil {
			return err
		}
	}
	if d.verdict == forwarded {
		if err := t.pace.wait(ctx); err != nil {
			return err
		}
		t.open.add(d.asked) // before the answer can be there
		if err := t.ask(ctx, frame); err != nil {
			d.verdict = unreachable
			t.Log.Debug("a frame is lost", "cause", err)
		}
	}
	t.count(d.verdict)
	if d.verdict == refused {
		if d.change != "" && role != api.Anonymous && t.Refused != nil {
			t.Refused(t.who, t.name()+" "+d.change)
		}
		if err := t.write(d.refusal); err != nil {
			return err
		}
	}
	if role == api.Anonymous {
		return errAnonymous // one small answer is all that strangers get
	}
	return nil
}

// write hands one datagram to the client. Who does not read is cut: nothing waits but what is being written, and what the
// kernel holds.
func (t *trip) write(datagram []byte) (err error) {
	t.writing.Lock()
	defer t.writing.Unlock()
	if t.frame, err = tunnel.AppendFrame(t.frame[:0], datagram); err != nil {
		return err
	}
	if err = t.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err == nil {
		_, err = t.conn.Write(t.frame) // one, so that length and datagram share a record and a packet
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.count(cut)
	}
	return err
}

// ask hands a frame to the daemon. One that was started anew has another socket.
func (t *trip) ask(ctx context.Context, frame []byte) error {
	if err := t.call(ctx); err != nil {
		return err
	}
	err := t.daemon.send(frame)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	t.daemon.hangUp()
	if err := t.call(ctx); err != nil {
		return err
	}
	return t.daemon.send(frame)
}

// call opens the socket to the daemon, unless there is one that works.
func (t *trip) call(ctx context.Context) error {
	if t.daemon.works() {
		return nil
	}
	t.daemon.hangUp()
	ctx, cancel := context.WithTimeout(ctx, daemonTimeout)
	defer cancel()
	conn, err := t.dial(ctx)
	if err != nil {
		return err
	}
	t.daemon = &line{conn: conn, ended: make(chan struct{})}
	go func(l *line) {
		defer close(l.ended)
		if t.handBack(l.conn) != nil {
			t.cancel()
		}
	}(t.daemon)
	return nil
}

// handBack hands the daemon's answers to the client, until the daemon's socket ends. It fails if the client's does.
func (t *trip) handBack(daemon net.Conn) error {
	room := make([]byte, tunnel.MaxDatagram+1)
	for bad := 0; bad < maxErrorsOfTheDaemon; {
		n, err := daemon.Read(room)
		switch {
		case err == nil:
			bad = 0
		case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET): // it may come back
			bad++
			continue
		default:
			return nil
		}
		if key, ok := t.answers(room[:n]); !ok || n > tunnel.MaxDatagram || !t.open.take(key, n) {
			t.count(unasked)
			continue
		}
		if err := t.write(room[:n]); err != nil {
			return err
		}
		t.count(answered)
	}
	return nil
}
