package config

import (
	"net/netip"
	"time"
)

// Monitoring is the services port: console, HTTP, Prometheus, tunnels of ntpq and chronyc, dashboard.
type Monitoring struct {
	// Listen are the TCP addresses of the services port, TLS 1.3 alone. Default 127.0.0.1:4461. Restart to change.
	Listen []netip.AddrPort `toml:"listen"`
	// PlainListen are further ones, without TLS, on this host alone. Default: none. Restart to change.
	PlainListen []netip.AddrPort `toml:"plain-listen"`
	// Certificate and Key are PEM files as in KeyExchange. Default: those of KeyExchange, its first pair.
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
	// MaxConnections bounds connections at once, MaxConnectionsPerPrefix those of one IPv4 /32 or IPv6 /64.
	MaxConnections          int `toml:"max-connections"`            // default 2000. Restart to change
	MaxConnectionsPerPrefix int `toml:"max-connections-per-prefix"` // default 1200, of which followers may be 1000. Restart to change
	// HelloTimeout runs until the TLS handshake is complete. Default 5s. Restart to change.
	HelloTimeout Duration `toml:"hello-timeout"`
	// Fit is what GET /fit judges by.
	Fit Fit `toml:"fit"`
}

// Fit is how good the clock must be for this host to be fit to serve time.
type Fit struct {
	MaxStratum    uint8    `toml:"max-stratum"`     // default 15
	MaxErrorBound Duration `toml:"max-error-bound"` // root delay / 2, root dispersion and offset. Default 1s
	MaxAge        Duration `toml:"max-age"`         // of what is known of the clock. Default 1m
}

// Access says who may what on the services port. Who shows nothing learns health, and nothing else.
type Access struct {
	// Allow and Deny judge the client's address as in KeyExchange, before TLS. Default: everybody.
	Allow []netip.Prefix `toml:"allow"`
	Deny  []netip.Prefix `toml:"deny"`
	// ClientCA is a PEM file of the authorities whose client certificates are looked at. Default: none, fingerprints alone.
	ClientCA string `toml:"client-ca"`
	// Loopback is the role of who has shown nothing, but comes from this host: anonymous, monitor. Default anonymous.
	Loopback string `toml:"loopback"`
	// Certificates and Tokens are who may log in, by the name that the audit and the log have for them.
	Certificates map[string]CertificateLogin `toml:"certificate"`
	Tokens       map[string]TokenLogin       `toml:"token"`
	// Bans are networks that are refused everywhere: by key exchange, time server and services port.
	Bans map[string]Ban `toml:"ban"`
}

// CertificateLogin is somebody with a client certificate.
type CertificateLogin struct {
	// SAN is a name in the certificate: DNS name, e-mail, URI or address. The certificate must be of the ClientCA.
	SAN string `toml:"san"`
	// Fingerprint is the SHA-256 of the certificate in hexadecimal, colons or not, instead.
	Fingerprint string `toml:"fingerprint"`
	// Role is monitor, operator or admin. Required.
	Role string `toml:"role"`
	// Only are the commands, and of metrics, stream, mode6, cmdmon, those that may be used. Default: all that the role may.
	Only []string `toml:"only"`
}

// TokenLogin is somebody with a bearer token, as "ntptsd token" makes it.
type TokenLogin struct {
	// Hash is the SHA-256 of the token in hexadecimal. Required.
	Hash string `toml:"hash"`
	// Role and Only are as in CertificateLogin.
	Role string   `toml:"role"`
	Only []string `toml:"only"`
	// Expires is when the token ends. Required.
	Expires Time `toml:"expires"`
	// From are the networks that it counts from. Default: all.
	From []netip.Prefix `toml:"from"`
}

// Time is written as in 2027-01-31 or 2027-01-31T12:00:00Z, with quotes or without.
type Time time.Time

// UnmarshalText reads RFC 3339, or a date alone: its first moment, UTC.
func (t *Time) UnmarshalText(text []byte) error {
	v, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		v, err = time.Parse(time.DateOnly, string(text))
	}
	*t = Time(v)
	return err
}

func (t Time) String() string { return time.Time(t).Format(time.RFC3339) }

func (m *Monitoring) setDefaults() {
	*m = Monitoring{Listen: []netip.AddrPort{loopback(servicesPort)}, MaxConnections: 2000, MaxConnectionsPerPrefix: 1200,
		HelloTimeout: Duration(5 * time.Second), Fit: DefaultFit()}
}

// DefaultFit is what /fit judges by unless the configuration says something else.
func DefaultFit() Fit {
	return Fit{MaxStratum: maxStratum, MaxErrorBound: Duration(time.Second), MaxAge: Duration(time.Minute)}
}

// derive takes the pair of the key exchange where there is none.
func (m *Monitoring) derive(k *KeyExchange) {
	if k != nil && m.Certificate == "" && m.Key == "" {
		m.Certificate, m.Key = k.Certificate, k.Key
	}
}
