package access

import (
	"net/netip"
	"slices"
)

// Prefixes are lists of allowed and denied networks, flattened into ranges of addresses. Immutable; nil allows everybody.
type Prefixes struct {
	// ranges are sorted by first; each reaches to the next one's first. They cover both families, IPv4 before IPv6.
	ranges []addressRange
}

type addressRange struct {
	first   netip.Addr
	allowed bool
}

// NewPrefixes lets the longest matching prefix decide, deny on a tie. An address that nothing matches is allowed
// unless there is an allow list. Without any list the result is nil.
func NewPrefixes(allow, deny []netip.Prefix) *Prefixes {
	if len(allow) == 0 && len(deny) == 0 {
		return nil
	}
	r := rules{byPrefix: make(map[netip.Prefix]bool), otherwise: len(allow) == 0}
	r.add(allow, true)
	r.add(deny, false)
	p := &Prefixes{}
	for _, first := range r.boundaries() {
		allowed := r.allowed(first)
		if n := len(p.ranges); n == 0 || p.ranges[n-1].allowed != allowed {
			p.ranges = append(p.ranges, addressRange{first, allowed})
		}
	}
	return p
}

// Allowed judges one address. An IPv4 address inside IPv6 counts as IPv4; zones do not matter.
func (p *Prefixes) Allowed(addr netip.Addr) bool {
	if p == nil {
		return true
	}
	addr = addr.Unmap().WithZone("")
	low, high := 0, len(p.ranges) // the last range whose first <= addr is the one before low
	for low < high {
		middle := int(uint(low+high) / 2)
		if p.ranges[middle].first.Compare(addr) <= 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low > 0 && p.ranges[low-1].allowed // below all ranges is only the invalid address
}

// rules are the lists as they were given: exact, but too slow for every request.
type rules struct {
	byPrefix  map[netip.Prefix]bool
	otherwise bool
}

func (r rules) add(list []netip.Prefix, allowed bool) {
	for _, p := range list {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		r.byPrefix[p.Masked()] = allowed
	}
}

// allowed is the definition: from the longest prefix to the shortest, the first that is listed decides.
func (r rules) allowed(addr netip.Addr) bool {
	for bits := addr.BitLen(); bits >= 0; bits-- {
		p, err := addr.Prefix(bits)
		if err != nil {
			break
		}
		if allowed, listed := r.byPrefix[p]; listed {
			return allowed
		}
	}
	return r.otherwise
}

// boundaries are all addresses where the judgement may change, sorted: each prefix's first and the one after its last.
func (r rules) boundaries() []netip.Addr {
	all := []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	for p := range r.byPrefix {
		all = append(all, p.Addr())
		if next := last(p).Next(); next.IsValid() {
			all = append(all, next)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	addr, _ := netip.AddrFromSlice(b)
	return addr
}
