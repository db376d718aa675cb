package carriage

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/cmdmon"
	"github.com/ntptsd/ntptsd/protocol/mode6"
	"github.com/ntptsd/ntptsd/protocol/tunnel"
)

var (
	monitor = api.Caller{Role: api.Monitor, Name: "m"}
	admin   = api.Caller{Role: api.Admin, Name: "a"}
)

// A rig is a connection through a carriage to a daemon, of which the test is both ends.
type rig struct {
	t      *testing.T
	c      *Carriage
	client net.Conn
	daemon chan net.Conn // the daemon's end of each socket that was opened
	ended  chan struct{} // closed when Serve has returned
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func start(t *testing.T, carriage func(Dial, Options) *Carriage, who api.Caller, o Options) *rig {
	t.Helper()
	r := &rig{t: t, daemon: make(chan net.Conn, 10), ended: make(chan struct{})}
	if o.Log == nil {
		o.Log = quiet()
	}
	r.c = carriage(func(context.Context) (net.Conn, error) {
		ours, its := net.Pipe()
		r.daemon <- its
		return ours, nil
	}, o)
	r.serve(who)
	return r
}

func (r *rig) serve(who api.Caller) {
	var server net.Conn
	r.client, server = net.Pipe()
	r.t.Cleanup(func() { r.client.Close(); <-r.ended })
	go func() {
		defer close(r.ended)
		r.c.Serve(context.Background(), server, who)
	}()
}

func (r *rig) send(datagram []byte) {
	r.t.Helper()
	b, err := tunnel.AppendFrame(nil, datagram)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.client.Write(b); err != nil {
		r.t.Fatalf("sending %x: %v", datagram, err)
	}
}

// receive gives the next frame; its error tells of the end, or that nothing comes for longer than any limit.
func (r *rig) receive() ([]byte, error) {
	_ = r.client.SetReadDeadline(time.Now().Add(5 * time.Second))
	return tunnel.ReadFrame(r.client, make([]byte, tunnel.MaxDatagram))
}

func (r *rig) expect(want []byte) {
	r.t.Helper()
	if got, err := r.receive(); err != nil || string(got) != string(want) {
		r.t.Fatalf("the client got %x, %v; want %x", got, err, want)
	}
}

// silent tells that the client gets nothing, and the connection stays.
func (r *rig) silent() {
	r.t.Helper()
	if got, err := r.receive(); !isTimeout(err) {
		r.t.Fatalf("the client got %x, %v; want silence", got, err)
	}
}

func isTimeout(err error) bool {
	n, ok := errors.AsType[net.Error](err)
	return ok && n.Timeout()
}

// over tells that the connection has ended without another frame.
func (r *rig) over() {
	r.t.Helper()
	if got, err := r.receive(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
		r.t.Fatalf("the client got %x, %v; want the end", got, err)
	}
	<-r.ended
}

// asked reads what the daemon was asked.
func (r *rig) asked(daemon net.Conn) []byte {
	r.t.Helper()
	b := make([]byte, 2048)
	_ = daemon.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := daemon.Read(b)
	if err != nil {
		r.t.Fatalf("the daemon is not asked: %v", err)
	}
	return b[:n]
}

func (r *rig) answer(daemon net.Conn, b []byte) {
	r.t.Helper()
	if _, err := daemon.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

// counted compares all counters; those that are not named are 0.
func (r *rig) counted(want map[verdict]int) {
	r.t.Helper()
	synctest.Wait()
	for v := range verdicts {
		if got := testutil.ToFloat64(r.c.counts.by[v]); got != float64(want[v]) {
			r.t.Errorf("%v: counted %v, want %d", v, got, want[v])
		}
	}
}

func ask6(op mode6.Opcode, sequence uint16) []byte {
	b, err := mode6.Request{Op: op, Sequence: sequence, Association: 3}.AppendTo(nil)
	if err != nil {
		panic(err)
	}
	return b
}

func answer6(op mode6.Opcode, sequence uint16, data string) []byte {
	return mode6.Fragment{Version: 2, Op: op, Sequence: sequence, Association: 3, Data: []byte(data)}.AppendTo(nil)
}

func askChrony(c cmdmon.Command, sequence uint32) []byte {
	return cmdmon.Request{Command: c, Sequence: sequence}.AppendTo(nil)
}

func answerChrony(c cmdmon.Command, sequence uint32, body int) []byte {
	return cmdmon.Reply{Command: c, Type: 5, Sequence: sequence, Body: make([]byte, body)}.AppendTo(nil)
}

// once makes a Login of one token.
func once(want string, who api.Caller) Login {
	var mu sync.Mutex
	return func(_ context.Context, conn net.Conn, token string) (api.Caller, error) {
		mu.Lock()
		defer mu.Unlock()
		if token != want || conn == nil {
			return api.Caller{}, api.Failf(api.Unknown, "no such token")
		}
		return who, nil
	}
}
