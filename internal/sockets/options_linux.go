package sockets

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntptsd/ntptsd/internal/config"
)

// receiveBuffer holds a burst while a worker is busy: about a thousand requests, as the kernel counts them.
const receiveBuffer = 1 << 20

// canShare: several sockets of one address, among which the kernel spreads the clients.
const canShare = true

// deferAccept keeps connections from us until the client has said something, see deferralOf.
func deferAccept(l *net.TCPListener, d time.Duration) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	seconds := int((d + time.Second - 1) / time.Second)
	return controlled(raw, func(fd int) error {
		return set(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, seconds, "TCP_DEFER_ACCEPT")
	})
}

func shareAddress(raw syscall.RawConn) error {
	return controlled(raw, func(fd int) error {
		return set(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1, "SO_REUSEPORT")
	})
}

// beforeBind sets what decides whether an address can be bound.
func beforeBind(raw syscall.RawConn, ipv6, share bool, c *config.TimeServer) error {
	return controlled(raw, func(fd int) error {
		var failures []error
		if share {
			failures = append(failures, set(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1, "SO_REUSEPORT"))
		}
		if c.Freebind && ipv6 {
			failures = append(failures, set(fd, unix.SOL_IPV6, unix.IPV6_FREEBIND, 1, "IPV6_FREEBIND"))
		} else if c.Freebind {
			failures = append(failures, set(fd, unix.SOL_IP, unix.IP_FREEBIND, 1, "IP_FREEBIND"))
		}
		if c.Device != "" {
			failures = append(failures, named("SO_BINDTODEVICE", unix.BindToDevice(fd, c.Device)))
		}
		return errors.Join(failures...)
	})
}

// afterBind sets what a socket needs whoever bound it: where a datagram went to, when it came, room for a burst.
func afterBind(raw syscall.RawConn) error {
	return controlled(raw, func(fd int) error {
		family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err != nil {
			return named("SO_DOMAIN", err)
		}
		// The buffer is a wish: without CAP_NET_ADMIN it ends at net.core.rmem_max.
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
		}
		// So are timestamps (Linux 5.1): without them Received is ours and Stamped false.
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1)
		if family == unix.AF_INET6 {
			err = set(fd, unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO")
		}
		// Also where IPv6 takes IPv4 too: only this tells a subnet's broadcast from an address of ours.
		return errors.Join(err, set(fd, unix.SOL_IP, unix.IP_PKTINFO, 1, "IP_PKTINFO"))
	})
}

// controlled calls f with the descriptor and returns its error or that of getting there.
func controlled(raw syscall.RawConn, f func(fd int) error) error {
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

func set(fd, level, option, value int, name string) error {
	return named(name, unix.SetsockoptInt(fd, level, option, value))
}

func named(option string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", option, os.NewSyscallError("setsockopt", err))
}
