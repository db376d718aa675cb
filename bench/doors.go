package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
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
	"time"

	"github.com/ntptsd/ntptsd/test/interop/peers"
)

const (
	sources      = 64
	settle       = 3 * time.Second // for a server that was just started
	dialTimeout  = 10 * time.Second
	everydayWait = 30 * time.Second
)

// daemon is a bin/ntptsd with a services port.
type daemon struct {
	*bench
	pid      int
	ke, addr string
	scraper  string // a token that is confined to metrics
	monitor  string // one that is not
	log      string // the file
}

// monitored starts one. Its clock is that of the configuration's section.
func (b *bench) monitored(ctx context.Context, clock string) (*daemon, error) {
	name := fmt.Sprintf("ntptsd%d", len(b.procs))
	d := &daemon{bench: b, log: b.path(name + ".log")}
	var entries [2]string
	var udp string
	var errs [5]error
	d.ke, errs[0] = freeTCP()
	d.addr, errs[1] = freeTCP()
	udp, errs[2] = freeUDP()
	d.scraper, entries[0], errs[3] = newToken(ctx, "scraper", "--only", "metrics")
	d.monitor, entries[1], errs[4] = newToken(ctx, "monitor")
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	conf, err := b.write(name+".toml", fmt.Sprintf(`
state-directory = %q
[keyexchange]
listen = [%q]
certificate = %q
key = %q
max-connections-per-prefix = 1000
[timeserver]
listen = [%q]
[monitoring]
listen = [%q]
[clock]
%s
%s
%s
`, b.path(name), d.ke, b.path("etc/server.pem"), b.path("etc/server.key"), udp, d.addr, clock, entries[0], entries[1]))
	if err != nil {
		return nil, err
	}
	if b.log, err = os.Create(d.log); err != nil {
		return nil, err
	}
	c, err := b.start("bin/ntptsd", "run", "--config", conf)
	b.log.Close() // the server has it
	b.log = nil
	if err != nil {
		return nil, err
	}
	d.pid = c.Process.Pid
	if err := errors.Join(ready(d.ke), ready(d.addr)); err != nil {
		said, _ := os.ReadFile(d.log)
		return nil, fmt.Errorf("ntptsd did not start: %w\n%s", err, said)
	}
	return d, sleep(ctx, settle)
}

const fixedClock = "source = \"fixed\"\nstratum = 3"

// newToken has ntptsd make a token, and gives its entry of the configuration.
func newToken(ctx context.Context, name string, args ...string) (token, entry string, err error) {
	c := exec.CommandContext(ctx, "bin/ntptsd", append([]string{"token", name, "--days", "1"}, args...)...)
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		return "", "", fmt.Errorf("ntptsd token: %w\n%s", err, &said)
	}
	_, entry, _ = strings.Cut(said.String(), "\n\n")
	return strings.TrimSpace(string(out)), entry, nil
}

// chronydWithSources starts the chronyd of a release with 64 sources, none of which there is, and gives the section of the
// configuration for it. It sets no clock, and needs none of them to answer.
func (b *bench) chronydWithSources(ctx context.Context) (clock string, err error) {
	dir, err := peers.Dir()
	if err != nil {
		return "", err
	}
	release := peers.Trixie()
	if _, err := os.Stat(filepath.Join(dir, release.Name)); err != nil {
		return "", fmt.Errorf("%w; make peers brings it", err)
	}
	tree, err := peers.Fetch(ctx, dir, release)
	if err != nil {
		return "", err
	}
	run := b.path("chronyd")
	if err := os.Mkdir(run, 0o700); err != nil {
		return "", err
	}
	socket := filepath.Join(run, "chronyd.sock")
	var text strings.Builder
	fmt.Fprintf(&text, "port 0\ncmdport 0\nbindcmdaddress %s\npidfile %s/chronyd.pid\n", socket, run)
	for i := range sources {
		fmt.Fprintf(&text, "server 127.77.0.%d minpoll 6\n", i+1)
	}
	conf, err := b.write("chronyd.conf", text.String())
	if err != nil {
		return "", err
	}
	line := append([]string{"setpriv", "--bounding-set", "-sys_time", "--inh-caps", "-sys_time", "--"},
		tree.Command("usr/sbin/chronyd", "-x", "-d", "-u", "root", "-f", conf)...)
	if _, err := b.start(line...); err != nil {
		return "", err
	}
	for end := time.Now().Add(startWithin); ; {
		if _, err = os.Stat(socket); err == nil {
			return fmt.Sprintf("source = \"chrony\"\nchrony-socket = %q", socket), nil
		}
		if time.Now().After(end) {
			return "", fmt.Errorf("chronyd did not start: %w", err)
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return "", err
		}
	}
}

// dial makes a connection to the services port that speaks protocol, from an address of this host (empty: the usual one).
func (d *daemon) dial(protocol, from string) (*tls.Conn, error) {
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout}, Config: &tls.Config{
		RootCAs: d.roots, ServerName: "localhost", NextProtos: []string{protocol}, MinVersion: tls.VersionTLS13}}
	if from != "" {
		dialer.NetDialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := dialer.Dial("tcp", d.addr)
	if err != nil {
		return nil, err
	}
	return c.(*tls.Conn), nil
}

// client speaks HTTP/2 by one kept-alive connection, as Prometheus does.
func (d *daemon) client() *http.Client {
	return &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, DisableCompression: true,
		TLSClientConfig: &tls.Config{RootCAs: d.roots, ServerName: "localhost", MinVersion: tls.VersionTLS13}}}
}

// get asks for a path; the answer must be 200.
func (d *daemon) get(ctx context.Context, c *http.Client, path, token string, header http.Header) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+d.addr+path, nil)
	if err != nil {
		return nil, err
	}
	if header != nil {
		r.Header = header.Clone()
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return resp.Body, nil
}

// values are the metrics without labels, by name, and how many of each there are with labels.
func (d *daemon) values(ctx context.Context) (values map[string]float64, labelled map[string]int, err error) {
	c := d.client()
	defer c.CloseIdleConnections()
	body, err := d.get(ctx, c, "/metrics", d.scraper, nil)
	if err != nil {
		return nil, nil, err
	}
	defer body.Close()
	values, labelled = map[string]float64{}, map[string]int{}
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if family, _, found := strings.Cut(name, "{"); found {
			labelled[family]++
		} else if v, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = v
		}
	}
	return values, labelled, lines.Err()
}
