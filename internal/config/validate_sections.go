package config

import (
	"net/netip"
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
	r.oneOf(section+".when-none-fit", x.WhenNoneFit, "least-bad", "error")
	r.duration(section+".probe-every", x.ProbeEvery, minProbeEvery, maxProbeEvery)
	r.duration(section+".max-root-distance", x.MaxRootDistance, minMaxRootDistance, maxMaxRootDistance)
	if x.RateLimit != nil {
		r.rateLimit(section+".rate-limit", *x.RateLimit)
	}
}

// pair checks what is needed to be known by a certificate.
func (r *report) pair(section, certificate, key string) {
	if (Pair{Certificate: certificate}).Managed() {
		if key != "" {
			r.add(join(section, "key"), show(key), "cannot stand beside certificate = %q, whose key is ntptsd's own: leave it out", certificate)
		}
		return
	}
	for _, f := range []struct{ key, path string }{{join(section, "certificate"), certificate}, {join(section, "key"), key}} {
		if f.path == "" {
			r.add(f.key, "", "is required: the path of a PEM file; ntptsd-certs(7) tells of pairs that renew themselves")
		} else {
			r.path(f.key, f.path)
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
	r.oneOf("clock.source", k.Source, "kernel", "chrony", "ntpd", "auto", "fixed")
	r.path("clock.chrony-socket", k.ChronySocket)
	r.nextDoor("clock.chrony-address", k.ChronyAddress)
	r.nextDoor("clock.ntpd-address", k.NTPDAddress)
	k.NTPDControl.validate(r)
	r.number("clock.stratum", int(k.Stratum), 1, maxStratum)
	if !referenceID(k.ReferenceID) {
		r.add("clock.reference-id", show(k.ReferenceID), `must be one to four printable ASCII characters as in "GPS", or an IPv4 address`)
	}
	r.duration("clock.min-root-dispersion", k.MinRootDispersion, 0, maxMinRootDispersion)
}

// nextDoor keeps questions without any authentication on this machine.
func (r *report) nextDoor(key string, a netip.AddrPort) {
	if !a.Addr().IsLoopback() || a.Port() == 0 {
		r.add(key, show(a), "must be a loopback address with a port: from further away anybody could answer")
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
