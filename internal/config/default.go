package config

import (
	"net/netip"
	"path/filepath"
	"time"
)

// Where things are unless the configuration says otherwise.
const (
	DefaultPath           = "/etc/ntptsd/ntptsd.toml"
	DefaultStateDirectory = "/var/lib/ntptsd"
	DefaultSocket         = "/run/ntptsd/control.sock"

	keyFile = "keys" // in the state directory
)

// The ports of RFC 8915 section 6 and RFC 5905 section 7.2, and of the services of ours.
const (
	keyExchangePort = 4460
	timePort        = 123
	servicesPort    = 4461
)

// Default is what an empty file means: every service off.
func Default() *Config {
	c := &Config{}
	c.setDefaults()
	c.derive(func(string) bool { return false })
	return c
}

func (c *Config) setDefaults() {
	c.StateDirectory = DefaultStateDirectory
	c.Clock = Clock{
		Source:            "kernel",
		Stratum:           10,
		ReferenceID:       "127.127.1.1",
		MinRootDispersion: Duration(time.Millisecond),
	}
	c.KeyRing = KeyRing{Dialect: "native", Owner: "ntptsd", AEAD: aesSIVCMAC256}
	c.Log = Log{Level: "info", Format: "auto"}
}

func (k *KeyExchange) setDefaults() {
	*k = KeyExchange{
		Listen:                  everywhere(keyExchangePort),
		MaxConnections:          1000,
		MaxConnectionsPerPrefix: 64,
		MaxMessage:              4096,
		HelloTimeout:            Duration(2 * time.Second),
		RequestTimeout:          Duration(3 * time.Second),
		TotalTimeout:            Duration(5 * time.Second),
	}
}

func (t *TimeServer) setDefaults() { *t = TimeServer{Listen: everywhere(timePort)} }

func (r *RateLimit) setDefaults() { *r = RateLimit{Burst: 8} }

func (r *TimeRateLimit) setDefaults() { *r = TimeRateLimit{RateLimit: RateLimit{Burst: 8}, Leak: 2} }

func (m *Monitoring) setDefaults() {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	*m = Monitoring{Listen: []netip.AddrPort{netip.AddrPortFrom(loopback, servicesPort)}}
}

func (m *Management) setDefaults() { *m = Management{Socket: DefaultSocket} }

func everywhere(port uint16) []netip.AddrPort {
	return []netip.AddrPort{netip.AddrPortFrom(netip.IPv6Unspecified(), port)}
}

// derive fills in the defaults that depend on other keys; given tells whether a key stands in a file.
func (c *Config) derive(given func(key string) bool) {
	k := &c.KeyRing
	d, known := dialects(k.Dialect)
	if known && !given("keyring.rotate-every") {
		k.RotateEvery = d.rotateEvery
	}
	if known && !given("keyring.keep") {
		k.Keep = d.keep
	}
	if known && k.NeighbourFile != "" && !given("keyring.neighbour-format") && len(d.formats) > 0 {
		k.NeighbourFormat = d.formats[0]
	}
	if !given("keyring.file") {
		k.File = filepath.Join(c.StateDirectory, keyFile)
	}
	if c.TimeServer != nil && c.TimeServer.Plain == nil {
		c.TimeServer.Plain = new(true)
	}
	if c.KeyExchange != nil {
		c.deriveKeyExchange(d, given)
	}
}

func (c *Config) deriveKeyExchange(d dialect, given func(key string) bool) {
	x := c.KeyExchange
	if !given("keyexchange.aeads") {
		x.AEADs = d.carries
		if c.KeyRing.NeighbourFormat == "nks0" { // chronyd before 4.4, which reads no other, cannot open AEAD 30's
			x.AEADs = []uint16{aesSIVCMAC256}
		}
	}
}
