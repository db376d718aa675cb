package sockets

import (
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// What another ntptsd opened for its configuration is taken address by address, as ours says; what it had of a socket unit by
// name alone, as from the unit itself. So an address that is new is opened, and one that is no longer wanted ends with the old
// one.

// takeMade takes the listener that an older ntptsd opened for addr; nil if there is none.
func (in *inheritance) takeMade(name string, addr netip.AddrPort, family string) *net.TCPListener {
	first := true
	for _, h := range in.take(func(h *handed) bool {
		match := first && h.made && h.name == name && h.tcp != nil && h.serves(addr, family)
		first = first && !match
		return match
	}) {
		return h.tcp
	}
	return nil
}

// takeMadeUDP takes all sockets of that address: one for each worker of the old one, which stay as many.
func (in *inheritance) takeMadeUDP(addr netip.AddrPort, family string) (all []*net.UDPConn) {
	for _, h := range in.take(func(h *handed) bool { return h.made && h.udp != nil && h.serves(addr, family) }) {
		all = append(all, h.udp)
	}
	return all
}

// takeMadeUnix takes the control socket of that path.
func (in *inheritance) takeMadeUnix(path string) *net.UnixListener {
	for _, h := range in.take(func(h *handed) bool { return h.made && h.unix != nil && h.unix.Addr().String() == path }) {
		return h.unix
	}
	return nil
}

// serves tells whether opening addr would give such a socket: see familyOf and anyFamily. Port 0 is whichever it was.
func (h *handed) serves(addr netip.AddrPort, family string) bool {
	var at netip.AddrPort
	if h.tcp != nil {
		at = unmapped(h.tcp.Addr().(*net.TCPAddr).AddrPort())
	} else {
		at = unmapped(h.udp.LocalAddr().(*net.UDPAddr).AddrPort())
	}
	if addr.Port() != 0 && addr.Port() != at.Port() {
		return false
	}
	wildcard := at.Addr() == netip.IPv6Unspecified()
	switch family {
	case "": // both families, or IPv4 where there is no other
		return wildcard && !h.only6() || at.Addr() == netip.IPv4Unspecified()
	case "6":
		return at.Addr() == addr.Addr() && (!wildcard || h.only6())
	}
	return at.Addr() == addr.Addr().Unmap()
}

// only6 tells whether an IPv6 socket leaves IPv4 alone.
func (h *handed) only6() bool {
	var socket syscall.Conn = h.udp
	if h.tcp != nil {
		socket = h.tcp
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	only := 0
	err = raw.Control(func(fd uintptr) { only, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY) })
	return err == nil && only != 0
}

// closeMade closes what an older ntptsd opened and we do not want; it has its own, until it ends.
func (in *inheritance) closeMade() {
	for _, h := range in.take(func(h *handed) bool { return h.made }) {
		h.close()
	}
}

// fromUnit notes of whom the sockets of a name are.
func (in *inheritance) fromUnit(name string, found bool) {
	if !found {
		return
	}
	if in.units == nil {
		in.units = make(map[string]bool)
	}
	in.units[name] = true
}
