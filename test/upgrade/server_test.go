package upgrade

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/test/build"
)

// eventuallyWithin is for what a busy machine may delay.
const eventuallyWithin = 30 * time.Second

// programs are built once.
var programs = sync.OnceValues(func() (string, error) { // never assigned again
	dir, err := os.MkdirTemp("", "ntptsd-upgrade-")
	if err == nil {
		built.Store(&dir)
		err = os.Chmod(dir, 0o755) // for tests that become somebody else
	}
	if err == nil {
		err = build.Into(dir, "../..")
	}
	return dir, err
})

// built is where they are, to be removed; nil if no test wanted them.
var built atomic.Pointer[string]

func TestMain(m *testing.M) {
	if stage := os.Getenv(helperStage); stage != "" {
		help(stage, os.Getenv(helperSocket))
		return
	}
	code := m.Run()
	if dir := built.Load(); dir != nil {
		os.RemoveAll(*dir)
	}
	os.Exit(code)
}

func program(t *testing.T, name string) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// server is a place with a configuration, at which one ntptsd after the other runs.
type server struct {
	t      *testing.T
	dir    string
	keTCP  int
	ntpUDP int
	http   int
	roots  *x509.CertPool
}

// newServer has certificates and free ports, and runs nothing.
func newServer(t *testing.T) *server {
	s := &server{t: t, dir: t.TempDir(), keTCP: freePort(t), ntpUDP: freePort(t), http: freePort(t)}
	out, err := exec.Command(program(t, "ntptsd"), "init", "--root", "none", "--dir", s.path("etc"), "--state-directory", s.path("state"),
		"localhost", "127.0.0.1").CombinedOutput()
	if err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	ca, err := os.ReadFile(s.path("etc/ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	s.roots = x509.NewCertPool()
	s.roots.AppendCertsFromPEM(ca)
	s.configure("")
	return s
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }
func (s *server) ke() string              { return fmt.Sprintf("127.0.0.1:%d", s.keTCP) }
func (s *server) ntp() string             { return fmt.Sprintf("127.0.0.1:%d", s.ntpUDP) }
func (s *server) socket() string          { return s.path("control.sock") }

// configure writes the configuration, with further lines.
func (s *server) configure(more string) {
	s.write(fmt.Sprintf(`state-directory = %q
[keyexchange]
listen = [%q]
certificate = %q
key = %q
max-connections-per-prefix = 1000
[timeserver]
listen = [%q]
workers = 3
[clock]
source = "fixed"
stratum = 3
[keyring]
rotate-every = "1h"
[monitoring]
listen = ["127.0.0.1:%d"]
[management]
socket = %q
%s
`, s.path("state"), s.ke(), s.path("etc/server.pem"), s.path("etc/server.key"), s.ntp(), s.http, s.socket(), more))
}

func (s *server) write(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path("ntptsd.toml"), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// freePort is free for TCP and UDP.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// daemon is one ntptsd.
type daemon struct {
	*exec.Cmd
	t     *testing.T
	log   *logged
	ended chan struct{}
	err   error // to be read after ended
}

// logged is what a process says.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start starts the daemon; see run.
func (s *server) start(args ...string) *daemon {
	s.t.Helper()
	return s.launch(exec.Command(program(s.t, "ntptsd"), append([]string{"run", "--config", s.path("ntptsd.toml")}, args...)...))
}

func (s *server) launch(c *exec.Cmd) *daemon {
	s.t.Helper()
	d := &daemon{Cmd: c, t: s.t, log: &logged{}, ended: make(chan struct{})}
	c.Stderr, c.Stdout = d.log, d.log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		d.err = c.Wait()
		close(d.ended)
	}()
	s.t.Cleanup(func() {
		_ = c.Process.Kill()
		<-d.ended
		if s.t.Failed() {
			s.t.Logf("log of %d:\n%s", c.Process.Pid, d.log)
		}
	})
	return d
}

// run starts the first one and waits until it serves.
func (s *server) run(args ...string) *daemon {
	s.t.Helper()
	d := s.start(args...)
	s.serves(d)
	return d
}

// serves waits until that daemon is the one behind the control socket.
func (s *server) serves(d *daemon) {
	s.t.Helper()
	eventually(s.t, func() error {
		if d.over() {
			return fatal{fmt.Errorf("the daemon has ended: %v", d.err)}
		}
		_, err := s.get("/healthz")
		return err
	})
}

// says waits until the daemon's log has the text.
func (d *daemon) says(text string) {
	d.t.Helper()
	eventually(d.t, func() error {
		if strings.Contains(d.log.String(), text) {
			return nil
		}
		if d.over() {
			return fatal{fmt.Errorf("the daemon has ended (%v) without saying %q", d.err, text)}
		}
		return fmt.Errorf("it does not say %q", text)
	})
}

func (d *daemon) over() bool {
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

// exits waits until it has ended, and wants that exit code.
func (d *daemon) exits(code int) {
	d.t.Helper()
	select {
	case <-d.ended:
	case <-time.After(eventuallyWithin):
		d.t.Fatal("the daemon does not end")
	}
	if got := d.ProcessState.ExitCode(); got != code {
		d.t.Errorf("the daemon has ended with %d, want %d", got, code)
	}
}

// get asks over the control socket.
func (s *server) get(path string) (string, error) {
	c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.socket())
		}}}
	r, err := c.Get("http://ntptsd" + path)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", r.Status, b)
	}
	return string(b), err
}

// ctl runs ntptsctl.
func (s *server) ctl(args ...string) (string, error) {
	out, err := exec.Command(program(s.t, "ntptsctl"), append([]string{"--socket", s.socket()}, args...)...).CombinedOutput()
	return string(out), err
}

// fatal is what waiting does not mend.
type fatal struct{ error }

func eventually(t *testing.T, ok func() error) {
	t.Helper()
	for end := time.Now().Add(eventuallyWithin); ; time.Sleep(10 * time.Millisecond) {
		err := ok()
		if err == nil {
			return
		}
		if errors.As(err, &fatal{}) || time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func fatalIf(yes bool, text string) error {
	if yes {
		return fatal{errors.New(text)}
	}
	return errors.New(text)
}
