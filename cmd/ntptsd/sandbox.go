package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/sandbox"
)

// confinement is the sandbox of this process: made before the services, entered when these have read their files. A
// daemon.Service and Reloader, and a prometheus.Collector.
type confinement struct {
	path    string // of the configuration
	log     *slog.Logger
	entered atomic.Pointer[sandbox.Sandbox]
}

func newConfinement(path string, log *slog.Logger) *confinement {
	return &confinement{path: path, log: log.With("section", "sandbox")}
}

// enter gives up what cfg does not need.
func (c *confinement) enter(cfg *config.Config) error {
	s, err := sandbox.Enter(sandbox.Mode(cfg.Sandbox.Mode), rulesOf(cfg, c.path), c.log)
	if err == nil {
		c.entered.Store(s)
	}
	return err
}

// checkSandbox tells whether this system can do what the configuration requires.
func checkSandbox(cfg *config.Config) error {
	if sandbox.Mode(cfg.Sandbox.Mode) != sandbox.Require {
		return nil
	}
	if err := sandbox.Lacking(); err != nil {
		return sandbox.Refusal(err)
	}
	return nil
}

// Run has nothing to do.
func (c *confinement) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Prepare refuses what lies outside.
func (c *confinement) Prepare(cfg *config.Config) (commit func(), err error) {
	s := c.entered.Load()
	switch {
	case s == nil: // cannot be: nothing reloads before
	case string(s.Mode()) != cfg.Sandbox.Mode:
		return nil, fmt.Errorf("sandbox.mode changed from %q to %q: restart ntptsd to change it", s.Mode(), cfg.Sandbox.Mode)
	default:
		err = s.Admits(rulesOf(cfg, c.path))
	}
	return func() {}, err
}

// Describe implements prometheus.Collector: nothing is settled before the sandbox is entered.
func (c *confinement) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *confinement) Collect(ch chan<- prometheus.Metric) {
	if s := c.entered.Load(); s != nil {
		s.Collect(ch)
	}
}

// rulesOf is what a daemon of that configuration, read from path, may need while it lives. All sockets are open.
func rulesOf(cfg *config.Config, path string) sandbox.Rules {
	r := places{}
	r.file("the configuration", path, sandbox.Read)
	r.folder("state-directory", cfg.StateDirectory, sandbox.Write)
	r.folder("audit.directory", cfg.Audit.Directory, sandbox.Write)
	r.certificates(cfg)
	r.file("access.client-ca", cfg.Access.ClientCA, sandbox.Read)
	if m := cfg.Management; m != nil {
		r.file("management.socket", m.Socket, sandbox.Sockets) // removed at the end
		r.file("management.sources-file", m.SourcesFile, sandbox.Write)
	}
	r.ring("keyring", cfg.KeyRing)
	for _, name := range slices.Sorted(maps.Keys(cfg.Rings)) {
		r.ring("rings."+name, cfg.Rings[name])
	}
	if cfg.Clock.Source == "chrony" || cfg.Clock.Source == "auto" {
		r.chrony("clock.chrony-socket", cfg.Clock.ChronySocket)
	}
	r.file("clock.ntpd-keys", cfg.Clock.NTPDKeys, sandbox.Read) // each time that ntpd is changed
	r.system()
	return sandbox.Rules{Places: r, Abstract: strings.HasPrefix(os.Getenv("NOTIFY_SOCKET"), "@")}
}

type places []sandbox.Place

// file adds a file of the configuration; none if it is not set. It may be replaced, so that its folder is what stays open.
func (p *places) file(key, path string, access sandbox.Access) {
	if path != "" {
		*p = append(*p, sandbox.FileIn(key, path, access)...)
	}
}

func (p *places) folder(key, path string, access sandbox.Access) {
	*p = append(*p, sandbox.Place{Key: key, Path: path, Access: access})
}

// certificates are looked at every two seconds. Those that ntptsd renews itself are in the state directory.
func (p *places) certificates(cfg *config.Config) {
	for _, f := range keyFiles(cfg) {
		p.file(f.section+".key", f.pair.Key, sandbox.Read)
		p.file(f.section+".certificate", f.pair.Certificate, sandbox.Read)
	}
	if a := cfg.Certs.ACME; a != nil {
		p.file("certs.acme.ca", a.CA, sandbox.Read)
		p.file("certs.acme.eab-mac-file", a.EABFile, sandbox.Read)
		if a.DNS != nil {
			p.file("certs.acme.dns.tsig-file", a.DNS.TSIGFile, sandbox.Read)
		}
	}
	if a := cfg.Certs.Authority; a != nil {
		p.file("certs.authority.certificate", a.Certificate, sandbox.Read)
		p.file("certs.authority.key", a.Key, sandbox.Read)
	}
}

// ring is the record, and the neighbour's file: written by whoever owns the keys.
func (p *places) ring(section string, k config.KeyRing) {
	p.file(section+".file", k.File, sandbox.Write)
	access := sandbox.Write
	if k.Owner == "neighbour" {
		access = sandbox.Read
	}
	p.file(section+".neighbour-file", k.NeighbourFile, access)
	if k.NeighbourSocket != config.None {
		p.chrony(section+".neighbour-socket", k.NeighbourSocket)
	}
}

// chrony is where our end of a conversation with chronyd is made: beside its command socket. The folder is made anew whenever
// chronyd is started by systemd, and what is open is the old one then: hence the one above it, for socket files only.
func (p *places) chrony(key, socket string) {
	if socket == "" {
		return
	}
	folder := filepath.Dir(socket)
	if above := filepath.Dir(folder); above != "/" {
		folder = above
	}
	p.folder(key, folder, sandbox.Sockets)
}

// system is what Go's packages read by themselves: names of hosts and users, time zones, authorities, our own process.
func (p *places) system() {
	for _, folder := range append(filepath.SplitList(os.Getenv("SSL_CERT_DIR")), "/etc", "/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf",
		"/usr/share/zoneinfo", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/usr/share/pki",
		"/proc/self", "/proc/stat") {
		if folder != "" {
			p.folder("", folder, sandbox.Read)
		}
	}
	p.file("", "/etc/resolv.conf", sandbox.Read)
	p.file("", os.Getenv("SSL_CERT_FILE"), sandbox.Read)
}
