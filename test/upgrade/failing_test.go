package upgrade

import (
	"bufio"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/test/client"
)

// mustGoOn wants that the daemon is as if nothing had happened: it serves, changes keys, and keeps the state directory.
func (s *server) mustGoOn(d *daemon) {
	s.t.Helper()
	if d.over() {
		s.t.Fatalf("the old one has ended: %v", d.err)
	}
	if _, err := client.Exchange(s.ke(), s.roots); err != nil {
		s.t.Errorf("key exchange: %v", err)
	}
	if err := client.Ask(dial(s.t, s.ntp()), nil); err != nil {
		s.t.Errorf("time: %v", err)
	}
	eventually(s.t, func() error { // it learns of a killed successor a moment later
		_, err := s.rotate()
		return err
	})
	s.auditVerifies()
	if third := s.start(); true {
		third.exits(1)
		if !strings.Contains(third.log.String(), "another ntptsd runs with") {
			s.t.Errorf("the state directory is not locked: %s", third.log)
		}
	}
}

// rotate makes one rotation.
func (s *server) rotate() (string, error) {
	out, err := s.ctl("keys", "rotate")
	if err != nil {
		err = fatalIf(!strings.Contains(out, "taking over"), out)
	}
	return out, err
}

// A successor that is killed at any of the moments of a hand-over leaves the old one serving.
func TestKilledSuccessorLeavesTheOldOne(t *testing.T) {
	needsLinux(t)
	s := newServer(t)
	old := s.run()
	l := newLoad(t, s)
	for _, stage := range []string{connected, received, frozen, owner} {
		t.Run(stage, func(t *testing.T) {
			n := s.successor(stage)
			<-n.ended
			if !strings.Contains(n.log.String(), stage+"\n") {
				t.Fatalf("it did not come so far: %s", n.log)
			}
			s.mustGoOn(old)
		})
	}
	l.more(t, 100)
	l.mustBeWhole(t)
	if said := strings.Count(old.log.String(), "this one goes on"); said != 3 {
		t.Errorf("the old one has told of %d failures, not of 3", said)
	}
	next := s.start("--take-over") // and a good one still can
	next.says("taken over")
	old.exits(0)
	s.mustGoOn(next)
}

// The real one, killed whenever: afterwards one of the two has everything, or has had it.
func TestSuccessorKilledAtRandom(t *testing.T) {
	needsLinux(t)
	s := newServer(t)
	old := s.run()
	handed := 0
	for range 6 {
		n := s.start("--take-over")
		time.Sleep(rand.N(150 * time.Millisecond))
		_ = n.Process.Kill()
		<-n.ended
		if strings.Contains(n.log.String(), "taken over") {
			old.exits(0)
			handed++
			old = s.run()
			continue
		}
		s.mustGoOn(old)
	}
	t.Logf("%d of 6 had taken over before they were killed", handed)
}

// A successor that cannot serve says so, ends, and changes nothing.
func TestUnfitSuccessorLeavesTheOldOne(t *testing.T) {
	needsLinux(t)
	s := newServer(t)
	old := s.run()
	good, err := os.ReadFile(s.path("ntptsd.toml"))
	if err != nil {
		t.Fatal(err)
	}
	replaced := func(from, to string) string {
		text := strings.ReplaceAll(string(good), from, to)
		if text == string(good) {
			t.Fatalf("the configuration has no %s", from)
		}
		return text
	}
	taken, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		name, text string
		code       int
		says       string
		old        string // what the old one says of it
	}{
		{"configuration", replaced("stratum", "stratumm"), 2, "unknown key", ""},
		{"certificate", replaced("server.pem", "missing.pem"), 1, "missing.pem", "missing.pem"},
		{"state directory", replaced(s.path("state"), s.path("elsewhere")), 1, "has another one than", "goes on"},
		{"address", replaced(`["`+s.ke()+`"]`, `["`+s.ke()+`", "`+taken.Addr().String()+`"]`), 1, "another program has it", "another program has it"},
		{"socket", replaced("control.sock", "other.sock"), 1, "no ntptsd answers on", ""},
		{"no socket", replaced(`socket = "`+s.socket()+`"`, ""), 1, "no ntptsd answers on", ""}, // where it is by default
	} {
		t.Run(c.name, func(t *testing.T) {
			s.write(c.text)
			n := s.start("--take-over")
			n.exits(c.code)
			if !strings.Contains(n.log.String(), c.says) {
				t.Errorf("it does not say %q: %s", c.says, n.log)
			}
			if c.old != "" {
				old.says(c.old)
			}
			s.write(string(good))
			s.mustGoOn(old)
		})
	}
}

// While one takes over, a second one is told to wait, and nothing else changes what the first one reads.
func TestOneAtATime(t *testing.T) {
	needsLinux(t)
	s := newServer(t)
	old := s.run()
	first := s.successor(frozen + stay)
	first.says(frozen)
	second := s.start("--take-over")
	second.exits(1)
	if !strings.Contains(second.log.String(), "another one is taking over already") {
		t.Errorf("it says: %s", second.log)
	}
	if out, err := s.ctl("keys", "rotate"); err == nil || !strings.Contains(out, "taking over") {
		t.Errorf("a rotation meanwhile: %v, %s", err, out)
	}
	if out, err := s.ctl("reload"); err == nil || !strings.Contains(out, "taking over") {
		t.Errorf("a reload meanwhile: %v, %s", err, out)
	}
	if _, err := client.Exchange(s.ke(), s.roots); err != nil {
		t.Errorf("key exchange meanwhile: %v", err)
	}
	_ = first.Process.Kill()
	s.mustGoOn(old)
	if out, err := s.ctl("reload"); err != nil {
		t.Errorf("a reload afterwards: %v, %s", err, out)
	}
}

// Who was told that all is his may be stopped and go on whenever: the old one serves, and waits for him. Told to end itself it
// does, and leaves him what he needs.
func TestOldOneEndsWhileTheNewOneIsSlow(t *testing.T) {
	needsLinux(t)
	s := newServer(t)
	old := s.run()
	n := s.successor(owner + stay)
	n.says(owner)
	if _, err := client.Exchange(s.ke(), s.roots); err != nil {
		t.Errorf("key exchange meanwhile: %v", err)
	}
	if err := old.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	old.exits(0)
	if _, err := os.Stat(s.socket()); err != nil {
		t.Errorf("the path of the control socket: %v", err)
	}
	if n.over() {
		t.Error("the new one has ended")
	}
}

// Nobody but root and our own user gets a socket, whoever may open the control socket, nor anybody by TLS.
func TestOthersMayNotTakeOver(t *testing.T) {
	needsLinux(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can connect as somebody else")
	}
	s := newServer(t)
	old := s.run()
	for path := s.dir; path != "/" && path != os.TempDir(); path = path[:strings.LastIndexByte(path, '/')] {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(s.socket(), 0o666); err != nil {
		t.Fatal(err)
	}
	var conn net.Conn
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: rights belong to the thread, which ends with the goroutine
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, 65534, 65534, 65534); e != 0 {
			err = e
			return
		}
		conn, err = net.Dial("unix", s.socket())
	}()
	<-done
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if status := requestTakeOver(t, conn, "ntptsd-take-over/1"); status != http.StatusForbidden {
		t.Errorf("nobody is answered %d", status)
	}
	s.mustGoOn(old)
}

// Another version of the protocol is refused before anything is handed over.
func TestOtherVersionsAreRefused(t *testing.T) {
	needsLinux(t)
	s := newServer(t)
	old := s.run()
	for _, version := range []string{"ntptsd-take-over/2", "ntptsd-take-over", "websocket", ""} {
		conn, err := net.Dial("unix", s.socket())
		if err != nil {
			t.Fatal(err)
		}
		if status := requestTakeOver(t, conn, version); status != http.StatusUpgradeRequired {
			t.Errorf("%q is answered %d", version, status)
		}
		conn.Close()
	}
	s.mustGoOn(old)
}

func requestTakeOver(t *testing.T, conn net.Conn, protocol string) (status int) {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(eventuallyWithin))
	r, err := http.NewRequest(http.MethodPost, "http://ntptsd/v1/take-over", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", protocol)
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}
