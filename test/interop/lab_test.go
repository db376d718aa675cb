package interop

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntptsd/ntptsd/test/interop/peers"
)

// prefix begins the name of every network namespace and folder that these cases make; the process id and the lab's number
// follow.
const prefix = "ntptsd-interop-"

// A lab is a network of its own: a switch and hosts, each a network namespace that goes away with the test. Host number
// n, from 1, has the addresses 10.77.0.n and fd77::n, the name NAME.test for the first and NAME-v6.test for the second.
type lab struct {
	t     *testing.T
	name  string
	dir   string
	names string // bound over /etc/hosts
}

type host struct {
	lab    *lab
	name   string
	ns     string
	v4, v6 netip.Addr
}

var (
	labs       atomic.Int32
	removeOnce = sync.OnceFunc(removeStale)
)

// newLab makes a lab with the hosts, or skips where the machine cannot. Further names of the first host are in aliases.
func newLab(t *testing.T, aliases string, names ...string) (*lab, []*host) {
	t.Helper()
	need(t)
	removeOnce()
	l := &lab{t: t, name: fmt.Sprintf("%s%d-%d", prefix, os.Getpid(), labs.Add(1))}
	l.dir = filepath.Join(os.TempDir(), l.name) // not t.TempDir: a socket's path has at most 107 octets
	l.names = filepath.Join(l.dir, "hosts")
	t.Cleanup(func() { os.RemoveAll(l.dir) })
	if err := os.Mkdir(l.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	sw := l.namespace("switch")
	l.ip("-n", sw, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0", "forward_delay", "0")
	l.ip("-n", sw, "link", "set", "br0", "up")
	file := &strings.Builder{}
	hosts := make([]*host, len(names))
	for i, name := range names {
		h := &host{lab: l, name: name, ns: l.namespace(name),
			v4: netip.AddrFrom4([4]byte{10, 77, 0, byte(i + 1)}), v6: netip.MustParseAddr(fmt.Sprintf("fd77::%d", i+1))}
		hosts[i] = h
		port := "port" + strconv.Itoa(i)
		l.ip("-n", h.ns, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", sw)
		l.ip("-n", sw, "link", "set", port, "master", "br0", "up")
		l.ip("-n", h.ns, "link", "set", "lo", "up")
		l.ip("-n", h.ns, "addr", "add", h.v4.String()+"/24", "dev", "eth0")
		l.ip("-n", h.ns, "addr", "add", h.v6.String()+"/64", "dev", "eth0", "nodad")
		l.ip("-n", h.ns, "link", "set", "eth0", "up")
		fmt.Fprintf(file, "%s %s.test\n%s %s-v6.test\n", h.v4, name, h.v6, name)
		if i == 0 && aliases != "" {
			fmt.Fprintf(file, "%s %s\n", h.v4, aliases)
		}
	}
	l.write("hosts", file.String())
	return l, hosts
}

// need skips unless NTPTSD_INTEROP=1 and the machine can make network namespaces.
func need(t *testing.T) {
	t.Helper()
	if os.Getenv("NTPTSD_INTEROP") != "1" {
		t.Skip("real daemons in network namespaces: set NTPTSD_INTEROP=1 (make interop)")
	}
	if os.Geteuid() != 0 {
		lacking(t, "network namespaces need root")
	}
	for _, tool := range []string{"ip", "setpriv", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			lacking(t, "%v", err)
		}
	}
}

// lacking skips, or fails where NTPTSD_PEERS=require says that nothing may lack.
func lacking(t *testing.T, format string, args ...any) {
	t.Helper()
	if peers.Required() {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func (l *lab) namespace(name string) string {
	l.t.Helper()
	ns := l.name + "-" + name
	l.ip("netns", "add", ns)
	l.t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", ns).CombinedOutput(); err != nil {
			l.t.Errorf("ip netns del %s: %v: %s", ns, err, out)
		}
	})
	return ns
}

// ip does a step of making the lab. A container may forbid it to root, too.
func (l *lab) ip(args ...string) {
	l.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		lacking(l.t, "no lab: ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// write puts a file into the lab's folder, whole at once for those who watch it.
func (l *lab) write(name, content string) string {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	err := os.WriteFile(path+".new", []byte(content), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return path
}

// folder makes a folder that only its owner enters, as chronyd demands for its socket.
func (l *lab) folder(name string) string {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.MkdirAll(path, 0o700); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// removeStale removes what a killed run has left: namespaces and folders whose name says a process that is no more.
func removeStale() {
	stale := func(dir string) (names []string) {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			rest, ours := strings.CutPrefix(e.Name(), prefix)
			digits, _, _ := strings.Cut(rest, "-")
			if pid, err := strconv.Atoi(digits); ours && err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
				names = append(names, e.Name())
			}
		}
		return names
	}
	for _, ns := range stale("/run/netns") {
		exec.Command("ip", "netns", "del", ns).Run()
	}
	for _, name := range stale(os.TempDir()) {
		os.RemoveAll(filepath.Join(os.TempDir(), name))
	}
}

// within runs f in the host's network. Sockets that f opens itself are there; those of goroutines that it starts are not.
func (h *host) within(f func() error) error {
	runtime.LockOSThread() // unlocked only when the thread is back where it belongs
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	inside, err := os.Open(filepath.Join("/run/netns", h.ns))
	if err != nil {
		return err
	}
	defer inside.Close()
	if err := unix.Setns(int(inside.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	done := f()
	if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
		panic(err)
	}
	runtime.UnlockOSThread()
	return done
}

// dial opens a connection from inside the host to an address: no name is looked up, so no goroutine is started.
func (h *host) dial(ctx context.Context, network string, to netip.AddrPort) (conn net.Conn, err error) {
	err = h.within(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, to.String())
		return err
	})
	return conn, err
}

// pollEvery is how often a condition is looked at again.
const pollEvery = 200 * time.Millisecond

// eventually waits until check finds nothing wrong, and fails with what it found last.
func eventually(t *testing.T, within time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %v", within, err)
		}
		time.Sleep(pollEvery)
	}
}
