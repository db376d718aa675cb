package sockets

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"golang.org/x/sys/unix"
)

// files notes what a hand-over does with them.
type files struct {
	mu    sync.Mutex
	notes []string
	fails error
}

func (f *files) note(s string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notes = append(f.notes, s)
}

func (f *files) Freeze(context.Context) error {
	if f.fails != nil {
		return f.fails
	}
	f.note("freeze")
	return nil
}

func (f *files) Thaw() { f.note("thaw") }

// were are the notes, and none is left.
func (f *files) were() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := strings.Join(f.notes, " ")
	f.notes = nil
	return s
}

// pair is two ends of a unix connection.
func pair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		ends[i] = c.(*net.UnixConn)
	}
	return ends[0], ends[1]
}

// world is an old one with every kind of socket.
type world struct {
	t    *testing.T
	cfg  *config.Config
	set  *Set
	lock *os.File
	files
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, lock: lock, cfg: &config.Config{
		KeyExchange: &config.KeyExchange{Listen: addrs("127.0.0.1:0", "127.0.0.2:0")},
		TimeServer:  &config.TimeServer{Listen: addrs("127.0.0.1:0"), Workers: 2},
		Monitoring:  &config.Monitoring{Listen: addrs("127.0.0.1:0"), PlainListen: addrs("127.0.0.3:0")},
		Management:  &config.Management{Socket: filepath.Join(dir, "control.sock")},
	}}
	if w.set, err = Open(w.cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.set.Close(); lock.Close() })
	return w
}

// give begins a hand-over; the result comes when it is over.
func (w *world) give(ctx context.Context, within time.Duration) (there *net.UnixConn, result <-chan error) {
	here, there := pair(w.t)
	done := make(chan error, 1)
	h := &HandOver{Set: w.set, Lock: w.lock, Files: &w.files, Within: within}
	go func() {
		err := h.Give(ctx, here)
		here.Close()
		done <- err
	}()
	return there, done
}

// take is the new one's side, which has greeted.
func take(t *testing.T, there *net.UnixConn) *Taking {
	t.Helper()
	n := &Taking{dialogue: dialogue{there}, inherited: &inheritance{gate: newGate()}, stop: func() bool { return true }}
	if err := n.receive(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func addresses(s *Set) (all []string) {
	for _, l := range slices.Concat(s.KeyExchange, s.Monitoring, s.MonitoringPlain, s.control()) {
		all = append(all, l.Addr().String())
	}
	for _, u := range s.Time {
		all = append(all, u.LocalAddr().String())
	}
	return all
}

func TestEverySocketIsHandedOver(t *testing.T) {
	w := newWorld(t)
	there, result := w.give(t.Context(), time.Minute)
	n := take(t, there)
	set, err := n.Open(w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	if got, want := addresses(set), addresses(w.set); !slices.Equal(got, want) {
		t.Errorf("taken are %v of %v", got, want)
	}
	if theirs, err := n.Lock.Stat(); err != nil {
		t.Error(err)
	} else if ours, _ := w.lock.Stat(); !os.SameFile(ours, theirs) {
		t.Error("the lock is another file")
	}

	accepted := make(chan error, 1)
	go func() {
		c, err := set.KeyExchange[0].Accept()
		if err == nil {
			c.Close()
		}
		accepted <- err
	}()
	// The old one serves until it has let go, and the new one does not.
	if err := n.Freeze(); err != nil {
		t.Fatal(err)
	}
	if got := w.were(); got != "freeze" {
		t.Errorf("files: %s", got)
	}
	connect(t, w.set.KeyExchange[0])
	c, err := w.set.KeyExchange[0].Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := n.Ready(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-accepted:
		t.Fatalf("accepted before it was taken: %v", err)
	default:
	}
	n.Taken()
	if err := <-result; err != nil {
		t.Fatalf("the old one: %v", err)
	}
	if got := w.were(); got != "" {
		t.Errorf("files, which are the new one's: %s", got)
	}
	w.set.Close()
	connect(t, set.KeyExchange[0])
	if err := <-accepted; err != nil {
		t.Errorf("after it was taken: %v", err)
	}
	if _, err := os.Lstat(w.cfg.Management.Socket); err != nil {
		t.Errorf("the path of the control socket, after the old one has closed it: %v", err)
	}
	set.Close()
	if _, err := os.Lstat(w.cfg.Management.Socket); err == nil {
		t.Error("the path of the control socket is left")
	}
}

func connect(t *testing.T, l net.Listener) {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Write([]byte("hello")); err != nil { // listeners are deferred
		t.Fatal(err)
	}
}

// Whatever a peer says, and whenever it leaves: the old one goes on with its files and its sockets.
func TestBadSuccessorsChangeNothing(t *testing.T) {
	w := newWorld(t)
	asked := strings.Repeat("next\n", 8+1) // what a world has: the lock, 7 sockets, the end; one line at a time
	if p, err := w.set.parcel(w.lock); err != nil || len(p) != 8 {
		t.Fatalf("a parcel of %d: %v", len(p), err)
	} else {
		p.close()
	}
	for _, c := range []struct{ name, says, files string }{
		{"leaves at once", "", ""},
		{"no line", "next", ""},
		{"binary", "\x00\xff\n", ""},
		{"freezes first", "freeze\n", ""},
		{"is ready first", "ready\n", ""},
		{"takes first", "taken\n", ""},
		{"speaks out of turn", "next\nnext\n", ""},
		{"endless", strings.Repeat("a", 2*maxMessage), ""},
		{"leaves with the sockets", asked, ""},
		{"asks for more", asked + "next\n", ""},
		{"refuses", asked + "no I cannot\n", ""},
		{"is ready without freezing", asked + "ready\n", ""},
		{"leaves when frozen", asked + "freeze\n", "freeze thaw"},
		{"freezes twice", asked + "freeze\nfreeze\n", "freeze thaw"},
		{"refuses when frozen", asked + "freeze\nno I cannot\n", "freeze thaw"},
		{"leaves when all is its own", asked + "freeze\nready\n", "freeze thaw"},
		{"something else than taken", asked + "freeze\nready\nready\n", "freeze thaw"},
	} {
		t.Run(c.name, func(t *testing.T) {
			there, result := w.give(t.Context(), time.Minute)
			d := dialogue{there}
			if c.name == "speaks out of turn" || !strings.HasPrefix(c.says, "next\n") {
				_, _ = there.Write([]byte(c.says))
			} else {
				lines := slices.Collect(strings.Lines(c.says))
				for i, line := range lines {
					if _, err := there.Write([]byte(line)); err != nil || i == len(lines)-1 {
						break
					}
					if _, f, err := d.hearFile(); err != nil {
						break
					} else if f != nil {
						f.Close()
					}
				}
			}
			_ = there.CloseWrite()
			if err := <-result; err == nil {
				t.Error("the old one believes that all is taken")
			}
			if got := w.were(); got != c.files {
				t.Errorf("files: %q, want %q", got, c.files)
			}
		})
	}
	connect(t, w.set.KeyExchange[0])
	if c, err := w.set.KeyExchange[0].Accept(); err != nil {
		t.Errorf("afterwards: %v", err)
	} else {
		c.Close()
	}
	w.set.Close()
	if _, err := os.Lstat(w.cfg.Management.Socket); err == nil {
		t.Error("the old one leaves the path of the control socket, though nobody has taken it")
	}
}

func TestSlowSuccessorIsGivenUp(t *testing.T) {
	w := newWorld(t)
	there, result := w.give(t.Context(), 50*time.Millisecond)
	n := take(t, there)
	if err := n.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; !errors.Is(err, ErrGivenUp) {
		t.Errorf("the old one: %v", err)
	}
	if got := w.were(); got != "freeze thaw" {
		t.Errorf("files: %s", got)
	}
	if err := n.Ready(); err == nil {
		t.Error("the new one believes that all is its own")
	}
}

// Frozen or not, who is told to end ends; after yours, all stays the new one's.
func TestOldOneIsToldToEnd(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name  string
		ready bool
		files string
	}{{"before yours", false, "freeze thaw"}, {"after yours", true, "freeze"}} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			there, result := w.give(ctx, time.Minute)
			n := take(t, there)
			if err := n.Freeze(); err != nil {
				t.Fatal(err)
			}
			if c.ready {
				if err := n.Ready(); err != nil {
					t.Fatal(err)
				}
			}
			cancel()
			if err := <-result; (err == nil) != c.ready {
				t.Errorf("the old one: %v", err)
			}
			if got := w.were(); got != c.files {
				t.Errorf("files: %s, want %s", got, c.files)
			}
		})
	}
}

func TestFilesThatCannotBeFrozenAreNotHandedOver(t *testing.T) {
	w := newWorld(t)
	w.fails = errors.New("no space left on device")
	there, result := w.give(t.Context(), time.Minute)
	n := take(t, there)
	if err := n.Freeze(); err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("the new one: %v", err)
	}
	if err := <-result; !errors.Is(err, w.fails) {
		t.Errorf("the old one: %v", err)
	}
	if got := w.were(); got != "" {
		t.Errorf("files: %s", got)
	}
}

// A peer's descriptors are not even looked at.
func TestDescriptorsOfASuccessorAreDropped(t *testing.T) {
	w := newWorld(t)
	there, result := w.give(t.Context(), time.Minute)
	r, wr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	raw, _ := wr.SyscallConn()
	var rights []byte
	_ = raw.Control(func(fd uintptr) { rights = unix.UnixRights(int(fd)) })
	if _, _, err := there.WriteMsgUnix([]byte("next\n"), rights, nil); err != nil {
		t.Fatal(err)
	}
	wr.Close()
	if _, err := r.Read(make([]byte, 1)); err == nil { // the only writer was the one that was sent
		t.Error("read something")
	}
	there.Close()
	<-result
}

// What an old one of bad will could send.
func TestBadPredecessorsAreLeft(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	raw, _ := null.SyscallConn()
	rights := func(n int) (b []byte) {
		_ = raw.Control(func(fd uintptr) {
			fds := make([]int, n)
			for i := range fds {
				fds[i] = int(fd)
			}
			b = unix.UnixRights(fds...)
		})
		return b
	}
	for _, c := range []struct {
		name, says string
		fds        int
	}{
		{"nothing", "", 0}, {"end without a lock", "end\n", 0}, {"lock without a descriptor", "lock\n", 0}, {"socket before the lock", "socket keyexchange made\n", 1},
		{"two descriptors", "lock\n", 2}, {"many descriptors", "lock\n", 200}, {"two lines", "lock\nlock\n", 1}, {"no", "no\n", 0}, {"no more", "no more\n", 1},
		{"yours", "yours\n", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			here, there := pair(t)
			var oob []byte
			if c.fds > 0 {
				oob = rights(c.fds)
			}
			if c.says != "" {
				if _, _, err := there.WriteMsgUnix([]byte(c.says), oob, nil); err != nil {
					t.Fatal(err)
				}
			}
			_ = there.CloseWrite()
			n := &Taking{dialogue: dialogue{here}, inherited: &inheritance{gate: newGate()}, stop: func() bool { return true }}
			if err := n.receive(); err == nil {
				t.Error("believed")
			}
			n.Close()
		})
	}
}

// Addresses are matched as opening them would give them.
func TestWhichSocketServesAnAddress(t *testing.T) {
	needIPv6(t)
	for _, c := range []struct {
		opened, wanted string // of the same port; several are separated by a space
		want           bool
	}{
		{"127.0.0.1", "127.0.0.1", true}, {"127.0.0.1", "127.0.0.2", false}, {"0.0.0.0", "127.0.0.1", false}, {"[::]", "[::]", true},
		{"[::]", "0.0.0.0", false},      // the socket takes IPv6, too
		{"[::]", "[::] 0.0.0.0", false}, // must leave IPv4 to the other
		{"[::] 0.0.0.0", "[::]", false}, // must take IPv4, which the old one gave to the other
		{"[::1]", "[::1]", true}, {"[::1]", "[::]", false}, {"[::ffff:127.0.0.1]", "127.0.0.1", true},
	} {
		port := func(list, port string) (all []netip.AddrPort) {
			for _, a := range strings.Fields(list) {
				all = append(all, netip.MustParseAddrPort(a+":"+port))
			}
			return all
		}
		opened := port(c.opened, "0")
		l, err := listenTCP(opened[0], familyOf(opened[0], opened), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for _, p := range []string{"0", netip.MustParseAddrPort(l.Addr().String()).String()[strings.LastIndex(l.Addr().String(), ":")+1:]} {
			wanted := port(c.wanted, p)
			h := &handed{tcp: l.(*net.TCPListener)}
			if got := h.serves(wanted[0], familyOf(wanted[0], wanted)); got != c.want {
				t.Errorf("%s serves %s, port %s: %v", c.opened, c.wanted, p, got)
			}
		}
		other := port(c.wanted, "1")
		if (&handed{tcp: l.(*net.TCPListener)}).serves(other[0], familyOf(other[0], other)) {
			t.Errorf("%s serves another port", c.opened)
		}
	}
}

// Behind the gate nothing comes in, and what ends ends nevertheless.
func TestGate(t *testing.T) {
	w := newWorld(t)
	g := newGate()
	w.set.gate = g
	w.set.guard()
	read := make(chan error, 1)
	go func() {
		_, err := w.set.Time[0].ReadBatch(NewBatch())
		read <- err
	}()
	accepted := make(chan error, 1)
	go func() {
		_, err := w.set.Monitoring[0].Accept()
		accepted <- err
	}()
	w.set.Time[0].Interrupt()
	w.set.Monitoring[0].Close()
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("interrupted: %v", err)
	}
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}

	send(t, dial(t, "127.0.0.1", w.set.Time[1].LocalAddr().Port()), []byte("hello"))
	for _, u := range w.set.Time[1:] {
		go func() {
			b := NewBatch()
			_, err := u.ReadBatch(b)
			read <- err
		}()
	}
	g.open()
	w.set.Time[1].Interrupt() // or the datagram went to the other one
	if err := <-read; err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("opened: %v", err)
	}
}
