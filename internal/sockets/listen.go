package sockets

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

// familyOf is what to append to "tcp" or "udp": "4", "6", or "" for [::] alone, which then takes IPv4 too. Beside an IPv4
// address on the same port it takes IPv6 only, or the two would collide.
func familyOf(addr netip.AddrPort, all []netip.AddrPort) string {
	beside4 := func(other netip.AddrPort) bool { return other.Addr().Is4() && other.Port() == addr.Port() }
	switch {
	case addr.Addr().Unmap().Is4():
		return "4"
	case addr.Addr() == netip.IPv6Unspecified() && !slices.ContainsFunc(all, beside4):
		return ""
	}
	return "6"
}

func wildcard4(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port())
}

// anyFamily opens addr; a machine without IPv6 gets 0.0.0.0 where both families were meant.
func anyFamily[T any](addr netip.AddrPort, family string, open func(family string, addr netip.AddrPort) (T, error)) (T, error) {
	opened, err := open(family, addr)
	if family == "" && (errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)) {
		return open("4", wildcard4(addr))
	}
	return opened, err
}

// deferralOf is how long the kernel keeps a client that says nothing from us: as long as we would wait ourselves. The
// ClientHello follows the handshake at once, so nobody who speaks waits; who stays silent costs no goroutine that long,
// and is then accepted and has the hello timeout again.
func deferralOf(helloTimeout config.Duration) time.Duration {
	return max(time.Duration(helloTimeout), time.Second)
}

func listenTCP(addr netip.AddrPort, family string, deferral time.Duration) (net.Listener, error) {
	return anyFamily(addr, family, func(family string, addr netip.AddrPort) (net.Listener, error) {
		var c net.ListenConfig
		c.SetMultipathTCP(false) // Landlock's rules for TCP do not see MPTCP
		l, err := c.Listen(context.Background(), "tcp"+family, addr.String())
		if err != nil {
			return nil, err
		}
		if err := deferAccept(l.(*net.TCPListener), deferral); err != nil {
			l.Close()
			return nil, err
		}
		return l, nil
	})
}

// listenUDP opens a socket per worker. The first is opened alone, so that an address that anybody else has is refused,
// and only then shared with the others. On error it returns what is open already.
func listenUDP(addr netip.AddrPort, family string, c *config.TimeServer) ([]*UDP, error) {
	bind := func(share bool) func(family string, addr netip.AddrPort) (*UDP, error) {
		return func(family string, addr netip.AddrPort) (*UDP, error) {
			control := func(network, _ string, raw syscall.RawConn) error {
				return beforeBind(raw, network == "udp6", share, c)
			}
			l := net.ListenConfig{Control: control}
			conn, err := l.ListenPacket(context.Background(), "udp"+family, addr.String())
			if err != nil {
				return nil, err
			}
			return newUDP(conn.(*net.UDPConn))
		}
	}
	first, err := anyFamily(addr, family, bind(false))
	if err != nil {
		return nil, err
	}
	all := []*UDP{first}
	workers := c.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	if workers == 1 || !canShare {
		return all, nil
	}
	if err := shareAddress(first.raw); err != nil {
		return all, err
	}
	local := netip.AddrPortFrom(addr.Addr(), first.LocalAddr().Port()) // port 0 was chosen by now
	for range workers - 1 {
		u, err := anyFamily(local, family, bind(true))
		if err != nil {
			return all, err
		}
		all = append(all, u)
	}
	return all, nil
}

// explain says what the operator can do about a socket that does not open.
func explain(what string, err error) error {
	return &Error{Socket: what, Err: err}
}

// Error is a socket that could not be opened, and what to do about it.
type Error struct {
	Socket string
	Err    error
}

func (e *Error) Unwrap() error { return e.Err }

func (e *Error) Error() string {
	text := e.Socket + ": " + reason(e.Err)
	switch {
	case errors.Is(e.Err, syscall.EADDRINUSE):
		text += "; another program has it, for port 123 usually chronyd or ntpd: stop it there or choose another address (ss -lunpt tells who)"
	case errors.Is(e.Err, syscall.EACCES), errors.Is(e.Err, syscall.EPERM):
		text += "; ports below 1024, devices and foreign folders need rights: start as root or with CAP_NET_BIND_SERVICE (devices: CAP_NET_RAW)"
	case errors.Is(e.Err, syscall.EADDRNOTAVAIL):
		text += "; this machine does not have the address now: correct it, or wait for it (timeserver.freebind does, for time)"
	case errors.Is(e.Err, syscall.ENODEV):
		text += "; there is no such network interface: correct timeserver.device"
	}
	return text
}

// reason is the bare cause where package net would repeat the address.
func reason(err error) string {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}
