package upgrade

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// holder keeps sockets as systemd does for its socket units: they are there whoever serves on them.
type holder struct {
	files []*os.File
	names []string
}

// hold opens what the configuration of s names.
func (s *server) hold() *holder {
	s.t.Helper()
	h := &holder{}
	keep := func(name string, socket interface {
		File() (*os.File, error)
		Close() error
	}, err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
		defer socket.Close()
		f, err := socket.File()
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { f.Close() })
		h.files, h.names = append(h.files, f), append(h.names, name)
	}
	tcp := func(port int) (*net.TCPListener, error) {
		return net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	}
	ke, err := tcp(s.keTCP)
	keep("keyexchange", ke, err)
	services, err := tcp(s.http)
	keep("monitoring", services, err)
	ntp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: s.ntpUDP})
	keep("timeserver", ntp, err)
	control, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.socket(), Net: "unix"})
	if err == nil {
		control.SetUnlinkOnClose(false)
	}
	keep("control", control, err)
	return h
}

// start starts a daemon with them, as sd_listen_fds(3) says.
func (h *holder) start(s *server, args ...string) *daemon {
	s.t.Helper()
	c := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, program(s.t, "ntptsd"), "run", "--config", s.path("ntptsd.toml")}, args...)...)
	c.Env = append(os.Environ(), fmt.Sprintf("LISTEN_FDS=%d", len(h.files)), "LISTEN_FDNAMES="+strings.Join(h.names, ":"))
	c.ExtraFiles = h.files
	return s.launch(c)
}

// A restart under systemd: who comes meanwhile waits in the sockets that the socket units hold.
func TestRestartWithHeldSockets(t *testing.T) {
	needsLinux(t)
	s := newServer(t)
	h := s.hold()
	old := h.start(s)
	s.serves(old)
	l := newLoad(t, s)
	var gaps []time.Duration
	for range takeOvers() {
		l.more(t, 300)
		began := time.Now()
		if err := old.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		old.exits(0)
		next := h.start(s)
		s.serves(next) // queued in the control socket meanwhile
		gaps = append(gaps, time.Since(began).Round(time.Millisecond))
		old = next
	}
	l.more(t, 300)
	l.mustBeWhole(t)
	t.Logf("from SIGTERM until the next one serves: %v", gaps)
}

// What a socket unit holds can be handed over as well, and stays the unit's.
func TestTakeOverOfHeldSockets(t *testing.T) {
	needsLinux(t)
	s := newServer(t)
	h := s.hold()
	old := h.start(s)
	s.serves(old)
	l := newLoad(t, s)
	next := s.start("--take-over")
	next.says("taken over")
	old.exits(0)
	l.more(t, 300)
	l.mustBeWhole(t)
	if err := next.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	next.exits(0)
	if _, err := os.Stat(s.socket()); err != nil {
		t.Errorf("the control socket was the unit's: %v", err)
	}
	s.serves(h.start(s))
}

// The service manager knows one process by its number: a successor from elsewhere is none of its.
func TestServiceManagersRestartInstead(t *testing.T) {
	needsLinux(t)
	s := newServer(t)
	at := s.path("notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	c := exec.Command(program(t, "ntptsd"), "run", "--config", s.path("ntptsd.toml"))
	c.Env = append(os.Environ(), "NOTIFY_SOCKET="+at)
	old := s.launch(c)
	s.serves(old)
	n := s.start("--take-over")
	n.exits(1)
	if !strings.Contains(n.log.String(), "systemctl restart ntptsd") {
		t.Errorf("it says: %s", n.log)
	}
	s.mustGoOn(old)
}
