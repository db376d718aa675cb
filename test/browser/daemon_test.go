package browser

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/api"
)

const (
	daemonPath  = "../../bin/ntptsd"
	readyWithin = 10 * time.Second
	endsWithin  = 15 * time.Second
)

var configuration = template.Must(template.New("").Parse(`state-directory = "{{.Dir}}/state"

[keyexchange]
listen      = ["127.0.0.1:{{.KE}}"]
certificate = "{{.Dir}}/etc/server.pem"
key         = "{{.Dir}}/etc/server.key"

[timeserver]
listen = ["127.0.0.1:{{.NTP}}"]

[clock]
source  = "fixed"
stratum = 3

[monitoring]
listen = ["127.0.0.1:{{.Services}}"]

[management]
socket = "{{.Dir}}/control.sock"

[access.certificate.operator]
fingerprint = "{{.Fingerprint}}"
role        = "operator"

[access.token.screen]
hash    = "{{.Hash}}"
role    = "monitor"
expires = {{.Expires}}

[log]
format = "text"
`))

// daemon is bin/ntptsd with a throw-away configuration.
type daemon struct {
	Dir, Fingerprint, Hash, Expires string
	KE, NTP, Services               int

	bearer  string
	process *exec.Cmd
	ended   chan struct{} // closed when process has gone
}

func TestDashboardOfNtptsd(t *testing.T) {
	need(t)
	d, p := newDaemon(t)
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	}()
	drive(t, "ntptsd", d, p, "Fit to serve time", "Offset and error bound", "there is no time daemon to ask", "The next key mints",
		"days left", "clients are sent to this host", "started")
}

// newDaemon makes certificates as "ntptsd init" does for everybody, and a configuration for free ports.
func newDaemon(t *testing.T) (*daemon, papers) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ntptsd-browser-") // not t.TempDir: a socket's path has at most 107 octets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	etc := filepath.Join(dir, "etc")
	out, err := exec.Command(daemonPath, "init", "--dir", etc, "--state-directory", filepath.Join(dir, "state"), "localhost", "127.0.0.1").CombinedOutput()
	if err != nil {
		t.Fatalf("ntptsd init: %v; run make build first\n%s", err, out)
	}
	p := papers{CA: filepath.Join(etc, "ca.pem"), Server: filepath.Join(etc, "server.pem"), Certificate: filepath.Join(etc, "operator.pem"), Key: filepath.Join(etc, "operator.key")}
	d := &daemon{Dir: dir, Fingerprint: fingerprint(t, p.Certificate), Expires: time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339),
		KE: freePort(t, "tcp"), NTP: freePort(t, "udp"), Services: freePort(t, "tcp")}
	d.bearer, d.Hash = access.NewToken()
	var text bytes.Buffer
	if err := configuration.Execute(&text, d); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ntptsd.toml"), text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return d, p
}

func (d *daemon) URL() string    { return fmt.Sprintf("https://localhost:%d/", d.Services) }
func (d *daemon) Bearer() string { return d.bearer }

func (d *daemon) Start() error {
	d.process = exec.Command(daemonPath, "run", "--config", filepath.Join(d.Dir, "ntptsd.toml"))
	d.process.Stdout, d.process.Stderr = os.Stdout, os.Stderr
	if err := d.process.Start(); err != nil {
		return err
	}
	d.ended = make(chan struct{})
	go func() { _ = d.process.Wait(); close(d.ended) }()
	for late := time.Now().Add(readyWithin); ; {
		if _, err := d.control(http.MethodGet, "/readyz", ""); err == nil {
			return nil
		} else if time.Now().After(late) {
			return errors.Join(fmt.Errorf("ntptsd was not ready within %v: %w", readyWithin, err), d.Stop())
		}
		select {
		case <-d.ended:
			return errors.New("ntptsd did not start; its reason stands above")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (d *daemon) Stop() error {
	if err := d.process.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-d.ended:
		return nil
	case <-time.After(endsWithin):
		_ = d.process.Process.Kill()
		<-d.ended
		return fmt.Errorf("ntptsd did not end within %v of SIGTERM, although a browser follows it", endsWithin)
	}
}

// Link is what "ntptsctl login" gets.
func (d *daemon) Link(role string) (string, error) {
	b, err := d.control(http.MethodPost, api.Login.Declaration().Path(), fmt.Sprintf(`{"role": %q}`, role))
	if err != nil {
		return "", err
	}
	var o api.Outcome[api.Link]
	if err := json.Unmarshal(b, &o); err != nil {
		return "", err
	}
	if o.Result == nil {
		return "", fmt.Errorf("login answered without a link: %s", b)
	}
	return o.Result.Token, nil
}

// control asks on the control socket.
func (d *daemon) control(method, path, body string) ([]byte, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(d.Dir, "control.sock"))
		}}}
	request, err := http.NewRequest(method, "http://ntptsd"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(response.Body); err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, b.Bytes())
	}
	return b.Bytes(), nil
}

func fingerprint(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("%s is no PEM", file)
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:])
}

// freePort is one that was free a moment ago.
func freePort(t *testing.T, network string) int {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.LocalAddr().(*net.UDPAddr).Port
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
