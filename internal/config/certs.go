package config

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// What certificate says in place of a file: the pair that the section of that name looks after.
const (
	ACME      = "acme"
	Authority = "authority"
)

// The challenges of RFC 8555 section 8 and RFC 8737.
const (
	ChallengeHTTP = "http-01"
	ChallengeALPN = "tls-alpn-01"
	ChallengeDNS  = "dns-01"
)

const (
	// DefaultDirectory is Let's Encrypt.
	DefaultDirectory = "https://acme-v02.api.letsencrypt.org/directory"

	httpChallenge   = 80  // RFC 8555 section 8.3
	alpnChallenge   = 443 // RFC 8737 section 3
	defaultDNSPort  = "53"
	defaultTSIGHash = "hmac-sha256"
)

// Certs are the certificates that ntptsd renews itself.
type Certs struct {
	ACME      *ACMECerts      `toml:"acme"`      // nil: none
	Authority *AuthorityCerts `toml:"authority"` // nil: none
}

// ACMECerts is a certificate of an authority that speaks ACME, RFC 8555. A section takes it by certificate = "acme".
type ACMECerts struct {
	// Names are the DNS names and addresses of the certificate. Required.
	Names []string `toml:"names"`
	// Directory is the authority's URL. Default: Let's Encrypt.
	Directory string `toml:"directory"`
	// Email is told to the authority. Default: none.
	Email string `toml:"email"`
	// CA is a PEM file of the authorities that the directory's own TLS is trusted by. Default: the system's.
	CA string `toml:"ca"`
	// Profile is one of those that the authority offers. Default: its own.
	Profile string `toml:"profile"`
	// KeyType is p256, p384 or rsa2048. Default p256.
	KeyType string `toml:"key-type"`
	// Challenges are how control of the names is proved: tls-alpn-01, http-01, dns-01. Default tls-alpn-01; with a section
	// [certs.acme.dns], dns-01. Restart to change.
	Challenges []string `toml:"challenges"`
	// HTTPListen are the addresses for http-01. Default [::]:80. Restart to change.
	HTTPListen []netip.AddrPort `toml:"http-listen"`
	// ALPNListen are the addresses for tls-alpn-01. Default [::]:443. Restart to change.
	ALPNListen []netip.AddrPort `toml:"tls-alpn-listen"`
	// DNS is where dns-01 writes its records.
	DNS *DNSUpdate `toml:"dns"`
	// EABKey and EABFile are the external account binding of RFC 8555 section 7.3.4: the key's name, and a file with the
	// MAC key in base64url. Default: none.
	EABKey  string `toml:"eab-key-id"`
	EABFile string `toml:"eab-mac-file"`
}

// DNSUpdate is a name server that takes dynamic updates, RFC 2136.
type DNSUpdate struct {
	// Server is HOST or HOST:PORT. Required.
	Server string `toml:"server"`
	// Zone is the zone that the records are written in. Required.
	Zone string `toml:"zone"`
	// TSIGName, TSIGAlgorithm and TSIGFile are the key of RFC 8945: its name, hmac-sha256, hmac-sha384 or hmac-sha512, and a
	// file with the secret in base64. Required; the default algorithm is hmac-sha256.
	TSIGName      string `toml:"tsig-name"`
	TSIGAlgorithm string `toml:"tsig-algorithm"`
	TSIGFile      string `toml:"tsig-file"`
	// Propagation is how long the zone's other servers may take to follow. Default 1m.
	Propagation Duration `toml:"propagation"`
}

// AuthorityCerts is a certificate of an authority of our own, as "ntptsd init" makes one. A section takes it by
// certificate = "authority".
type AuthorityCerts struct {
	// Names are the DNS names and addresses of the certificate. Required.
	Names []string `toml:"names"`
	// Certificate and Key are PEM files of the authority that issues. Both required.
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
	// Life is how long a certificate is good, 1h to 9528h; it is renewed when two thirds are over. Default 2160h, 90 days.
	Life Duration `toml:"life"`
}

// Managed tells whether the pair is one that ntptsd renews itself: its certificate is the word, and it has no key file.
func (p Pair) Managed() bool { return p.Certificate == ACME || p.Certificate == Authority }

// Shows tells whether some service shows the certificate that the word stands for.
func (c *Config) Shows(word string) bool {
	x, m := c.KeyExchange, c.Monitoring
	return x != nil && (x.Certificate == word || slices.ContainsFunc(x.Certificates, func(p Pair) bool { return p.Certificate == word })) ||
		m != nil && m.Certificate == word
}

// Uses tells whether the challenge is one of those that may be taken.
func (a *ACMECerts) Uses(challenge string) bool {
	return a != nil && slices.Contains(a.Challenges, challenge)
}

func (a *ACMECerts) setDefaults() {
	*a = ACMECerts{Directory: DefaultDirectory, KeyType: "p256", HTTPListen: everywhere(httpChallenge), ALPNListen: everywhere(alpnChallenge)}
}

func (a *AuthorityCerts) setDefaults() { *a = AuthorityCerts{Life: Duration(90 * 24 * time.Hour)} }

func (d *DNSUpdate) setDefaults() {
	*d = DNSUpdate{TSIGAlgorithm: defaultTSIGHash, Propagation: Duration(time.Minute)}
}

func (c *Certs) derive(given func(key string) bool) {
	a := c.ACME
	if a == nil {
		return
	}
	if !given("certs.acme.challenges") {
		a.Challenges = []string{ChallengeALPN}
		if a.DNS != nil {
			a.Challenges = []string{ChallengeDNS}
		}
	}
	if a.DNS != nil && a.DNS.Server != "" {
		if _, _, err := net.SplitHostPort(a.DNS.Server); err != nil {
			a.DNS.Server = net.JoinHostPort(strings.Trim(a.DNS.Server, "[]"), defaultDNSPort)
		}
	}
}
