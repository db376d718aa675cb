package config

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// deriveTarget fills in what one target leaves out. Until the sockets of our time server are open, what they will be is
// taken from its section.
func (c *Config) deriveTarget(t *Target, section string, given func(key string) bool) {
	if ring, ok := c.Ring(t.Ring); ok && len(t.AEADs) == 0 && !given(section+".aeads") {
		for _, id := range c.KeyExchange.AEADs {
			if slices.Contains(ring.offers(), id) {
				t.AEADs = append(t.AEADs, id)
			}
		}
	}
	t.anyPort, t.anyProbe = !given(section+".port"), t.Probe == ""
	var listen []netip.AddrPort
	if c.TimeServer != nil {
		listen = c.TimeServer.Listen
	}
	t.find(listen)
}

// TimeServedAt tells key exchange on which sockets our own time server really is, as far as the configuration does not say
// what to tell and where to probe. Only open sockets know it: they may be inherited, or their ports chosen by the kernel.
func (c *Config) TimeServedAt(sockets []netip.AddrPort) {
	x := c.KeyExchange
	if x == nil {
		return
	}
	for i := range x.Servers {
		x.Servers[i].find(sockets)
	}
	if x.NTPServer != "" || x.NTPPort != 0 {
		return // of another machine's port we know nothing
	}
	here := Target{anyPort: true}
	if own, ok := here.own(sockets); ok && own.Port() != timePort {
		x.NTPPort = own.Port()
	}
}

// find completes the target by the sockets of our own time server.
func (t *Target) find(sockets []netip.AddrPort) {
	host := cmp.Or(t.Name, "127.0.0.1") // [::] takes that, too, even where IPv6 is switched off
	if t.Name == "" && t.Family == "ipv6" {
		host = "::1"
	}
	if own, ok := t.own(sockets); ok {
		t.Port = own.Port()
		if !own.Addr().IsUnspecified() {
			host = own.Addr().String()
		}
	}
	if t.anyProbe {
		t.Probe = net.JoinHostPort(host, strconv.Itoa(int(t.Port)))
	}
}

// own is the socket of our own time server that the target stands for, if it does: it has no name, and the port given, if
// one was. Port 123 is found first: it is where clients look anyway.
func (t *Target) own(sockets []netip.AddrPort) (own netip.AddrPort, ok bool) {
	if t.Name != "" {
		return own, false
	}
	for _, a := range sockets {
		ip6 := a.Addr().Is6()
		switch {
		case t.Family == "ipv4" && ip6 && !a.Addr().IsUnspecified(), t.Family == "ipv6" && !ip6:
		case !t.anyPort && a.Port() != t.Port, a.Port() == 0: // 0 is of a configuration: the kernel is still to choose
		case !ok, a.Port() == timePort && own.Port() != timePort:
			own, ok = a, true
		}
	}
	return own, ok
}

// ID is what the target is called in commands, metrics and logs.
func (t *Target) ID() string {
	name := cmp.Or(t.Name, "this-host")
	if t.Port == timePort {
		return name
	}
	return net.JoinHostPort(name, strconv.Itoa(int(t.Port)))
}
