// Package config is the configuration of ntptsd as typed data: what the file may say (TOML 1.0), its defaults, and one
// list of everything that is wrong with it. It opens no socket and reads no key; whoever is handed a Config may trust it.
package config

import (
	"net/netip"
	"strings"
	"time"
)

// Config is the whole configuration: ntptsd.toml, then ntptsd.d/*.toml beside it in the order of their names.
type Config struct {
	// StateDirectory holds what must survive a restart: the key record. Default /var/lib/ntptsd. Restart to change.
	StateDirectory string `toml:"state-directory"`
	// User is the account to switch to when started as root. Default: stay, without capabilities. Restart to change.
	User string `toml:"user"`

	KeyExchange *KeyExchange `toml:"keyexchange"` // nil: no key exchange
	TimeServer  *TimeServer  `toml:"timeserver"`  // nil: no time responder
	Clock       Clock        `toml:"clock"`
	KeyRing     KeyRing      `toml:"keyring"`
	Monitoring  *Monitoring  `toml:"monitoring"`
	Management  *Management  `toml:"management"`
	Log         Log          `toml:"log"`
}

// KeyExchange is the NTS-KE server, RFC 8915 section 4.
type KeyExchange struct {
	// Listen are the TCP addresses. Default [::]:4460 (both families). Restart to change.
	Listen []netip.AddrPort `toml:"listen"`
	// Certificate and Key are PEM files: the chain, leaf first, and its private key. Both required.
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
	// Certificates are further pairs; the client's SNI picks the pair, the first pair answers everybody else.
	Certificates []Pair `toml:"certificates"`

	// AEADs are the IANA numbers offered, of 15, 16, 17, 30. Default: all that the dialect can carry,
	// but 15 alone beside a neighbour that reads nks0.
	AEADs []uint16 `toml:"aeads"`
	// LegacyGCMSIV lets AEAD 30 be chosen without record 1024, with the key context of chrony 4.4 to 4.6. Default false.
	LegacyGCMSIV bool `toml:"legacy-gcm-siv"`
	// NTPServer is told to clients as record 6: a name or an address. Default: not told, the same host.
	NTPServer string `toml:"ntp-server"`
	// NTPPort is told to clients as record 7. Default, 0 here: the port of our own time server's sockets, if that is not
	// 123. What these are only the process knows: they may be inherited.
	NTPPort uint16 `toml:"ntp-port"`

	// Allow and Deny judge the client's address; the longest matching prefix wins, Deny on a tie. Default: everybody.
	Allow []netip.Prefix `toml:"allow"`
	Deny  []netip.Prefix `toml:"deny"`
	// MaxConnections bounds connections at once, MaxConnectionsPerPrefix those of one IPv4 /32 or IPv6 /64.
	MaxConnections          int `toml:"max-connections"`            // default 1000
	MaxConnectionsPerPrefix int `toml:"max-connections-per-prefix"` // default 64
	// MaxMessage bounds a request in octets, 1024 to 65536. Default 4096.
	MaxMessage int `toml:"max-message"`
	// HelloTimeout runs until the ClientHello is complete, RequestTimeout until the request is, TotalTimeout until the end.
	HelloTimeout   Duration `toml:"hello-timeout"`   // default 2s
	RequestTimeout Duration `toml:"request-timeout"` // default 3s
	TotalTimeout   Duration `toml:"total-timeout"`   // default 5s
	// RateLimit judges connections per IPv4 /32 or IPv6 /64. Default: off.
	RateLimit *RateLimit `toml:"rate-limit"`
}

// Pair is a certificate chain and its private key, both PEM files.
type Pair struct {
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
}

// TimeServer is the NTP and NTS responder on UDP.
type TimeServer struct {
	// Listen are the UDP addresses. Default [::]:123 (both families). Restart to change.
	Listen []netip.AddrPort `toml:"listen"`
	// Plain answers requests without NTS, too. Default true.
	Plain *bool `toml:"plain"`
	// Freebind opens addresses that the machine does not have yet. Default false. Restart to change.
	Freebind bool `toml:"freebind"`
	// Device binds the sockets to a network interface. Default: none. Restart to change.
	Device string `toml:"device"`
	// Workers are the sockets per address. Default: one per core. Restart to change.
	Workers int `toml:"workers"`
	// Allow and Deny judge the client's address as in KeyExchange.
	Allow []netip.Prefix `toml:"allow"`
	Deny  []netip.Prefix `toml:"deny"`
	// RateLimit judges requests per IPv4 /32 or IPv6 /64. Default: off.
	RateLimit *TimeRateLimit `toml:"rate-limit"`
}

// RateLimit lets one request pass per Interval and Burst of them at once.
type RateLimit struct {
	Interval Duration `toml:"interval"` // required
	Burst    int      `toml:"burst"`    // default 8
}

// TimeRateLimit is the rate limit of the time server.
type TimeRateLimit struct {
	RateLimit
	// Leak answers one in 2^Leak of the excess at random, so that a spoofer cannot silence a victim. 1 to 4, default 2.
	Leak int `toml:"leak"`
	// KoD answers plain requests in excess (as many as leak) with the kiss code RATE. Default false.
	KoD bool `toml:"kod"`
}

// Clock says where leap, stratum and error bounds come from.
type Clock struct {
	// Source is kernel or fixed. Default kernel. (chrony, ntpd and auto come with a later version.)
	Source string `toml:"source"`
	// Stratum is what the kernel cannot know. Default 10; never 1 unless written here.
	Stratum uint8 `toml:"stratum"`
	// ReferenceID is one to four ASCII characters or an IPv4 address. Default 127.127.1.1.
	ReferenceID string `toml:"reference-id"`
	// MinRootDispersion is the least root dispersion told, since some daemons set the kernel's to 0. Default 1ms.
	MinRootDispersion Duration `toml:"min-root-dispersion"`
}

// KeyRing is the ring of cookie keys.
type KeyRing struct {
	// Dialect decides a cookie's bytes: native, chrony or ntpsec. Default native.
	Dialect string `toml:"dialect"`
	// Owner rotates the keys. Only ntptsd in this version. Default ntptsd.
	Owner string `toml:"owner"`
	// File is our own, complete record. Default: keys in the state directory. Restart to change.
	File string `toml:"file"`
	// NeighbourFile is written from the record in the neighbour's format. Default: none.
	NeighbourFile string `toml:"neighbour-file"`
	// NeighbourFormat is nks0 or nks1 (chrony) or ntpsec. Default: nks0 for chrony, ntpsec for ntpsec.
	NeighbourFormat string `toml:"neighbour-format"`
	// AEAD is the algorithm of new keys by IANA number. Default 15; chrony also 30, ntpsec also 16 and 17.
	AEAD uint16 `toml:"aead"`
	// RotateEvery is the time a key mints. Default 24h (chrony dialect 168h); at least 1s.
	RotateEvery Duration `toml:"rotate-every"`
	// Keep is how many old keys are still accepted. Default 7 (chrony: exactly 2); ntpsec at most 8.
	Keep int `toml:"keep"`
}

// Monitoring is accepted and checked; the service comes with a later version.
type Monitoring struct {
	Listen []netip.AddrPort `toml:"listen"`
}

// Management is the control socket.
type Management struct {
	// Socket is the path of the control socket, which serves GET /metrics and /healthz. Restart to change.
	Socket string `toml:"socket"`
}

// Log says what is written to standard error.
type Log struct {
	Level  string `toml:"level"`  // debug, info, warn, error. Default info.
	Format string `toml:"format"` // auto (text on a terminal, JSON otherwise), text, json. Default auto.
}

// Duration is written as in "24h", "90s" or "250ms".
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// String is as it would be written: 24h, not 24h0m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
