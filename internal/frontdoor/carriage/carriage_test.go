package carriage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/cmdmon"
	"github.com/ntptsd/ntptsd/protocol/mode6"
	"github.com/ntptsd/ntptsd/protocol/tunnel"
)

func TestQuestionsAndAnswersPassUnchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Mode6, monitor, Options{})
		r.send(ask6(mode6.OpReadVariables, 7))
		daemon := <-r.daemon
		if got := r.asked(daemon); !bytes.Equal(got, ask6(mode6.OpReadVariables, 7)) {
			t.Errorf("the daemon was asked %x", got)
		}
		for _, part := range []string{"leap=0,", "stratum=2\r\n"} {
			r.answer(daemon, answer6(mode6.OpReadVariables, 7, part))
			r.expect(answer6(mode6.OpReadVariables, 7, part))
		}
		r.counted(map[verdict]int{forwarded: 1, answered: 2})
	})
}

// The padding that chronyd wants is handed on.
func TestChronycsPaddingIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Cmdmon, monitor, Options{})
		r.send(askChrony(cmdmon.TrackingCommand, 7))
		daemon := <-r.daemon
		if got := r.asked(daemon); !bytes.Equal(got, askChrony(cmdmon.TrackingCommand, 7)) || len(got) != 520 {
			t.Errorf("chronyd was asked %x", got)
		}
		r.answer(daemon, answerChrony(cmdmon.TrackingCommand, 7, 76))
		r.expect(answerChrony(cmdmon.TrackingCommand, 7, 76))
	})
}

func TestRefusalsNeedNoDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Cmdmon, monitor, Options{})
		q := cmdmon.Request{Command: cmdmon.MakeStep, Sequence: 5}
		r.send(q.AppendTo(nil))
		b, err := r.receive()
		if err != nil {
			t.Fatal(err)
		}
		if p, err := cmdmon.ParseReply(b); err != nil || !errors.Is(p.Check(q), cmdmon.Unauthorised) {
			t.Errorf("%+v, %v", p, err)
		}
		r.counted(map[verdict]int{refused: 1})
		if len(r.daemon) > 0 {
			t.Error("the daemon was called")
		}
	})
}

// Somebody who is nobody, or is confined to something else, gets one small answer.
func TestStrangersGetOneRefusal(t *testing.T) {
	for name, who := range map[string]api.Caller{
		"anonymous": {}, "confined": {Role: api.Admin, Name: "scraper", Only: []string{api.DoorMetrics, api.DoorCmdmon}},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, Mode6, who, Options{Writes: true})
			r.send(ask6(mode6.OpReadVariables, 7))
			b, err := r.receive()
			if f, bad := mode6.ParseFragment(b); err != nil || bad != nil || !f.Error || len(b) != 12 {
				t.Errorf("%s: %x, %v", name, b, err)
			}
			r.over()
			r.counted(map[verdict]int{refused: 1})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Mode6, api.Caller{}, Options{})
		r.send([]byte("garbage"))
		r.over()
		r.counted(map[verdict]int{malformed: 1})
	})
	synctest.Test(t, func(t *testing.T) { // Only that names this door
		r := start(t, Mode6, api.Caller{Role: api.Monitor, Only: []string{api.DoorMode6}}, Options{})
		r.send(ask6(mode6.OpReadVariables, 7))
		r.asked(<-r.daemon)
	})
}

func TestLengthsThatEndTheConnection(t *testing.T) {
	for _, n := range []uint16{0, 1025, 65535} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, Mode6, admin, Options{})
			if _, err := r.client.Write(binary.BigEndian.AppendUint16(nil, n)); err != nil {
				t.Fatal(err)
			}
			r.over()
			r.counted(map[verdict]int{badLength: 1})
		})
	}
}

func TestGarbageIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Mode6, admin, Options{})
		for _, n := range []int{1, 11, 505, 1024} {
			r.send(make([]byte, n))
		}
		r.silent()
		r.counted(map[verdict]int{malformed: 4})
		if len(r.daemon) > 0 {
			t.Error("the daemon was called")
		}
		r.send(ask6(mode6.OpReadStatus, 1)) // the connection lives
		r.asked(<-r.daemon)
	})
}

func TestSilenceStaysSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Mode6, monitor, Options{})
		r.send(ask6(mode6.OpReadStatus, 1))
		r.asked(<-r.daemon)
		r.silent()
		r.counted(map[verdict]int{forwarded: 1})
	})
}

func TestAnswersThatNobodyAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Cmdmon, monitor, Options{})
		q := cmdmon.Request{Command: cmdmon.TrackingCommand, Sequence: 7}.AppendTo(nil)[:104]
		r.send(q)
		daemon := <-r.daemon
		r.asked(daemon)
		for _, bad := range [][]byte{
			[]byte("x"), q, answerChrony(cmdmon.TrackingCommand, 8, 76), answerChrony(cmdmon.SourceData, 7, 48),
			answerChrony(cmdmon.TrackingCommand, 7, 77), // longer than the request
			make([]byte, 1025),
		} {
			r.answer(daemon, bad)
		}
		r.answer(daemon, answerChrony(cmdmon.TrackingCommand, 7, 76))
		r.expect(answerChrony(cmdmon.TrackingCommand, 7, 76))
		r.answer(daemon, answerChrony(cmdmon.TrackingCommand, 7, 76)) // twice
		r.silent()
		r.counted(map[verdict]int{forwarded: 1, answered: 1, unasked: 7})
	})
}

func TestAnswersToOneQuestionAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Mode6, monitor, Options{})
		r.send(ask6(mode6.OpReadMRU, 7))
		daemon := <-r.daemon
		r.asked(daemon)
		for range mode6.MaxDatagrams {
			r.answer(daemon, answer6(mode6.OpReadMRU, 7, "x"))
			r.expect(answer6(mode6.OpReadMRU, 7, "x"))
		}
		r.answer(daemon, answer6(mode6.OpReadMRU, 7, "x"))
		r.silent()
		r.counted(map[verdict]int{forwarded: 1, answered: mode6.MaxDatagrams, unasked: 1})
	})
}

// Who does not read is cut, and holds nobody and nothing.
func TestSlowReaderIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Mode6, monitor, Options{})
		r.send(ask6(mode6.OpReadMRU, 7))
		daemon := <-r.daemon
		r.asked(daemon)
		begin := time.Now()
		r.answer(daemon, answer6(mode6.OpReadMRU, 7, "x"))
		<-r.ended
		if took := time.Since(begin); took != writeTimeout {
			t.Errorf("cut after %v", took)
		}
		r.counted(map[verdict]int{forwarded: 1, cut: 1})
		if _, err := daemon.Write([]byte("x")); err == nil {
			t.Error("the socket to the daemon is still open")
		}
	})
	synctest.Test(t, func(t *testing.T) { // refusals too
		r := start(t, Mode6, monitor, Options{})
		r.send(ask6(mode6.OpConfigure, 7))
		<-r.ended
		r.counted(map[verdict]int{refused: 1, cut: 1})
	})
}

func TestConnectionsEndInTime(t *testing.T) {
	for name, c := range map[string]struct {
		who  func() api.Caller
		want time.Duration
	}{
		"idle":          {func() api.Caller { return monitor }, idleTimeout},
		"not logged in": {func() api.Caller { return api.Caller{} }, loginTimeout},
		"no longer valid": {func() api.Caller {
			return api.Caller{Role: api.Monitor, Until: time.Now().Add(20 * time.Second)}
		}, 20 * time.Second},
		"not valid any more": {func() api.Caller {
			return api.Caller{Role: api.Monitor, Until: time.Now().Add(-time.Second)}
		}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			r := start(t, Mode6, c.who(), Options{})
			<-r.ended
			if took := time.Since(begin); took != c.want {
				t.Errorf("%s: ended after %v, want %v", name, took, c.want)
			}
		})
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Mode6(func(context.Context) (net.Conn, error) { a, _ := net.Pipe(); return a, nil }, Options{Log: quiet()})
		ctx, cancel := context.WithCancel(t.Context())
		_, server := net.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); c.Serve(ctx, server, monitor) }()
		synctest.Wait()
		cancel()
		<-done
		if _, err := server.Write([]byte("x")); err == nil {
			t.Error("the connection is still open")
		}
	})
}

// Nothing is lost of what comes too often: it waits.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Mode6, monitor, Options{})
		begin := time.Now()
		for range burstOfConnection {
			r.send(make([]byte, 12))
		}
		synctest.Wait()
		if took := time.Since(begin); took != 0 {
			t.Errorf("a burst took %v", took)
		}
		for range 2*perConnection + 1 { // the last is read when the one before is done
			r.send(make([]byte, 12))
		}
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("%d more took %v", 2*perConnection, took)
		}
	})
}

// Many connections together ask the daemon no more often than one carriage may.
func TestPaceOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, begin := newPace(perCarriage, burstOfCarriage), time.Now()
		done := make(chan error)
		for range 50 {
			go func() {
				var err error
				for range 100 {
					err = errors.Join(err, p.wait(t.Context()))
				}
				done <- err
			}()
		}
		for range 50 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(begin); took < 4*time.Second-10*time.Millisecond || took > 4*time.Second {
			t.Errorf("5000 took %v", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.wait(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// Frames that the daemon is not asked take no turn of the pace that all share, and a stranger waits for nothing.
func TestOnlyQuestionsTakeTurns(t *testing.T) {
	for name, c := range map[string]struct {
		who   api.Caller
		frame []byte
		turns int
		sees  bool // an answer of ours
	}{
		"stranger": {api.Caller{}, ask6(mode6.OpReadVariables, 7), 0, true},
		"refused":  {monitor, ask6(mode6.OpConfigure, 7), 0, true},
		"garbage":  {monitor, []byte("garbage"), 0, false},
		"question": {monitor, ask6(mode6.OpReadVariables, 7), 1, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, Mode6, c.who, Options{})
			if c.turns == 0 { // what waits for a turn waits for minutes
				r.c.pace.next = time.Now().Add(time.Hour)
			}
			before := r.c.pace.next
			r.send(c.frame)
			if c.sees {
				if _, err := r.receive(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			synctest.Wait()
			if took := r.c.pace.next.After(before); took != (c.turns > 0) {
				t.Errorf("%s: took a turn: %v", name, took)
			}
		})
	}
}

// told is a connection that is told of log-ins.
type told struct {
	net.Conn
	times chan struct{}
}

func (c *told) LoggedIn() { c.times <- struct{}{} }

// Whoever keeps the connections hears of a token that counts, and of no other.
func TestLogInsAreTold(t *testing.T) {
	for token, want := range map[string]int{"t1": 1, "t2": 0} {
		synctest.Test(t, func(t *testing.T) {
			r := &rig{t: t, daemon: make(chan net.Conn, 1), ended: make(chan struct{})}
			r.c = Mode6(func(context.Context) (net.Conn, error) {
				ours, its := net.Pipe()
				r.daemon <- its
				return ours, nil
			}, Options{Log: quiet(), Login: once("t1", monitor)})
			var server net.Conn
			r.client, server = net.Pipe()
			conn := &told{server, make(chan struct{}, 9)}
			go func() {
				defer close(r.ended)
				r.c.Serve(context.Background(), conn, api.Caller{})
			}()
			r.send(tunnel.AppendGreeting(nil, token))
			if _, err := r.receive(); err != nil {
				t.Error(err)
			}
			r.client.Close()
			<-r.ended
			if len(conn.times) != want {
				t.Errorf("%s: told %d times, want %d", token, len(conn.times), want)
			}
		})
	}
}

func TestGreetings(t *testing.T) {
	for name, c := range map[string]struct {
		who   api.Caller
		login Login
		token string
		want  string // OK, or a part of the reason
	}{
		"token":               {api.Caller{}, once("t1", monitor), "t1", ""},
		"unknown token":       {api.Caller{}, once("t1", monitor), "t2", "no such token"},
		"token of a nobody":   {api.Caller{}, once("t1", api.Caller{Name: "x"}), "t1", "needs the role monitor, and x has anonymous"},
		"confined token":      {api.Caller{}, once("t1", api.Caller{Role: api.Admin, Name: "x", Only: []string{"metrics"}}), "t1", "may use nothing but: metrics"},
		"no tokens here":      {api.Caller{}, nil, "t1", "no tokens are taken here"},
		"certificate":         {monitor, nil, "", ""},
		"nothing":             {api.Caller{}, once("t1", monitor), "", "needs the role monitor, and nobody has anonymous"},
		"bad token, and cert": {monitor, once("t1", monitor), "t2", "no such token"},
		"secrets of ours":     {api.Caller{}, func(context.Context, net.Conn, string) (api.Caller, error) { return api.Caller{}, errors.New("/etc/x") }, "t1", "ntptsd failed"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, Mode6, c.who, Options{Login: c.login})
			r.send(tunnel.AppendGreeting(nil, c.token))
			b, err := r.receive()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			err = tunnel.ParseAnswer(b)
			if c.want != "" {
				if _, ok := errors.AsType[*tunnel.Refusal](err); !ok || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "/etc") {
					t.Errorf("%s: %q, want %q", name, b, c.want)
				}
				r.over()
				r.counted(map[verdict]int{turnedAway: 1})
				return
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			r.send(ask6(mode6.OpReadStatus, 1))
			r.asked(<-r.daemon)
			r.counted(map[verdict]int{greeted: 1, forwarded: 1})
		})
	}
}

// A greeting counts as the first frame only, and what a token allows ends with it.
func TestGreetingsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Mode6, monitor, Options{Login: once("t1", admin)})
		r.send(ask6(mode6.OpReadStatus, 1))
		r.asked(<-r.daemon)
		r.send(tunnel.AppendGreeting(nil, "t1"))
		r.silent()
		r.counted(map[verdict]int{forwarded: 1, malformed: 1})
	})
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Mode6, monitor, Options{Login: once("t1", api.Caller{Role: api.Monitor, Until: time.Now().Add(7 * time.Second)})})
		begin := time.Now()
		r.send(tunnel.AppendGreeting(nil, "t1"))
		r.expect([]byte("OK"))
		<-r.ended
		if took := time.Since(begin); took != 7*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

// A reload that takes a log-in away ends its tunnels with the next frame.
func TestRevokedIsSentAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var revoked atomic.Bool
		r := start(t, Mode6, monitor, Options{Login: once("t1", api.Caller{Role: api.Monitor, Login: "token/t1"}),
			Still: func(api.Caller) bool { return !revoked.Load() }})
		r.send(tunnel.AppendGreeting(nil, "t1"))
		r.expect([]byte("OK"))
		revoked.Store(true)
		r.send([]byte{0x16, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0})
		<-r.ended
	})
}

// Who greets learns why there is nobody to ask; who does not meets silence.
func TestNoDaemon(t *testing.T) {
	none := func(Dial, Options) *Carriage {
		return Mode6(func(context.Context) (net.Conn, error) {
			return nil, api.Failf(api.Conflict, "the daemon next door is chrony")
		}, Options{Log: quiet()})
	}
	synctest.Test(t, func(t *testing.T) {
		r := start(t, none, monitor, Options{})
		r.send(tunnel.AppendGreeting(nil, ""))
		r.expect([]byte("NO the daemon next door is chrony"))
		r.over()
	})
	synctest.Test(t, func(t *testing.T) {
		r := start(t, none, monitor, Options{})
		r.send(ask6(mode6.OpReadStatus, 1))
		r.silent()
		r.counted(map[verdict]int{unreachable: 1})
	})
}

// The daemon sees one port for the whole connection, or the nonce of its MRU list would not count; even when it was away.
func TestOneSocketForTheNonce(t *testing.T) {
	daemon, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { daemon.Close() }()
	address := daemon.LocalAddr().(*net.UDPAddr)
	dials := 0
	r := &rig{t: t, ended: make(chan struct{}), c: Mode6(func(context.Context) (net.Conn, error) {
		dials++
		return net.DialUDP("udp", nil, address)
	}, Options{Log: quiet()})}
	r.serve(monitor)
	read := func() (port int) {
		b := make([]byte, 100)
		_ = daemon.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, from, err := daemon.ReadFromUDP(b)
		if err != nil {
			t.Fatal(err)
		}
		q, err := mode6.ParseRequest(b[:n])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := daemon.WriteToUDP(answer6(q.Op, q.Sequence, "nonce=1"), from); err != nil {
			t.Fatal(err)
		}
		r.expect(answer6(q.Op, q.Sequence, "nonce=1"))
		return from.Port
	}
	ask := func(op mode6.Opcode, sequence uint16) int {
		r.send(ask6(op, sequence))
		return read()
	}
	port := ask(mode6.OpRequestNonce, 1)
	if again := ask(mode6.OpReadMRU, 2); again != port {
		t.Errorf("port %d, then %d", port, again)
	}
	daemon.Close()
	r.send(ask6(mode6.OpReadMRU, 3))
	r.send(ask6(mode6.OpConfigure, 3))
	if _, err := r.receive(); err != nil { // the refusal: what came before it is done
		t.Fatal(err)
	}
	if daemon, err = net.ListenUDP("udp", address); err != nil {
		t.Skip("the port was taken meanwhile")
	}
	if again := ask(mode6.OpReadMRU, 4); again != port || dials != 1 {
		t.Errorf("port %d, after a restart %d; %d sockets", port, again, dials)
	}
}

// A chronyd that was started anew has another socket under the same name.
func TestRestartedDaemonIsFound(t *testing.T) {
	dir, err := os.MkdirTemp("", "carriage") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := &net.UnixAddr{Name: filepath.Join(dir, "d"), Net: "unixgram"}
	listen := func() *net.UnixConn {
		_ = os.Remove(socket.Name)
		l, err := net.ListenUnixgram("unixgram", socket)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	own := 0
	r := &rig{t: t, ended: make(chan struct{}), c: Cmdmon(func(context.Context) (net.Conn, error) {
		own++
		return net.DialUnix("unixgram", &net.UnixAddr{Name: filepath.Join(dir, string(rune('a'+own))+".sock"), Net: "unixgram"}, socket)
	}, Options{Log: quiet()})}
	r.serve(monitor)
	answer := func(daemon *net.UnixConn, sequence uint32) {
		t.Helper()
		r.send(askChrony(cmdmon.TrackingCommand, sequence))
		b := make([]byte, 1000)
		_ = daemon.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, from, err := daemon.ReadFromUnix(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := daemon.WriteToUnix(answerChrony(cmdmon.TrackingCommand, sequence, 76), from); err != nil {
			t.Fatal(err)
		}
		r.expect(answerChrony(cmdmon.TrackingCommand, sequence, 76))
	}
	daemon := listen()
	answer(daemon, 1)
	daemon.Close()
	daemon = listen()
	defer daemon.Close()
	answer(daemon, 2)
	if own != 2 {
		t.Errorf("%d sockets", own)
	}
}
