package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The bounds of what may be configured: they protect memory, and operators from a slip of the finger.
const (
	maxList     = 10000 // elements of any list, networks above all
	maxNamed    = 256   // tables with names of one file
	maxRings    = 64    // each is a file, a task, a few metrics
	maxRingName = 32    // it stands in metrics and in the name of a file
	maxTargets  = 256   // each is probed
	maxWeight   = 1000
	maxKeep     = 100 // old keys of the native dialect

	minRotateEvery = time.Second
	maxRotateEvery = 366 * 24 * time.Hour

	maxConnections = 100000
	minMessage     = 1024 // RFC 8915 section 4: servers accept at least this much
	maxMessage     = 65536
	minTimeout     = 10 * time.Millisecond
	maxTimeout     = time.Minute

	minProbeEvery      = time.Second
	maxProbeEvery      = time.Hour
	minMaxRootDistance = time.Millisecond
	maxMaxRootDistance = 16 * time.Second // MAXDISP, RFC 5905 section 7.2

	minInterval = time.Microsecond
	maxInterval = 24 * time.Hour
	maxBurst    = 10000
	maxLeak     = 4

	maxWorkers           = 256
	maxStratum           = 15 // 16 means unsynchronised, RFC 5905 section 7.3
	maxMinRootDispersion = time.Second
	maxDevice            = 15 // IFNAMSIZ without its end
	maxName              = 99 // of a time server: NTPsec's client breaks off at longer ones
)

// validate reports everything that the types let pass.
func (c *Config) validate(r *report) {
	r.path("state-directory", c.StateDirectory)
	if c.KeyExchange != nil {
		c.KeyExchange.validate(r)
	}
	if c.TimeServer != nil {
		c.TimeServer.validate(r)
	}
	c.Clock.validate(r)
	c.validateRings(r)
	c.unused(r)
	if c.KeyExchange != nil {
		c.validateTargets(r)
		c.offer(r)
	}
	if c.Monitoring != nil {
		c.Monitoring.validate(r)
	}
	c.validateCerts(r)
	c.Access.validate(r)
	if c.Management != nil {
		r.path("management.socket", c.Management.Socket)
		if c.Management.SourcesFile != "" {
			r.path("management.sources-file", c.Management.SourcesFile)
		}
	}
	c.Audit.validate(c.StateDirectory, r)
	c.Sandbox.validate(r)
	r.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	r.oneOf("log.format", c.Log.Format, "auto", "text", "json")
	c.listens(r)
}

// listens looks at all addresses together: two sections cannot share a TCP port.
func (c *Config) listens(r *report) {
	tcp := make(map[netip.AddrPort]string)
	if c.KeyExchange != nil {
		r.listen("keyexchange.listen", c.KeyExchange.Listen, tcp)
	}
	if c.Monitoring != nil {
		c.Monitoring.listens(r, tcp)
	}
	c.Certs.listens(r, tcp)
	if c.TimeServer != nil {
		r.listen("timeserver.listen", c.TimeServer.Listen, make(map[netip.AddrPort]string))
	}
}

// listen checks addresses against each other and against those taken before. Port 0, any free one, is never taken.
func (r *report) listen(key string, list []netip.AddrPort, taken map[netip.AddrPort]string) {
	if len(list) == 0 {
		r.add(key, "[]", "needs at least one address; leave the section out to switch it off")
	}
	for i, a := range list {
		name := element(key, i)
		if a.Addr().Is4In6() {
			plain := netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
			r.add(name, show(a), "is an IPv4 address in IPv6 form, write %q", plain)
			continue
		}
		if other, ok := taken[a]; ok && a.Port() != 0 {
			r.add(name, show(a), "is taken by %s already", other)
			continue
		}
		taken[a] = name
	}
}

// networks checks the lists of one section.
func (r *report) networks(section string, allow, deny []netip.Prefix) {
	for _, list := range []struct {
		key      string
		prefixes []netip.Prefix
	}{{join(section, "allow"), allow}, {join(section, "deny"), deny}} {
		for i, p := range list.prefixes {
			if m := p.Masked(); m != p {
				r.add(element(list.key, i), show(p), "has bits set behind its length, write %q", m)
			}
		}
	}
}

func (r *report) path(key, path string) {
	if !filepath.IsAbs(path) {
		r.add(key, show(path), "must be an absolute path")
	}
}

func (r *report) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		r.add(key, show(value), "must be %s", or(allowed))
	}
}

func (r *report) number(key string, value, low, high int) {
	if value < low || value > high {
		r.add(key, fmt.Sprint(value), "must be from %d to %d", low, high)
	}
}

func (r *report) duration(key string, value Duration, low, high time.Duration) {
	if d := time.Duration(value); d < low || d > high {
		r.add(key, show(value), "must be from %v to %v", Duration(low), Duration(high))
	}
}

// or joins words as in "a, b or c".
func or[T any](words []T) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		fmt.Fprint(&b, w)
	}
	return b.String()
}
