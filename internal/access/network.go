// Package access judges who may use a service and how often: prefixes that are allowed or denied, a rate per network, the
// number of connections at once, and who asks: by a client certificate, a token, or as the peer of a unix socket. Its memory
// is fixed when it is made, whatever strangers send. What a refusal means on the wire is left to the service that asks.
package access

import (
	"encoding/binary"
	"net/netip"
)

// network is what one customer commonly controls, and so the unit of every limit: an IPv4 address, an IPv6 /64, or one
// link-local address.
type network struct {
	bits uint64
	ipv6 bool
}

func networkOf(addr netip.Addr) network {
	if addr.Is4() || addr.Is4In6() {
		b := addr.As4()
		return network{bits: uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := addr.As16()
	if addr.IsLinkLocalUnicast() { // all hosts of a link share fe80::/64: who one is stands in the other half
		return network{bits: binary.BigEndian.Uint64(b[8:]), ipv6: true}
	}
	return network{bits: binary.BigEndian.Uint64(b[:8]), ipv6: true}
}
