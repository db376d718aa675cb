package sockets

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// BatchLen is how many datagrams one system call reads or writes: beyond it the gain is lost in the queueing delay.
const BatchLen = 64

// maxDatagram bounds what is kept of a stranger's datagram.
const maxDatagram = ntp.MaxPacket

// UDP is one socket of the time server. Each is used by one goroutine; Interrupt and Close may be called by others.
type UDP struct {
	conn  *net.UDPConn
	raw   syscall.RawConn
	local netip.AddrPort
	turn  *turnstile // nil: it is ours alone
}

// Message is a datagram and the answer to it.
type Message struct {
	Data     []byte         // empty if it was longer than ntp.MaxPacket
	Remote   netip.AddrPort // IPv4 is never mapped; without zone
	Local    netip.Addr     // the address that was asked, where the reply leaves from; invalid if the system does not tell
	ToMany   bool           // it was sent to a broadcast or multicast address
	Received time.Time      // without monotonic reading
	Stamped  bool           // Received is the kernel's, else ours
	Reply    []byte         // what WriteBatch sends; comes empty, with room for ntp.MaxPacket octets
}

func newUDP(conn *net.UDPConn) (*UDP, error) {
	raw, err := conn.SyscallConn()
	if err == nil {
		err = afterBind(raw)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &UDP{conn: conn, raw: raw, local: unmapped(conn.LocalAddr().(*net.UDPAddr).AddrPort())}, nil
}

// LocalAddr is where the socket listens.
func (u *UDP) LocalAddr() netip.AddrPort { return u.local }

// Interrupt makes ReadBatch return os.ErrDeadlineExceeded, now and ever after; WriteBatch still works.
func (u *UDP) Interrupt() error {
	u.turn.interrupt()
	return u.conn.SetReadDeadline(time.Unix(1, 0))
}

// Close closes the socket; ReadBatch returns net.ErrClosed.
func (u *UDP) Close() error {
	u.turn.interrupt()
	return u.conn.Close()
}

// IsTransient tells an error of ReadBatch that passes by itself, such as an interface that is down, from a broken socket.
func IsTransient(err error) bool {
	for _, e := range []error{syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ECONNREFUSED,
		syscall.ENOBUFS, syscall.ENOMEM, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func unmapped(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
