package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

func (x *KeyExchange) validate(r *report) {
	const section = "keyexchange"
	r.pair(section, x.Certificate, x.Key)
	for i, p := range x.Certificates {
		r.pair(element(section+".certificates", i), p.Certificate, p.Key)
	}
	if x.NTPServer != "" && !host(x.NTPServer) {
		r.add(section+".ntp-server", show(x.NTPServer),
			"must be a host name without a final dot and of at most %d characters, or a unicast address without brackets", maxName)
	}
	if key := section + ".ntp-port"; x.NTPPort == 0 && r.given(key) {
		r.add(key, "0", "must be from 1 to 65535; leave it out to have the time server's told")
	}
	r.networks(section, x.Allow, x.Deny)
	r.number(section+".max-connections", x.MaxConnections, 1, maxConnections)
	r.number(section+".max-connections-per-prefix", x.MaxConnectionsPerPrefix, 1, maxConnections)
	r.number(section+".max-message", x.MaxMessage, minMessage, maxMessage)
	r.duration(section+".hello-timeout", x.HelloTimeout, minTimeout, maxTimeout)
	r.duration(section+".request-timeout", x.RequestTimeout, minTimeout, maxTimeout)
	r.duration(section+".total-timeout", x.TotalTimeout, minTimeout, maxTimeout)
	if x.HelloTimeout > x.RequestTimeout {
		r.add(section+".request-timeout", show(x.RequestTimeout), "must not be below hello-timeout, which is %v", x.HelloTimeout)
	}
	if x.RequestTimeout > x.TotalTimeout {
		r.add(section+".total-timeout", show(x.TotalTimeout), "must not be below request-timeout, which is %v", x.RequestTimeout)
	}
	if x.RateLimit != nil {
		r.rateLimit(section+".rate-limit", *x.RateLimit)
	}
}

// pair checks what is needed to be known by a certificate.
func (r *report) pair(section, certificate, key string) {
	for _, f := range []struct{ key, path string }{{join(section, "certificate"), certificate}, {join(section, "key"), key}} {
		if f.path == "" {
			r.add(f.key, "", "is required: the path of a PEM file (ntptsd init makes a pair)")
		} else {
			r.path(f.key, f.path)
		}
	}
}

// offer checks the AEADs of sessions against the dialect that must carry them.
func (c *Config) offer(r *report) {
	d, known := dialects(c.KeyRing.Dialect)
	if !known {
		return // reported there
	}
	x := c.KeyExchange
	if len(x.AEADs) == 0 {
		r.add("keyexchange.aeads", "[]", "needs at least one of %v", or(d.carries))
	}
	for i, id := range x.AEADs {
		name := element("keyexchange.aeads", i)
		if !slices.Contains(d.carries, id) {
			r.add(name, fmt.Sprint(id), "cookies of the %s dialect carry %s only", c.KeyRing.Dialect, or(d.carries))
		} else if slices.Index(x.AEADs, id) < i {
			r.add(name, fmt.Sprint(id), "is listed twice")
		}
	}
}

func (t *TimeServer) validate(r *report) {
	const section = "timeserver"
	if len(t.Device) > maxDevice || strings.ContainsAny(t.Device, "/ \t\x00") {
		r.add(section+".device", show(t.Device), "must be the name of a network interface")
	}
	r.number(section+".workers", t.Workers, 0, maxWorkers)
	r.networks(section, t.Allow, t.Deny)
	if l := t.RateLimit; l != nil {
		r.rateLimit(section+".rate-limit", l.RateLimit)
		r.number(section+".rate-limit.leak", l.Leak, 1, maxLeak)
	}
}

func (r *report) rateLimit(section string, l RateLimit) {
	if key := section + ".interval"; l.Interval == 0 && !r.given(key) {
		r.add(key, "", `is required: the time from one request to the next, as in "1s"`)
	} else {
		r.duration(key, l.Interval, minInterval, maxInterval)
	}
	r.number(section+".burst", l.Burst, 1, maxBurst)
}

func (k *Clock) validate(r *report) {
	switch k.Source {
	case "chrony", "ntpd", "auto":
		r.add("clock.source", show(k.Source), "comes with a later version; use kernel, or fixed for tests")
	default:
		r.oneOf("clock.source", k.Source, "kernel", "fixed")
	}
	r.number("clock.stratum", int(k.Stratum), 1, maxStratum)
	if !referenceID(k.ReferenceID) {
		r.add("clock.reference-id", show(k.ReferenceID), `must be one to four printable ASCII characters as in "GPS", or an IPv4 address`)
	}
	r.duration("clock.min-root-dispersion", k.MinRootDispersion, 0, maxMinRootDispersion)
}

func (k *KeyRing) validate(r *report) {
	switch k.Owner {
	case "neighbour":
		r.add("keyring.owner", show(k.Owner), "comes with a later version; use ntptsd")
	default:
		r.oneOf("keyring.owner", k.Owner, "ntptsd")
	}
	r.path("keyring.file", k.File)
	if k.NeighbourFile != "" {
		r.path("keyring.neighbour-file", k.NeighbourFile)
	}
	d, known := dialects(k.Dialect)
	switch {
	case k.Dialect == "ntpdrs":
		r.add("keyring.dialect", show(k.Dialect), "comes with a later version; use native, chrony or ntpsec")
	case !known:
		r.oneOf("keyring.dialect", k.Dialect, "native", "chrony", "ntpsec")
	default:
		k.validateDialect(r, d)
	}
}

// validateDialect checks what the dialect allows.
func (k *KeyRing) validateDialect(r *report, d dialect) {
	if !slices.Contains(d.keys, k.AEAD) {
		r.add("keyring.aead", fmt.Sprint(k.AEAD), "keys of the %s dialect are of AEAD %s", k.Dialect, or(d.keys))
	}
	if k.Keep < d.minKeep || k.Keep > d.maxKeep {
		allowed := fmt.Sprintf("from %d to %d", d.minKeep, d.maxKeep)
		if d.minKeep == d.maxKeep {
			allowed = fmt.Sprint(d.minKeep)
		}
		r.add("keyring.keep", fmt.Sprint(k.Keep), "must be %s with the %s dialect", allowed, k.Dialect)
	}
	r.duration("keyring.rotate-every", k.RotateEvery, minRotateEvery, maxRotateEvery)
	switch format := k.NeighbourFormat; {
	case len(d.formats) == 0 && (k.NeighbourFile != "" || format != ""):
		key, value := "keyring.neighbour-file", k.NeighbourFile
		if value == "" {
			key, value = "keyring.neighbour-format", format
		}
		r.add(key, show(value), "no neighbour reads keys of the %s dialect; set keyring.dialect to chrony or ntpsec", k.Dialect)
	case k.NeighbourFile == "" && format != "":
		r.add("keyring.neighbour-format", show(format), "says how neighbour-file is written, and that is not set")
	case k.NeighbourFile != "" && !slices.Contains(d.formats, format):
		r.add("keyring.neighbour-format", show(format), "must be %s with the %s dialect", or(d.formats), k.Dialect)
	case k.NeighbourFile != "" && k.NeighbourFile == k.File:
		r.add("keyring.neighbour-file", show(k.NeighbourFile), "is keyring.file, our own record; it needs another place")
	}
}

// referenceID knows the forms of RFC 5905 section 7.3.
func referenceID(s string) bool {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Is4()
	}
	if len(s) < 1 || len(s) > 4 {
		return false
	}
	return strings.IndexFunc(s, func(c rune) bool { return c < '!' || c > '~' }) < 0
}

// host knows what record 6 may say, RFC 8915 section 4.1.7: an address, or a name with no final dot.
func host(s string) bool {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Zone() == "" && !addr.IsUnspecified() && !addr.IsMulticast()
	}
	if len(s) > maxName {
		return false
	}
	top := ""
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") || !bare(label) {
			return false
		}
		top = label
	}
	return strings.Trim(top, "0123456789") != "" // what ends in a number is a mistyped address, and resolvers read it as one
}
