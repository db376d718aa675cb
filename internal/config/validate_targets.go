package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// validateTargets looks at [[keyexchange.server]].
func (c *Config) validateTargets(r *report) {
	const section = "keyexchange.server"
	x := c.KeyExchange
	if len(x.Servers) > maxTargets {
		r.add(section, "", "has %d targets, at most %d are allowed", len(x.Servers), maxTargets)
		return
	}
	if len(x.Servers) > 0 {
		for _, key := range []string{"keyexchange.ntp-server", "keyexchange.ntp-port"} {
			if r.given(key) {
				r.add(key, "", "is what [[keyexchange.server]] says for each target; use the one or the other")
			}
		}
	}
	known := make(map[string]bool)
	for i := range x.Servers {
		t := &x.Servers[i]
		name := element(section, i)
		t.validate(r, name)
		if known[t.ID()] {
			r.add(name, "", "there is another target %s; give each its own name or port", t.ID())
		}
		known[t.ID()] = true
		ring, ok := c.Ring(t.Ring)
		if !ok {
			r.add(name+".ring", show(t.Ring), "there is no such ring; add [rings.%s], or use %q for [keyring]", t.Ring, DefaultRing)
			continue
		}
		r.carried(name+".aeads", t.AEADs, ring.Dialect)
		if !slices.ContainsFunc(t.AEADs, func(id uint16) bool { return slices.Contains(x.AEADs, id) }) {
			r.add(name+".aeads", show(t.AEADs), "keyexchange.aeads, which offers %s, has none of them", or(x.AEADs))
		}
	}
}

func (t *Target) validate(r *report, name string) {
	if t.Name != "" && !host(t.Name) {
		r.add(name+".name", show(t.Name),
			"must be a host name without a final dot and of at most %d characters, or a unicast address without brackets", maxName)
	}
	if t.Port == 0 {
		r.add(name+".port", "0", "must be from 1 to 65535")
	}
	r.number(name+".weight", t.Weight, 1, maxWeight)
	r.oneOf(name+".family", t.Family, "any", "ipv4", "ipv6")
	if addr, err := netip.ParseAddr(t.Name); err == nil && (t.Family == "ipv4" && addr.Is6() || t.Family == "ipv6" && addr.Is4()) {
		r.add(name+".family", show(t.Family), "is not that of %s", addr)
	}
	if t.anyProbe {
		return // made from what is checked
	}
	probed, port, err := net.SplitHostPort(t.Probe)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || !host(probed) {
		r.add(name+".probe", show(t.Probe), "must be HOST:PORT as in \"192.0.2.1:123\"")
	}
}

// offer checks the AEADs of sessions against the dialects that must carry them.
func (c *Config) offer(r *report) {
	x := c.KeyExchange
	const key = "keyexchange.aeads"
	var carries, names []string
	var all []uint16
	for _, k := range c.handedOut() {
		d, known := dialects(k.Dialect)
		if !known {
			return // reported there
		}
		all, names = append(all, d.carries...), append(names, k.Dialect)
	}
	slices.Sort(all)
	all, names = slices.Compact(all), slices.Compact(names)
	for _, id := range all {
		carries = append(carries, fmt.Sprint(id))
	}
	if len(x.AEADs) == 0 && len(all) > 0 {
		r.add(key, "[]", "needs at least one of %v", or(carries))
	}
	for i, id := range x.AEADs {
		if len(all) > 0 && !slices.Contains(all, id) {
			r.add(element(key, i), fmt.Sprint(id), "cookies of the %s dialect carry %s only", or(names), or(carries))
		} else if slices.Index(x.AEADs, id) < i {
			r.add(element(key, i), fmt.Sprint(id), "is listed twice")
		}
	}
}

// carried checks the AEADs of one target against the dialect of its ring.
func (r *report) carried(key string, aeads []uint16, dialect string) {
	d, known := dialects(dialect)
	if !known {
		return
	}
	if len(aeads) == 0 {
		r.add(key, "", "keyexchange.aeads has none that cookies of the %s dialect carry: %s", dialect, or(d.carries))
	}
	for i, id := range aeads {
		if !slices.Contains(d.carries, id) {
			r.add(element(key, i), fmt.Sprint(id), "cookies of the %s dialect carry %s only", dialect, or(d.carries))
		}
	}
}
