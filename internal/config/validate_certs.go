package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxCertNames   = 100 // of one certificate, as public authorities allow
	maxCertName    = 253 // octets, RFC 1035 section 2.3.4
	maxProfile     = 64
	maxEmail       = 254 // RFC 5321 section 4.5.3.1.3
	minLife        = time.Hour
	maxLife        = 397 * 24 * time.Hour // browsers take no longer one
	maxPropagation = 10 * time.Minute     // an attempt has fifteen
	maxTSIGName    = 253
)

// validateCerts checks the sections, and that each one that is named is there.
func (c *Config) validateCerts(r *report) {
	if c.Certs.ACME != nil {
		c.Certs.ACME.validate(r)
	}
	if c.Certs.Authority != nil {
		c.Certs.Authority.validate(r)
	}
	for _, k := range []struct {
		word  string
		there bool
	}{{ACME, c.Certs.ACME != nil}, {Authority, c.Certs.Authority != nil}} {
		if k.there && !c.Shows(k.word) {
			c.ignored = append(c.ignored, fmt.Sprintf("certs.%s is not used: nothing has certificate = %q", k.word, k.word))
		}
	}
	there := func(key, certificate string) {
		if certificate == ACME && c.Certs.ACME == nil || certificate == Authority && c.Certs.Authority == nil {
			r.add(key, show(certificate), "needs the section [certs.%s]", certificate)
		}
	}
	if x := c.KeyExchange; x != nil {
		there("keyexchange.certificate", x.Certificate)
		for i, p := range x.Certificates {
			there(element("keyexchange.certificates", i)+".certificate", p.Certificate)
		}
	}
	if c.Monitoring != nil && r.given("monitoring.certificate") {
		there("monitoring.certificate", c.Monitoring.Certificate)
	}
}

func (a *ACMECerts) validate(r *report) {
	const section = "certs.acme"
	r.certNames(section+".names", a.Names)
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		r.add(section+".directory", show(a.Directory), "must be an https URL, as in %q", DefaultDirectory)
	}
	if a.Email != "" && (len(a.Email) > maxEmail || strings.Count(a.Email, "@") != 1 || !printable(a.Email)) {
		r.add(section+".email", show(a.Email), "must be an e-mail address, at most %d characters", maxEmail)
	}
	if a.CA != "" {
		r.path(section+".ca", a.CA)
	}
	if a.Profile != "" && (len(a.Profile) > maxProfile || !bare(a.Profile)) {
		r.add(section+".profile", show(a.Profile), "must be a word of letters, digits, hyphens and underscores, at most %d", maxProfile)
	}
	r.oneOf(section+".key-type", a.KeyType, "p256", "p384", "rsa2048")
	a.validateChallenges(r, section)
	switch {
	case a.EABKey == "" && a.EABFile != "":
		r.add(section+".eab-key-id", "", "is required beside eab-mac-file")
	case a.EABKey != "" && a.EABFile == "":
		r.add(section+".eab-mac-file", "", "is required beside eab-key-id: a file with the MAC key in base64url")
	case a.EABFile != "":
		r.path(section+".eab-mac-file", a.EABFile)
		if len(a.EABKey) > maxTSIGName || !printable(a.EABKey) {
			r.add(section+".eab-key-id", show(a.EABKey), "must be printable and at most %d characters", maxTSIGName)
		}
	}
}

func (a *ACMECerts) validateChallenges(r *report, section string) {
	if len(a.Challenges) == 0 {
		r.add(section+".challenges", "[]", "needs at least one of tls-alpn-01, http-01 and dns-01")
	}
	for i, c := range a.Challenges {
		key := element(section+".challenges", i)
		r.oneOf(key, c, ChallengeALPN, ChallengeHTTP, ChallengeDNS)
		if slices.Contains(a.Challenges[:i], c) {
			r.add(key, show(c), "stands there already")
		}
	}
	for i, n := range a.Names {
		if strings.HasPrefix(n, "*.") && !a.Uses(ChallengeDNS) {
			r.add(element(section+".names", i), show(n), "has a wildcard: only the challenge dns-01 can prove it")
		}
	}
	switch {
	case a.DNS == nil && a.Uses(ChallengeDNS):
		r.add(section+".challenges", "", "dns-01 needs the section [certs.acme.dns]")
	case a.DNS != nil:
		a.DNS.validate(r, section+".dns")
	}
}

func (d *DNSUpdate) validate(r *report, section string) {
	host, port, err := net.SplitHostPort(d.Server)
	n, portErr := strconv.ParseUint(port, 10, 16)
	switch {
	case d.Server == "":
		r.add(section+".server", "", "is required: HOST or HOST:PORT of the zone's primary name server")
	case err != nil, portErr != nil, n == 0, !certName(host):
		r.add(section+".server", show(d.Server), "must be HOST or HOST:PORT")
	}
	for _, k := range []struct{ key, value string }{{"zone", d.Zone}, {"tsig-name", d.TSIGName}} {
		if name := strings.TrimSuffix(k.value, "."); !dnsName(name) {
			r.add(section+"."+k.key, show(k.value), "must be a domain name")
		}
	}
	r.oneOf(section+".tsig-algorithm", d.TSIGAlgorithm, defaultTSIGHash, "hmac-sha384", "hmac-sha512")
	if d.TSIGFile == "" {
		r.add(section+".tsig-file", "", "is required: a file with the secret in base64, readable for ntptsd alone")
	} else {
		r.path(section+".tsig-file", d.TSIGFile)
	}
	r.duration(section+".propagation", d.Propagation, 0, maxPropagation)
}

func (a *AuthorityCerts) validate(r *report) {
	const section = "certs.authority"
	r.certNames(section+".names", a.Names)
	r.pair(section, a.Certificate, a.Key)
	r.duration(section+".life", a.Life, minLife, maxLife)
}

// certNames checks what is to stand in a certificate.
func (r *report) certNames(key string, names []string) {
	switch {
	case len(names) == 0:
		r.add(key, "", "is required: the DNS names and addresses that clients use")
	case len(names) > maxCertNames:
		r.add(key, "", "has %d names, a certificate gets at most %d", len(names), maxCertNames)
	}
	for i, n := range names {
		if parent, wild := strings.CutPrefix(n, "*."); wild && (isAddr(parent) || !certName(parent)) || !wild && !certName(n) {
			r.add(element(key, i), show(n), "must be a DNS name without a final dot (others in their xn-- form), perhaps behind *., or an address")
		}
		if slices.ContainsFunc(names[:i], func(o string) bool { return strings.EqualFold(o, n) }) {
			r.add(element(key, i), show(n), "stands there already")
		}
	}
}

func certName(n string) bool {
	if addr, err := netip.ParseAddr(n); err == nil {
		return addr.Zone() == "" && !addr.IsUnspecified() && !addr.IsMulticast()
	}
	return dnsName(n) && strings.Trim(n[strings.LastIndexByte(n, '.')+1:], "0123456789") != "" // what ends in a number is a mistyped address
}

// dnsName knows host names, and underscores, which names of keys have.
func dnsName(n string) bool {
	if len(n) > maxCertName {
		return false
	}
	for label := range strings.SplitSeq(n, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") || !bare(label) {
			return false
		}
	}
	return true
}

func printable(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) < 0
}

// listens checks the addresses of the challenges with those of all other sections.
func (c *Certs) listens(r *report, taken map[netip.AddrPort]string) {
	if c.ACME.Uses(ChallengeHTTP) {
		r.listen("certs.acme.http-listen", c.ACME.HTTPListen, taken)
	}
	if c.ACME.Uses(ChallengeALPN) {
		r.listen("certs.acme.tls-alpn-listen", c.ACME.ALPNListen, taken)
	}
}

func isAddr(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}
