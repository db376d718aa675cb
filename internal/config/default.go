package config

import (
	"cmp"
	"net/netip"
	"path/filepath"
	"slices"
	"time"
)

// Where things are unless the configuration says otherwise.
const (
	DefaultPath           = "/etc/ntptsd/ntptsd.toml"
	DefaultStateDirectory = "/var/lib/ntptsd"
	DefaultSocket         = "/run/ntptsd/control.sock"
	DefaultRing           = "default"
	DefaultChronySocket   = "/run/chrony/chronyd.sock"
	None                  = "none" // of neighbour-socket and neighbour-server

	keyFile = "keys" // in the state directory
)

// The ports of RFC 8915 section 6 and RFC 5905 section 7.2, and of the services of ours.
const (
	keyExchangePort = 4460
	timePort        = 123
	servicesPort    = 4461
	chronyPort      = 323
	besidePort      = 10123 // of our time server where a neighbour has 123
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
		ChronySocket:      DefaultChronySocket,
		ChronyAddress:     loopback(chronyPort),
		NTPDAddress:       loopback(timePort),
	}
	c.KeyRing.setDefaults()
	c.Access.Loopback = "anonymous"
	c.Audit.setDefaults()
	c.Sandbox.setDefaults()
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
		WhenNoneFit:             "least-bad",
		ProbeEvery:              Duration(16 * time.Second),
		MaxRootDistance:         Duration(time.Second),
	}
}

func (t *Target) setDefaults() {
	*t = Target{Port: timePort, Ring: DefaultRing, Weight: 1, Family: "any"}
}

func (k *KeyRing) setDefaults() { *k = KeyRing{Dialect: "native"} }

func (t *TimeServer) setDefaults() { *t = TimeServer{Listen: everywhere(timePort)} }

func (r *RateLimit) setDefaults() { *r = RateLimit{Burst: 8} }

func (r *TimeRateLimit) setDefaults() { *r = TimeRateLimit{RateLimit: RateLimit{Burst: 8}, Leak: 2} }

func (m *Management) setDefaults() { *m = Management{Socket: DefaultSocket} }

func loopback(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}

func everywhere(port uint16) []netip.AddrPort {
	return []netip.AddrPort{netip.AddrPortFrom(netip.IPv6Unspecified(), port)}
}

// derive fills in the defaults that depend on other keys; given tells whether a key stands in a file.
func (c *Config) derive(given func(key string) bool) {
	c.KeyRing.derive(c, "keyring", keyFile, given)
	for name, k := range c.Rings {
		k.derive(c, join("rings", name), keyFile+"-"+name, given)
		c.Rings[name] = k
	}
	if c.TimeServer != nil {
		c.TimeServer.derive(c.besideNeighbour(), given)
	}
	if c.KeyExchange != nil {
		c.deriveKeyExchange(given)
	}
	if c.Monitoring != nil {
		c.Monitoring.derive(c.KeyExchange)
	}
	c.Certs.derive(given)
	c.Audit.derive(c, given)
}

// besideNeighbour tells whether another daemon disciplines the clock, and so has port 123.
func (c *Config) besideNeighbour() bool {
	return c.Clock.Source == "chrony" || c.Clock.Source == "ntpd" || c.Clock.Source == "auto"
}

func (k *KeyRing) derive(c *Config, section, file string, given func(key string) bool) {
	d, known := dialects(k.Dialect)
	if !given(section + ".file") {
		k.File = filepath.Join(c.StateDirectory, file)
	}
	if !given(section + ".owner") {
		k.Owner = ownerNtptsd
		if k.NeighbourFile != "" || d.onlyOwner {
			k.Owner = cmp.Or(d.owner, ownerNtptsd)
		}
	}
	if !known {
		return
	}
	if !given(section + ".aead") {
		k.AEAD = d.keys[0]
	}
	beside := k.NeighbourFile != "" && len(d.formats) > 0
	if beside && !given(section+".neighbour-format") {
		k.NeighbourFormat = d.formats[0]
		if k.AEAD == aes128GCMSIV && slices.Contains(d.formats, "nks1") {
			k.NeighbourFormat = "nks1" // nks0 takes one AEAD for all, and who reads no other has no AEAD 30
		}
	}
	if k.Owner == ownerNeighbour { // whatever stands there: see Config.Ignored
		k.AEAD, k.RotateEvery, k.Keep, k.NeighbourSocket, k.NeighbourServer = d.keys[0], d.rotateEvery, d.keep, "", ""
		return
	}
	if !given(section + ".rotate-every") {
		k.RotateEvery = d.rotateEvery
	}
	if !given(section + ".keep") {
		k.Keep = d.keep
	}
	if beside && !given(section+".neighbour-server") {
		k.NeighbourServer = loopback(timePort).String()
	}
	if beside && k.Dialect == "chrony" && !given(section+".neighbour-socket") {
		k.NeighbourSocket = c.Clock.ChronySocket
	}
}

// derive leaves port 123 to the neighbour, and on any other port answers with NTS only: nobody asks there without it.
func (t *TimeServer) derive(besideNeighbour bool, given func(key string) bool) {
	if besideNeighbour && !given("timeserver.listen") {
		t.Listen = everywhere(besidePort)
	}
	if t.Plain == nil {
		usual := func(a netip.AddrPort) bool { return a.Port() == timePort }
		t.Plain = new(!besideNeighbour || slices.ContainsFunc(t.Listen, usual))
	}
}

func (c *Config) deriveKeyExchange(given func(key string) bool) {
	x := c.KeyExchange
	if !given("keyexchange.aeads") {
		x.AEADs = nil
		for _, ring := range c.handedOut() {
			for _, id := range ring.offers() {
				if !slices.Contains(x.AEADs, id) {
					x.AEADs = append(x.AEADs, id)
				}
			}
		}
	}
	for i := range x.Servers {
		c.deriveTarget(&x.Servers[i], element("keyexchange.server", i), given)
	}
}

// handedOut are the rings that key exchange seals with.
func (c *Config) handedOut() []KeyRing {
	if len(c.KeyExchange.Servers) == 0 {
		return []KeyRing{c.KeyRing}
	}
	var all []KeyRing
	for _, t := range c.KeyExchange.Servers {
		if k, ok := c.Ring(t.Ring); ok {
			all = append(all, k)
		}
	}
	return all
}

// Ring finds a ring by its name.
func (c *Config) Ring(name string) (k KeyRing, ok bool) {
	if name == DefaultRing {
		return c.KeyRing, true
	}
	k, ok = c.Rings[name]
	return k, ok
}
