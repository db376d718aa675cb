package crash

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// programs are built once, with the faults that internal/durable has for us.
var programs = sync.OnceValues(func() (dir string, err error) { // never assigned again
	if dir, err = os.MkdirTemp("", "ntptsd-crash-"); err != nil {
		return "", err
	}
	c := exec.Command("go", "build", "-tags", "faults", "-o", dir+"/", "./cmd/...")
	c.Dir = "../.."
	if out, err := c.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if os.Getenv(howMany) != "" {
		if dir, err := programs(); err == nil {
			os.RemoveAll(dir)
		}
	}
	os.Exit(code)
}

// howMany is the environment variable that says how often the daemon is killed at random; without it nothing is tested here.
const howMany = "NTPTSD_CRASH"

func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv(howMany)
	if text == "" {
		t.Skipf("make crash, or %s=200, kills a real daemon so often", howMany)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1_000_000 {
		t.Fatalf("%s=%s: a number of kills", howMany, text)
	}
	return n
}

// server is a place at which one ntptsd after the other runs, each until it is killed.
type server struct {
	t              testing.TB
	dir            string
	ke, ntp, https int
	roots          *x509.CertPool
	local, tls     *http.Client
}

func newServer(t testing.TB) *server {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: filepath.Join(t.TempDir(), "place"), ke: freePort(t), ntp: freePort(t), https: freePort(t)}
	if err := os.Mkdir(s.dir, 0o755); err != nil { // whose name is in the steps, and so the same each time
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(dir, "ntptsd"), "init", "--root", "none", "--dir", s.path("etc"), "--state-directory", s.path("state"), "localhost", "127.0.0.1").CombinedOutput()
	if err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	ca, err := os.ReadFile(s.path("etc/ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	s.roots = x509.NewCertPool()
	s.roots.AppendCertsFromPEM(ca)
	s.local = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.path("control.sock"))
		}}}
	s.tls = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: s.roots}}}
	text := fmt.Sprintf(`state-directory = %q
[keyexchange]
listen = ["127.0.0.1:%d"]
certificate = "authority"
[[keyexchange.server]]
name = "127.0.0.1"
port = %d
[certs.authority]
names = ["localhost", "127.0.0.1"]
certificate = %q
key = %q
[timeserver]
listen = ["127.0.0.1:%d"]
workers = 1
[clock]
source = "fixed"
stratum = 3
[keyring]
rotate-every = "1h"
[monitoring]
listen = ["127.0.0.1:%d"]
[audit]
max-size = 65536
keep = 2
syslog = false
[management]
socket = %q
`, s.path("state"), s.ke, s.ntp, s.path("etc/server-ca.pem"), s.path("etc/server-ca.key"), s.ntp, s.https, s.path("control.sock"))
	if err := os.WriteFile(s.path("ntptsd.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

// daemon is one of them.
type daemon struct {
	*exec.Cmd
	log   bytes.Buffer // to be read after ended
	ended chan struct{}
}

// start starts one and waits until it serves, or has ended.
func (s *server) start(environment ...string) *daemon {
	s.t.Helper()
	dir, _ := programs()
	d := &daemon{Cmd: exec.Command(filepath.Join(dir, "ntptsd"), "run", "--config", s.path("ntptsd.toml")), ended: make(chan struct{})}
	d.Env = append(os.Environ(), environment...)
	d.Stdout, d.Stderr = &d.log, &d.log
	d.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_ = d.Wait() // killed, mostly
		close(d.ended)
	}()
	s.t.Cleanup(d.kill)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if r, err := s.local.Get("http://localhost/readyz"); err == nil {
			r.Body.Close()
			return d
		}
		select {
		case <-d.ended:
			return d
		default:
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("it does not serve:\n%s", d.stopped())
		}
	}
}

func (d *daemon) kill() {
	_ = d.Process.Kill()
	<-d.ended
}

// stopped kills it, and gives its log.
func (d *daemon) stopped() string {
	d.kill()
	return d.log.String()
}

func (d *daemon) lives() bool {
	select {
	case <-d.ended:
		return false
	default:
		return true
	}
}

// errRefused is an answer that says no.
var errRefused = errors.New("refused")

// do makes a change by the control socket. Only what was answered counts as done, or as refused.
func (s *server) do(name string, args map[string]any, result any) (head [2]string, err error) {
	if args == nil {
		args = map[string]any{}
	}
	body, err := json.Marshal(args)
	if err != nil {
		return head, err
	}
	r, err := s.local.Post("http://localhost/v1/actions/"+strings.ReplaceAll(name, " ", "-"), "application/json", bytes.NewReader(body))
	if err != nil {
		return head, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return head, err
	}
	if r.StatusCode != http.StatusOK {
		return head, fmt.Errorf("%w: %s: %d %s", errRefused, name, r.StatusCode, b)
	}
	o := struct {
		Audit struct {
			Sequence json.Number `json:"seq"`
			Hash     string      `json:"hash"`
		} `json:"audit"`
		Result json.RawMessage `json:"result"`
	}{}
	if err := json.Unmarshal(b, &o); err != nil {
		return head, err
	}
	if result != nil {
		err = json.Unmarshal(o.Result, result)
	}
	return [2]string{o.Audit.Sequence.String(), o.Audit.Hash}, err
}

// read asks a command that changes nothing, by the control socket.
func (s *server) read(name string, into any) error {
	r, err := s.local.Get("http://localhost/v1/" + name)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", name, r.Status)
	}
	return json.NewDecoder(r.Body).Decode(into)
}

// waiting is a change that waits to be confirmed.
type waiting struct {
	Change  uint64 `json:"change"`
	Command string `json:"command"`
}

func (s *server) changes() ([]waiting, error) {
	var c struct {
		Changes []waiting `json:"changes"`
	}
	err := s.read("changes", &c)
	return c.Changes, err
}

// waits is the change of that command that waits to be confirmed; 0: none.
func (s *server) waits(command string) (change uint64, err error) {
	all, err := s.changes()
	for _, c := range all {
		if c.Command == command {
			change = c.Change
		}
	}
	return change, err
}

// whoami is the status that somebody with a token gets.
func (s *server) whoami(token string) (int, error) {
	q, err := http.NewRequest("GET", fmt.Sprintf("https://localhost:%d/v1/whoami", s.https), nil)
	if err != nil {
		return 0, err
	}
	q.Header.Set("Authorization", "Bearer "+token)
	r, err := s.tls.Do(q)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	return r.StatusCode, nil
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
