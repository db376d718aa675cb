package config

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

const (
	// MaxBans bounds the networks that are refused everywhere: each datagram is compared with about log2 of them, and one file
	// must have room for all.
	MaxBans = maxNamed
	// MaxBanReason is for one line of a list.
	MaxBanReason = 200
)

// Ban is why a network is refused everywhere, and how long. The network is the name of its table.
type Ban struct {
	// Reason is for those who read the list. Default: none.
	Reason string `toml:"reason"`
	// Until is when it ends, by the clock when ntptsd reads this. Default: never.
	Until Time `toml:"until"`
}

// BannedNetwork reads the name of a ban: a network without bits behind its length, not of this host itself.
func BannedNetwork(text string) (p netip.Prefix, problem string) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return p, "must be a network as in 192.0.2.0/24 or 2001:db8::/32, or an address"
		}
		p = netip.PrefixFrom(addr, addr.BitLen())
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	switch {
	case p.Masked() != p:
		return p, "has bits set behind its length, write " + p.Masked().String()
	case overlapsThisHost(p):
		return p, "has loopback addresses in it, and so this host itself"
	}
	return p, ""
}

// overlapsThisHost counts IPv4 addresses inside IPv6, too: a wide network must not have them by the way.
func overlapsThisHost(p netip.Prefix) bool {
	for _, own := range []string{"127.0.0.0/8", "::1/128", "::ffff:127.0.0.0/104"} {
		if p.Overlaps(netip.MustParsePrefix(own)) {
			return true
		}
	}
	return false
}

func (a *Access) validateBans(r *report) {
	const key = "access.ban"
	if len(a.Bans) > MaxBans {
		r.add(key, "", "has %d tables, at most %d are allowed", len(a.Bans), MaxBans)
		return
	}
	seen := make(map[netip.Prefix]bool)
	for _, name := range slices.Sorted(maps.Keys(a.Bans)) {
		p, problem := BannedNetwork(name)
		switch {
		case problem != "":
			r.add(join(key, name), "", "%s", problem)
		case seen[p]:
			r.add(join(key, name), "", "is there twice, as an address and as a network")
		case len(a.Bans[name].Reason) > MaxBanReason:
			r.add(join(key, name)+".reason", "", "has more than %d octets", MaxBanReason)
		}
		seen[p] = true
	}
}

// Ends is when the ban ends; zero: never.
func (b Ban) Ends() time.Time { return time.Time(b.Until) }
