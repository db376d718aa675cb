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
	// KeyRing is the ring "default"; Rings are further ones by name, with the same keys.
	KeyRing    KeyRing            `toml:"keyring"`
	Rings      map[string]KeyRing `toml:"rings"`
	Monitoring *Monitoring        `toml:"monitoring"` // nil: no services port
	Certs      Certs              `toml:"certs"`
	Access     Access             `toml:"access"`
	Management *Management        `toml:"management"`
	Audit      Audit              `toml:"audit"`
	Sandbox    Sandbox            `toml:"sandbox"`
	Log        Log                `toml:"log"`

	ignored []string         // see Ignored
	places  map[string]place // where each key stands that is in a file
}

// KeyExchange is the NTS-KE server, RFC 8915 section 4.
type KeyExchange struct {
	// Listen are the TCP addresses. Default [::]:4460 (both families). Restart to change.
	Listen []netip.AddrPort `toml:"listen"`
	// Certificate and Key are PEM files: the chain, leaf first, and its private key. Both required, unless Certificate is acme
	// or authority: see Certs.
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
	// Servers are the targets: time servers that cookies are handed out for, instead of the one that NTPServer and NTPPort
	// name. Default: that one, with the ring "default".
	Servers []Target `toml:"server"`
	// WhenNoneFit says what clients get while no target is fit: least-bad (clients judge a bad clock themselves), or error,
	// NTS-KE error 2, which sends them away for hours. Default least-bad.
	WhenNoneFit string `toml:"when-none-fit"`
	// ProbeEvery is the time between two NTS probes of a target, 1s to 1h. Default 16s.
	ProbeEvery Duration `toml:"probe-every"`
	// MaxRootDistance is how far off a fit target's clock may be by its own account. Default 1s.
	MaxRootDistance Duration `toml:"max-root-distance"`

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

// Target is a time server that opens cookies of one of our rings.
type Target struct {
	// Name is told to clients as record 6: a name or an address. Default: not told, the host of the key exchange.
	Name string `toml:"name"`
	// Port is the UDP port of the time server, told as record 7 unless it is 123. Default 123; without a Name
	// the port of our own time server's sockets: 123 if one has that, else the first one's.
	Port uint16 `toml:"port"`
	// Ring seals the cookies. Our own time server opens those of every ring. Default "default".
	Ring string `toml:"ring"`
	// AEADs narrow what keyexchange.aeads offers to what this target can speak. Default: all that the ring can carry.
	AEADs []uint16 `toml:"aeads"`
	// Weight is the share of clients beside the other targets', 1 to 1000. Default 1.
	Weight int `toml:"weight"`
	// Family is ipv4 or ipv6 for a target that only clients of that family reach, else any: others get it only when there
	// is none for them. Default any.
	Family string `toml:"family"`
	// Probe is HOST:PORT where its health is looked at. Default: Name and Port. Without a Name it is where our own time
	// server listens on Port (loopback, if on all addresses), or else loopback and Port.
	Probe string `toml:"probe"`

	anyPort, anyProbe bool // not given: TimeServedAt finds them
}

// Pair is a certificate chain and its private key, both PEM files.
type Pair struct {
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
}

// TimeServer is the NTP and NTS responder on UDP.
type TimeServer struct {
	// Listen are the UDP addresses. Default [::]:123 (both families), but [::]:10123 where clock.source is chrony, ntpd or
	// auto: port 123 is that daemon's. Restart to change.
	Listen []netip.AddrPort `toml:"listen"`
	// Plain answers requests without NTS, too. Default true, but false where clock.source is chrony, ntpd or auto and no
	// address has port 123: nobody asks there without NTS.
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
	// Source is kernel, chrony, ntpd, auto (which of the two answers at start and at reload, else the kernel) or fixed.
	// Default kernel.
	Source string `toml:"source"`
	// ChronySocket is chronyd's command socket, asked first. Default /run/chrony/chronyd.sock.
	ChronySocket string `toml:"chrony-socket"`
	// ChronyAddress is where chronyd answers read-only commands over UDP, asked second. Default 127.0.0.1:323.
	ChronyAddress netip.AddrPort `toml:"chrony-address"`
	// NTPDAddress is where ntpd answers mode 6 requests. Default 127.0.0.1:123.
	NTPDAddress netip.AddrPort `toml:"ntpd-address"`
	NTPDControl
	// Stratum is what the kernel cannot know. Default 10; never 1 unless written here.
	Stratum uint8 `toml:"stratum"`
	// ReferenceID is one to four ASCII characters or an IPv4 address. Default 127.127.1.1.
	ReferenceID string `toml:"reference-id"`
	// MinRootDispersion is the least root dispersion told, since some daemons set the kernel's to 0. Default 1ms.
	MinRootDispersion Duration `toml:"min-root-dispersion"`
}

// KeyRing is the ring of cookie keys.
type KeyRing struct {
	// Dialect decides a cookie's bytes: native, chrony, ntpsec or ntpdrs. Default native.
	Dialect string `toml:"dialect"`
	// Owner rotates the keys: ntptsd, or neighbour, whose file is followed: then NeighbourSocket, NeighbourServer, AEAD,
	// RotateEvery and Keep are not used. Default ntptsd; with a neighbour-file of ntpsec, neighbour; ntpdrs has no other.
	// Restart to change.
	Owner string `toml:"owner"`
	// File is our own, complete record. Default: keys in the state directory, for further rings keys-NAME. Restart to change.
	File string `toml:"file"`
	// NeighbourFile is the neighbour's key file: written from the record (owner ntptsd) or followed (owner neighbour).
	// Default: none. Restart to change.
	NeighbourFile string `toml:"neighbour-file"`
	// NeighbourFormat is nks0 or nks1 (chrony), ntpsec or ntpdrs. Default: nks0, or nks1 for keys of AEAD 30, or the
	// dialect's. Followed files may have any format of the dialect; of them it tells the AEADs that can be offered.
	NeighbourFormat string `toml:"neighbour-format"`
	// NeighbourSocket is the command socket of the chronyd that reads NeighbourFile and is told to (rekey), or none.
	// Default: clock.chrony-socket. Dialect chrony, owner ntptsd only.
	NeighbourSocket string `toml:"neighbour-socket"`
	// NeighbourServer is ADDRESS:PORT of the time server that proves to know a key by answering a cookie under it before
	// that key mints, or none: then a key counts as known one interval after it was written. Default 127.0.0.1:123.
	NeighbourServer string `toml:"neighbour-server"`
	// AEAD is the algorithm of new keys by IANA number. Default 15; chrony also 30, ntpsec also 16 and 17.
	AEAD uint16 `toml:"aead"`
	// RotateEvery is the time a key mints. Default 24h (chrony dialect 168h); at least 1s.
	RotateEvery Duration `toml:"rotate-every"`
	// Keep is how many old keys are still accepted. Default 7 (chrony: exactly 2); ntpsec at most 8.
	Keep int `toml:"keep"`
	// Seal is a file with 32 random octets or a passphrase, or credential:NAME, one of systemd's: the record is encrypted by it.
	// Default: none, the record is protected by its mode. Restart to change.
	Seal string `toml:"seal"`
	// Sealed is whether the record is written sealed. Default true where there is a seal; false opens it for good. Restart to
	// change.
	Sealed *bool `toml:"sealed"`
}

// Management is the control socket.
type Management struct {
	// Socket is the path of the control socket, which answers ntptsctl, and GET /metrics (role monitor) and /healthz over HTTP.
	// Restart to change.
	Socket string `toml:"socket"`
	// SourcesFile is written by changes save: the sources that were added to the daemon next door, as lines of a file that it
	// reads at its start (of chrony's sourcedir, or one that ntp.conf includes). Default: none. Restart to change.
	SourcesFile string `toml:"sources-file"`
	Steps
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
