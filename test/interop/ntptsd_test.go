package interop

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/protocol/ntske"
)

// bin is where make build leaves the programs.
const bin = "../../bin"

// build makes the programs once a run, as make build does, so that no old one is tried.
var build = sync.OnceValue(func() error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin+"/", "../../cmd/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
})

func program(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(bin, name))
	if err == nil {
		err = build()
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// settings are what the cases vary. The lines are TOML.
type settings struct {
	pair        pair
	listen      string // where keys are exchanged; the standard port if empty
	keyExchange string
	keyRing     string
	noTime      bool   // key exchange alone: the time server is the neighbour
	time        string // where time is served; the standard port if empty
	timeServer  string
	clock       string // stratum 1 whatever the clock does, if empty
	more        string // further tables
	user        string
}

// An ntptsd is our daemon in a host, on the standard ports, with its own control socket.
type ntptsd struct {
	*process
	host                          *host
	program, file, stateDirectory string
	socket                        string
}

const configuration = `state-directory = %q
user            = %q

[keyexchange]
listen      = [%q]
certificate = %q
key         = %q
%s

%s
[clock]
%s

[keyring]
%s

%s

[management]
socket = %q

[log]
level = "debug"
`

func startNtptsd(h *host, s settings) *ntptsd {
	l := h.lab
	l.t.Helper()
	d := &ntptsd{host: h, program: program(l.t, "ntptsd"), stateDirectory: l.folder(h.name + "-state"),
		socket: filepath.Join(l.folder(h.name+"-run"), "control.sock")}
	d.configure(s)
	d.run()
	return d
}

// configure writes the configuration. A daemon that runs reads it at SIGHUP.
func (d *ntptsd) configure(s settings) {
	d.host.lab.t.Helper()
	timeServer := ""
	if !s.noTime {
		timeServer = fmt.Sprintf("[timeserver]\nlisten = [%q]\n%s\n", cmp.Or(s.time, "[::]:123"), s.timeServer)
	}
	d.file = d.host.lab.write(d.host.name+"-ntptsd.toml", fmt.Sprintf(configuration,
		d.stateDirectory, s.user, cmp.Or(s.listen, "[::]:4460"), s.pair.cert, s.pair.key, s.keyExchange, timeServer,
		cmp.Or(s.clock, "source = \"fixed\"\nstratum = 1"), s.keyRing, s.more, d.socket))
}

// run starts the daemon, again if it was stopped, and waits until it answers.
func (d *ntptsd) run() {
	d.host.lab.t.Helper()
	if d.process == nil {
		d.process = d.host.start("ntptsd", []string{d.program, "--config", d.file})
	} else {
		d.launch()
	}
	d.answers()
}

// answers waits until the daemon does.
func (d *ntptsd) answers() {
	d.host.lab.t.Helper()
	eventually(d.host.lab.t, commandTimeout, func() error {
		_, err := d.metrics()
		return err
	})
}

// metrics reads GET /metrics on the control socket: the value of each series.
func (d *ntptsd) metrics() (map[string]float64, error) {
	client := &http.Client{Timeout: commandTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", d.socket)
		},
	}}
	r, err := client.Get("http://ntptsd/metrics")
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return nil, errors.New(r.Status)
	}
	series := map[string]float64{}
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		name, value, ok := cutLast(lines.Text(), " ")
		if ok && !strings.HasPrefix(name, "#") {
			if series[name], err = strconv.ParseFloat(value, 64); err != nil {
				return nil, err
			}
		}
	}
	return series, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// counted adds up the series of one name whose labels contain label.
func (d *ntptsd) counted(name, label string) float64 {
	d.host.lab.t.Helper()
	all, err := d.metrics()
	if err != nil {
		d.host.lab.t.Fatal(err)
	}
	sum, found := 0.0, false
	for series, value := range all {
		base, labels, _ := strings.Cut(series, "{")
		if base == name {
			found = true
			if strings.Contains(labels, label) {
				sum += value
			}
		}
	}
	if !found {
		d.host.lab.t.Fatalf("no metric %s", name)
	}
	return sum
}

// certificate does a TLS handshake for key exchange from another host and gives the certificate shown for the name.
func certificate(from, to *host, a *authority, name string) (*big.Int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	raw, err := from.dial(ctx, "tcp", netip.AddrPortFrom(to.v4, ntske.Port))
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	conn := tls.Client(raw, &tls.Config{RootCAs: a.pool(), ServerName: name, NextProtos: []string{ntske.ALPN}, MinVersion: tls.VersionTLS13})
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber, nil
}

// changes counts the contents that a key file has had since it was first looked at: how often its keys were rotated.
type changes struct {
	path, last string
	count      int
}

func (c *changes) look() error {
	content, err := os.ReadFile(c.path)
	if err != nil {
		return err
	}
	if c.last != "" && c.last != string(content) {
		c.count++
	}
	c.last = string(content)
	return nil
}
