package carriage

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/cmdmon"
	"github.com/ntptsd/ntptsd/protocol/mode6"
	"github.com/ntptsd/ntptsd/protocol/tunnel"
)

// stream is a client that sends these octets and reads all answers.
type stream struct {
	net.Conn // nil: what is not here is not called
	in       *bytes.Reader
	out      int
}

func (s *stream) Read(b []byte) (int, error)       { return s.in.Read(b) }
func (s *stream) Write(b []byte) (int, error)      { s.out += len(b); return len(b), nil }
func (s *stream) Close() error                     { return nil }
func (s *stream) SetReadDeadline(time.Time) error  { return nil }
func (s *stream) SetWriteDeadline(time.Time) error { return nil }
func (s *stream) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

// sink is a daemon that remembers what it was asked.
type sink struct {
	net.Conn
	all    [][]byte
	closed chan struct{}
}

func (s *sink) Write(b []byte) (int, error) {
	s.all = append(s.all, bytes.Clone(b))
	return len(b), nil
}
func (s *sink) Read([]byte) (int, error)         { <-s.closed; return 0, net.ErrClosed }
func (s *sink) Close() error                     { close(s.closed); return nil }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }

func frames(t testing.TB, datagrams ...[]byte) (b []byte) {
	for _, d := range datagrams {
		var err error
		if b, err = tunnel.AppendFrame(b, d); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func count(b []byte) (n int) {
	r := bytes.NewReader(b)
	for {
		if _, err := tunnel.ReadFrame(r, make([]byte, tunnel.MaxDatagram)); err != nil {
			return n
		}
		n++
	}
}

// Whatever comes: the daemon is asked nothing that the lists refuse, and nothing but whole frames as they came; who is told no
// gets no more than was sent.
func FuzzServe(f *testing.F) {
	f.Add(frames(f, ask6(mode6.OpReadVariables, 1), ask6(mode6.OpConfigure, 2), ask6(mode6.OpReadMRU, 3)), uint8(1), false)
	f.Add(frames(f, askChrony(cmdmon.TrackingCommand, 1), askChrony(cmdmon.MakeStep, 2), askChrony(cmdmon.Online, 3)), uint8(2), true)
	f.Add(frames(f, cmdmon.Request{Command: cmdmon.ClientsCommand, Body: cmdmon.Page{Reset: true}}.AppendTo(nil)), uint8(1), true)
	f.Add(frames(f, tunnel.AppendGreeting(nil, ""), ask6(mode6.OpReadStatus, 1)), uint8(3), false)
	f.Add([]byte{0, 0, 0xff, 0xff, 0, 12}, uint8(3), true)
	f.Fuzz(func(t *testing.T, b []byte, role uint8, writes bool) {
		who := api.Caller{Role: api.Role(role % 4), Name: "x"}
		if count(b) > burstOfConnection { // so that nothing waits
			return
		}
		for _, carriage := range []func(Dial, Options) *Carriage{Mode6, Cmdmon} {
			daemon := &sink{closed: make(chan struct{})}
			c := carriage(func(context.Context) (net.Conn, error) { return daemon, nil }, Options{Log: quiet(), Writes: writes})
			client := &stream{in: bytes.NewReader(b)}
			c.Serve(t.Context(), client, who)
			rest := b
			for _, asked := range daemon.all {
				frame := frames(t, asked)
				at := bytes.Index(rest, frame)
				if at < 0 {
					t.Fatalf("%x was asked, and not sent", asked)
				}
				rest = rest[at+len(frame):]
				if d := c.judge(asked, who.Role, writes); d.verdict != forwarded {
					t.Fatalf("%v asked %x, which is %v", who.Role, asked, d.verdict)
				}
				if q, err := cmdmon.ParseRequest(asked); c.name() == "cmdmon" && (err != nil || !cmdmonRule(q.Command).permits(who.Role, writes)) {
					t.Fatalf("%v asked %v, %v", who.Role, q.Command, err)
				}
				if q, err := mode6.ParseRequest(asked); c.name() == "mode6" && (err != nil || !mode6Rule(q.Op).permits(who.Role, writes)) {
					t.Fatalf("%v asked %v, %v", who.Role, q.Op, err)
				}
			}
			if client.out > len(b)+200 {
				t.Fatalf("%d octets for %d", client.out, len(b))
			}
		}
	})
}
