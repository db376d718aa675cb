// Command demo is "make run": a complete ntptsd with its own throw-away certificate authority on free ports of this
// machine, an authenticated answer from it, and what to try next. It serves until ^C and leaves nothing behind.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"
)

const (
	daemonPath = "bin/ntptsd"
	clientPath = "bin/ntptsctl"
	// tries: from the first port on, the next free one is taken.
	tries       = 100
	readyWithin = 10 * time.Second
)

var configuration = template.Must(template.New("").Parse(`# Written by "make run"; gone when it ends.
state-directory = "{{.Dir}}/state"

[keyexchange]
listen      = ["127.0.0.1:{{.KE}}"{{if .IPv6}}, "[::1]:{{.KE}}"{{end}}]
certificate = "{{.Dir}}/server.pem"
key         = "{{.Dir}}/server.key"

[timeserver]
listen = ["127.0.0.1:{{.NTP}}"{{if .IPv6}}, "[::1]:{{.NTP}}"{{end}}]

[clock]
source  = "fixed"     # believe this machine's clock as it is: for a demonstration only
stratum = 3

[monitoring]
listen = ["127.0.0.1:{{.Services}}"{{if .IPv6}}, "[::1]:{{.Services}}"{{end}}]

[access]
client-ca = "{{.Dir}}/ca.pem"

[access.certificate.operator]
san  = "operator"
role = "operator"

[management]
socket = "{{.Dir}}/control.sock"

[log]
format = "text"
`))

var next = template.Must(template.New("").Parse(`
ntptsd serves until ^C. Watch it in a browser, which will warn of the throw-away CA; the link works once, for five minutes:

  {{.Link}}

In another terminal, from this folder:

  # the services port by hand, with the operator's certificate: peers, status, show keys, events --follow, help
  openssl s_client -quiet -crlf -CAfile {{.Dir}}/ca.pem -cert {{.Dir}}/operator.pem -key {{.Dir}}/operator.key -connect localhost:{{.Services}}

  # by program, and live; "login" makes another link
  curl --cacert {{.Dir}}/ca.pem --cert {{.Dir}}/operator.pem --key {{.Dir}}/operator.key https://localhost:{{.Services}}/v1/status
  {{.Client}} --host localhost:{{.Services}} --ca {{.Dir}}/ca.pem --cert {{.Dir}}/operator.pem --key {{.Dir}}/operator.key top
  {{.Client}} --socket {{.Dir}}/control.sock login

  # the same again; try --json and --count 5, too
  {{.Client}} probe --ca {{.Dir}}/ca.pem localhost:{{.KE}}

  # NTP without NTS, and a client that does not trust the CA
  {{.Client}} probe --plain localhost:{{.NTP}}
  {{.Client}} probe localhost:{{.KE}}

  # how it does, its keys, what it counts, and how it is set up
  {{.Client}} --socket {{.Dir}}/control.sock status
  {{.Client}} --socket {{.Dir}}/control.sock keys
  curl --unix-socket {{.Dir}}/control.sock http://ntptsd/metrics
  cat {{.Dir}}/ntptsd.toml

  # a real client, for root; -x leaves the clock alone, and "Selected source" means that it synchronises
  chronyd -x -d -u root 'server localhost iburst nts ntsport {{.KE}} port {{.NTP}}' 'ntstrustedcerts {{.Dir}}/ca.pem' \
    'port 0' 'cmdport 0' 'bindcmdaddress /' 'pidfile {{.Dir}}/chronyd.pid'

`))

// place is where the demonstration lives.
type place struct {
	Dir, Client string
	KE, NTP     int
	Services    int
	IPv6        bool
	Link        string // to the dashboard
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "make run: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "ntptsd-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p := place{Dir: dir, Client: clientPath, IPv6: ipv6()}
	if p.KE, err = freePort(14460, tcpFree); err != nil {
		return err
	}
	if p.Services, err = freePort(max(14461, p.KE+1), tcpFree); err != nil {
		return err
	}
	if p.NTP, err = freePort(10123, udpFree); err != nil {
		return err
	}
	if err := prepare(ctx, p); err != nil {
		return err
	}
	daemon, ended, err := start(ctx, p)
	if err != nil {
		return err
	}
	defer func() {
		daemon.Process.Signal(syscall.SIGTERM)
		<-ended
	}()
	if err := show(ctx, p, out); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-ended:
		return errors.New("ntptsd ended by itself; its last words stand above")
	}
}

// prepare makes certificates as "ntptsd init" does for everybody, and a configuration for free ports.
func prepare(ctx context.Context, p place) error {
	etc := filepath.Join(p.Dir, "init")
	out, err := exec.CommandContext(ctx, daemonPath, "init", "--dir", etc, "--state-directory", filepath.Join(p.Dir, "state"),
		"localhost", "127.0.0.1", "::1").CombinedOutput()
	if err != nil {
		return fmt.Errorf("ntptsd init: %w\n%s", err, out)
	}
	for _, name := range []string{"ca.pem", "server.pem", "server.key", "operator.pem", "operator.key"} {
		if err := os.Rename(filepath.Join(etc, name), filepath.Join(p.Dir, name)); err != nil {
			return err
		}
	}
	var text bytes.Buffer
	if err := configuration.Execute(&text, p); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.Dir, "ntptsd.toml"), text.Bytes(), 0o600)
}

// start runs the daemon; ended is closed when it has gone.
func start(ctx context.Context, p place) (*exec.Cmd, <-chan struct{}, error) {
	c := exec.Command(daemonPath, "run", "--config", filepath.Join(p.Dir, "ntptsd.toml"))
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C comes to us; we end it in order
	if err := c.Start(); err != nil {
		return nil, nil, fmt.Errorf("%w; run make build first", err)
	}
	ended := make(chan struct{})
	go func() { c.Wait(); close(ended) }()
	if err := waitReady(ctx, p, ended); err != nil {
		c.Process.Signal(syscall.SIGTERM)
		<-ended
		return nil, nil, err
	}
	return c, ended, nil
}

// waitReady asks the control socket until it says that all is up.
func waitReady(ctx context.Context, p place, ended <-chan struct{}) error {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(p.Dir, "control.sock"))
		},
	}}
	late := time.After(readyWithin)
	for {
		if resp, err := client.Get("http://ntptsd/healthz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return errors.New("ntptsd did not start; its reason stands above")
		case <-late:
			return fmt.Errorf("ntptsd was not ready within %v", readyWithin)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// show runs the probe for everybody to see.
func show(ctx context.Context, p place, out io.Writer) error {
	args := []string{"probe", "--ca", filepath.Join(p.Dir, "ca.pem"), fmt.Sprintf("localhost:%d", p.KE)}
	fmt.Fprintf(out, "\n$ %s %s\n", clientPath, strings.Join(args, " "))
	c := exec.CommandContext(ctx, clientPath, args...)
	c.Stdout, c.Stderr = out, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("the probe failed: %w", err)
	}
	link, err := exec.CommandContext(ctx, clientPath, "--socket", filepath.Join(p.Dir, "control.sock"), "login", "operator").Output()
	if err != nil {
		return fmt.Errorf("no link to the dashboard: %w", err)
	}
	p.Link, _, _ = strings.Cut(string(link), "\n")
	return next.Execute(out, p)
}

func freePort(first int, free func(string) bool) (int, error) {
	for port := first; port < first+tries; port++ {
		if free(fmt.Sprintf("127.0.0.1:%d", port)) && free(fmt.Sprintf("[::1]:%d", port)) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port from %d to %d", first, first+tries-1)
}

func tcpFree(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return strings.HasPrefix(addr, "[") && !ipv6()
	}
	return l.Close() == nil
}

func udpFree(addr string) bool {
	c, err := net.ListenPacket("udp", addr)
	if err != nil {
		return strings.HasPrefix(addr, "[") && !ipv6()
	}
	return c.Close() == nil
}

// ipv6 tells whether this machine has a loopback address of that family.
func ipv6() bool {
	c, err := net.ListenPacket("udp", "[::1]:0")
	return err == nil && c.Close() == nil
}
