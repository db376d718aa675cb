package sockets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dialogue is one side of a hand-over, after the greeting. It is strictly in turn, so that no line comes together with another
// one's descriptor. One goroutine's.
type dialogue struct {
	conn *net.UnixConn
}

// refusalWithin bounds how long a last word may take.
const refusalWithin = time.Second

// say sends a line, and fd with it unless that is none.
func (d *dialogue) say(m message, fd int) error {
	var rights []byte
	if fd != none {
		rights = unix.UnixRights(fd)
	}
	b := appendMessage(nil, m)
	n, _, err := d.conn.WriteMsgUnix(b, rights, nil)
	if err == nil && n < len(b) {
		_, err = d.conn.Write(b[n:])
	}
	return d.explain(err)
}

// hear reads a line, without a descriptor: the kernel drops those that a peer sends nevertheless.
func (d *dialogue) hear() (message, error) { return d.read(func([]byte) error { return nil }, nil) }

// hearFile reads a line that may have one descriptor with it; f is nil without.
func (d *dialogue) hearFile() (m message, f *os.File, err error) {
	m, err = d.read(func(rights []byte) error {
		got, err := onlyFile(rights, f)
		f = got
		return err
	}, make([]byte, unix.CmsgSpace(4)))
	if err != nil && f != nil {
		f.Close()
		f = nil
	}
	return m, f, err
}

func (d *dialogue) read(take func(rights []byte) error, rights []byte) (message, error) {
	var line [maxMessage]byte
	for n := 0; n < len(line); {
		more, control, flags, _, err := d.conn.ReadMsgUnix(line[n:], rights)
		if control > 0 {
			err = errors.Join(err, take(rights[:control]))
		}
		switch {
		case err != nil:
			return message{}, d.explain(err)
		case flags&unix.MSG_CTRUNC != 0 && rights != nil:
			return message{}, errTurn
		case more == 0:
			return message{}, ErrGivenUp
		}
		n += more
		if i := bytes.IndexByte(line[:n], '\n'); i >= 0 {
			if i+1 < n {
				return message{}, errTurn
			}
			return d.judge(line[:n])
		}
	}
	return message{}, errMessage
}

func (d *dialogue) judge(line []byte) (message, error) {
	m, err := parseMessage(line)
	if err == nil && m.say == sayNo {
		err = fmt.Errorf("the other ntptsd says no: %s", m.text)
	}
	return m, err
}

// expect hears that word, or else fails.
func (d *dialogue) expect(say string) error {
	m, err := d.hear()
	if err == nil && m.say != say {
		return errTurn
	}
	return err
}

// awaitEnd returns when the other side has ended, or the deadline is over.
func (d *dialogue) awaitEnd() { _, _ = io.Copy(io.Discard, d.conn) }

// refuse says what is wrong, if anybody still listens, and returns it.
func (d *dialogue) refuse(err error) error {
	_ = d.conn.SetDeadline(time.Now().Add(refusalWithin))
	_ = d.say(message{say: sayNo, text: err.Error()}, none)
	return err
}

func (d *dialogue) explain(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrGivenUp
	}
	return err
}

// onlyFile is the one descriptor of control messages; others are closed.
func onlyFile(rights []byte, had *os.File) (*os.File, error) {
	messages, err := syscall.ParseSocketControlMessage(rights)
	if err != nil {
		return had, err
	}
	for i := range messages {
		fds, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			return had, errTurn
		}
		for _, fd := range fds {
			f := os.NewFile(uintptr(fd), "")
			if had != nil {
				f.Close()
				return had, errTurn
			}
			had = f
		}
	}
	return had, nil
}
