package sockets

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// HandOverWithin is how long a new ntptsd may take from its first word until it is ready. Meanwhile the old one serves, but
// writes no file and rotates no key.
const HandOverWithin = 30 * time.Second

// maxSockets bounds what one ntptsd takes from another: a socket for each worker and address.
const maxSockets = 1024

var (
	// ErrGivenUp tells that the other side has ended, or takes too long.
	ErrGivenUp = errors.New("sockets: the other ntptsd has given up")
	errTurn    = errors.New("sockets: the other ntptsd speaks out of turn")
)

// Frozen is what changes files. Safe for concurrent use.
type Frozen interface {
	// Freeze returns when no file is changed any more, until Thaw. After an error it is thawed.
	Freeze(ctx context.Context) error
	Thaw()
}

// HandOver is the old one's side: it gives away what a Set has.
//
//	new                        old
//	next                       lock + the descriptor that locks the state directory
//	next                       socket NAME made|unit + its descriptor, and so on, then end
//	freeze                     frozen: the files are as they are in memory, and stay so
//	ready                      yours: there is no way back
//	taken: it serves           ends, when its exchanges are over
//
// Until it has said yours, the old one takes everything back when the new one ends, says no or takes too long; after that only
// when it ends, since it alone can know whether it has begun.
type HandOver struct {
	Set    *Set
	Lock   *os.File
	Files  Frozen
	Within time.Duration
}

// Give returns nil when conn's peer has taken everything: what is left to do is to end. Else nothing has changed.
func (h *HandOver) Give(ctx context.Context, conn *net.UnixConn) error {
	d := &dialogue{conn: conn}
	if err := h.prepare(ctx, d); err != nil {
		return d.refuse(err)
	}
	err := h.leave(ctx, d)
	if err != nil {
		h.Files.Thaw()
	}
	return err
}

// prepare comes as far as there is a way back. After an error nothing is frozen.
func (h *HandOver) prepare(ctx context.Context, d *dialogue) error {
	parcel, err := h.Set.parcel(h.Lock)
	if err != nil {
		return err
	}
	defer parcel.close()
	ctx, cancel := context.WithTimeoutCause(ctx, h.Within, ErrGivenUp)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = d.conn.SetDeadline(time.Unix(1, 0)) })
	if err := h.hand(d, parcel); err != nil {
		stop()
		return because(ctx, err)
	}
	frozen, err := h.freeze(ctx, d)
	if !stop() || err != nil {
		err = because(ctx, err)
	}
	if err != nil && frozen {
		h.Files.Thaw()
	}
	return err
}

// because prefers why ctx ended to what came of it.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// hand gives one thing after the other.
func (h *HandOver) hand(d *dialogue, p parcel) error {
	for _, piece := range p {
		if err := d.expect(sayNext); err != nil {
			return err
		}
		if err := d.say(piece.message, piece.fd); err != nil {
			return err
		}
	}
	if err := d.expect(sayNext); err != nil {
		return err
	}
	return d.say(message{say: sayEnd}, none)
}

// freeze waits until the new one is ready, with all files as they are.
func (h *HandOver) freeze(ctx context.Context, d *dialogue) (frozen bool, err error) {
	if err := d.expect(sayFreeze); err != nil {
		return false, err
	}
	if err := h.Files.Freeze(ctx); err != nil {
		return false, err
	}
	if err := d.say(message{say: sayFrozen}, none); err != nil {
		return true, err
	}
	return true, d.expect(sayReady)
}

// leave has no deadline: who was told that all is his may be stopped, and go on whenever. Only when he has ended, we know that
// nobody else writes. If we are to end meanwhile, all is his.
func (h *HandOver) leave(ctx context.Context, d *dialogue) error {
	h.Set.unlinkControl(false)
	err := d.conn.SetDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { _ = d.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err == nil {
		err = d.say(message{say: sayYours}, none)
	}
	if err == nil {
		err = d.expect(sayTaken)
	}
	if err != nil {
		d.awaitEnd()
		if ctx.Err() != nil {
			return nil
		}
		h.Set.unlinkControl(true)
	}
	return err
}

// none is no descriptor.
const none = -1

// parcel is what is handed over. Its descriptors are its own.
type parcel []piece

type piece struct {
	message
	fd int
}

func (p parcel) close() {
	for _, piece := range p {
		_ = unix.Close(piece.fd)
	}
}

// parcel packs every socket, and the lock first.
func (s *Set) parcel(lock *os.File) (p parcel, err error) {
	defer func() {
		if err != nil {
			p.close()
			p = nil
		}
	}()
	if p, err = p.add(message{say: sayLock}, lock); err != nil {
		return p, err
	}
	for _, list := range []struct {
		name string
		all  []net.Listener
	}{
		{nameKeyExchange, s.KeyExchange}, {nameMonitoring, s.Monitoring}, {namePlain, s.MonitoringPlain},
		{nameCertsHTTP, s.Challenges.HTTP}, {nameCertsALPN, s.Challenges.ALPN}, {nameControl, s.control()},
	} {
		for _, l := range list.all {
			if p, err = p.add(s.named(list.name), l.(shared)); err != nil {
				return p, err
			}
		}
	}
	for _, u := range s.Time {
		if p, err = p.add(s.named(nameTime), u.conn); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (s *Set) named(name string) message {
	return message{say: saySocket, name: name, made: !s.units[name]}
}

func (s *Set) control() []net.Listener {
	if s.Control == nil {
		return nil
	}
	return []net.Listener{s.Control}
}

// add duplicates the descriptor of c. os.File.Fd would make it block.
func (p parcel) add(m message, c syscall.Conn) (parcel, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return p, err
	}
	fd := none
	var dupErr error
	err = raw.Control(func(of uintptr) { fd, dupErr = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, os.NewSyscallError("fcntl", dupErr)); err != nil {
		return p, fmt.Errorf("sockets: %s %s cannot be handed over: %w", m.say, m.name, err)
	}
	return append(p, piece{m, fd}), nil
}

// unlinkControl says whether closing the control socket takes its path away, if we made it.
func (s *Set) unlinkControl(yes bool) {
	l := s.Control
	if g, ok := l.(*gated); ok {
		l = g.shared
	}
	if u, ok := l.(*net.UnixListener); ok && s.controlMade {
		u.SetUnlinkOnClose(yes)
	}
}
