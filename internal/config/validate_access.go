package config

import (
	"encoding/hex"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	maxFitAge    = 24 * time.Hour
	maxSAN       = 512 // octets
	maxOnly      = 64  // words
	maxLogins    = 256 // of each kind: every token shown is compared with all
	maxLoginName = 64
	sha256Chars  = 64
	maxServices  = 100000 // connections
)

func (m *Monitoring) validate(r *report) {
	const section = "monitoring"
	r.pair(section, m.Certificate, m.Key)
	for i, a := range m.PlainListen {
		if !a.Addr().IsLoopback() {
			r.add(element(section+".plain-listen", i), show(a), "must be a loopback address: what is said there is not encrypted")
		}
	}
	r.number(section+".max-connections", m.MaxConnections, 1, maxServices)
	r.number(section+".max-connections-per-prefix", m.MaxConnectionsPerPrefix, 1, maxServices)
	r.duration(section+".hello-timeout", m.HelloTimeout, minTimeout, maxTimeout)
	r.number(section+".fit.max-stratum", int(m.Fit.MaxStratum), 1, maxStratum)
	r.duration(section+".fit.max-error-bound", m.Fit.MaxErrorBound, time.Microsecond, maxMaxRootDistance)
	r.duration(section+".fit.max-age", m.Fit.MaxAge, time.Second, maxFitAge)
}

func (a *Access) validate(r *report) {
	const section = "access"
	r.networks(section, a.Allow, a.Deny)
	if a.ClientCA != "" {
		r.path(section+".client-ca", a.ClientCA)
	}
	r.oneOf(section+".loopback", a.Loopback, "anonymous", "monitor")
	a.validateBans(r)
	for _, of := range []struct {
		key string
		n   int
	}{{section + ".certificate", len(a.Certificates)}, {section + ".token", len(a.Tokens)}} {
		if of.n > maxLogins {
			r.add(of.key, "", "has %d tables, at most %d are allowed", of.n, maxLogins)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Certificates)) {
		a.Certificates[name].validate(r, join(section+".certificate", name), name, a.ClientCA)
	}
	hashes := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(a.Tokens)) {
		key := join(section+".token", name)
		t := a.Tokens[name]
		t.validate(r, key, name)
		if other, twice := hashes[strings.ToLower(t.Hash)]; twice {
			r.add(key+".hash", "", "is that of %s, too: make a token for each", other)
		}
		hashes[strings.ToLower(t.Hash)] = key
	}
}

func (c CertificateLogin) validate(r *report, key, name, ca string) {
	r.login(key, name, c.Role, c.Only)
	switch {
	case c.SAN == "" && c.Fingerprint == "":
		r.add(key, "", "needs a san or a fingerprint, by which the certificate is known")
	case c.SAN != "" && c.Fingerprint != "":
		r.add(key+".fingerprint", show(c.Fingerprint), "cannot stand beside a san: leave one out")
	case c.Fingerprint != "":
		if !isSHA256(strings.ReplaceAll(c.Fingerprint, ":", "")) {
			r.add(key+".fingerprint", show(c.Fingerprint), "must be the SHA-256 of the certificate, 64 hexadecimal digits (openssl x509 -noout -fingerprint -sha256)")
		}
	case len(c.SAN) > maxSAN:
		r.add(key+".san", show(c.SAN), "has more than %d characters", maxSAN)
	case ca == "":
		r.add(key+".san", show(c.SAN), "needs access.client-ca: without an authority anybody could have that name")
	}
}

func (t TokenLogin) validate(r *report, key, name string) {
	r.login(key, name, t.Role, t.Only)
	if !isSHA256(t.Hash) {
		r.add(key+".hash", show(t.Hash), "must be the SHA-256 of the token, 64 hexadecimal digits (ntptsd token makes both)")
	}
	if time.Time(t.Expires).IsZero() {
		r.add(key+".expires", "", "is required: when the token ends, as in 2027-01-31")
	}
	for i, p := range t.From {
		if m := p.Masked(); m != p {
			r.add(element(key+".from", i), show(p), "has bits set behind its length, write %q", m)
		}
	}
}

// login checks what both have.
func (r *report) login(key, name, role string, only []string) {
	if !isLoginName(name) {
		r.add(key, "", "must have a name of letters, digits and any of . _ @ -, at most %d of them", maxLoginName)
	}
	r.oneOf(key+".role", role, "monitor", "operator", "admin")
	switch {
	case len(only) > maxOnly:
		r.add(key+".only", "", "has more than %d words", maxOnly)
	case only != nil && len(only) == 0:
		r.add(key+".only", "[]", "lists nothing: leave it out, for all that the role may")
	}
}

func isLoginName(s string) bool {
	return s != "" && len(s) <= maxLoginName && bare(strings.NewReplacer(".", "-", "@", "-").Replace(s))
}

func isSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b)*2 == sha256Chars
}

// listens checks the addresses of the services port, which has no port of another section's.
func (m *Monitoring) listens(r *report, taken map[netip.AddrPort]string) {
	r.listen("monitoring.listen", m.Listen, taken)
	if len(m.PlainListen) > 0 {
		r.listen("monitoring.plain-listen", m.PlainListen, taken)
	}
}
