//go:build !linux

package sockets

import (
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

// Elsewhere than on Linux the portable calls do: one socket per address, one datagram at a time, no kernel timestamps,
// and the system chooses where a reply leaves from. Freebind, device and deferred accept are refused or left out.
const canShare = false

func deferAccept(*net.TCPListener, time.Duration) error { return nil }

func shareAddress(syscall.RawConn) error { return nil }

func beforeBind(_ syscall.RawConn, _, _ bool, c *config.TimeServer) error {
	if c.Freebind || c.Device != "" {
		return &unsupportedError{}
	}
	return nil
}

func afterBind(syscall.RawConn) error { return nil }

type unsupportedError struct{}

func (*unsupportedError) Error() string {
	return "timeserver.freebind and timeserver.device work on Linux only: remove them"
}

// Batch is the memory for the messages of one worker.
type Batch struct {
	Messages []Message
	in       [maxDatagram + 1]byte // one more, to see that a datagram was longer
	out      [maxDatagram]byte
}

// NewBatch makes the memory for one goroutine.
func NewBatch() *Batch { return &Batch{Messages: make([]Message, 1)} }

// ReadBatch waits for datagrams and fills b.Messages[:n].
func (u *UDP) ReadBatch(b *Batch) (n int, err error) {
	if err := u.turn.wait(); err != nil {
		return 0, err
	}
	size, remote, err := u.conn.ReadFromUDPAddrPort(b.in[:])
	if err != nil {
		return 0, err
	}
	if size > maxDatagram {
		size = 0
	}
	remote = netip.AddrPortFrom(remote.Addr().Unmap().WithZone(""), remote.Port())
	b.Messages[0] = Message{Data: b.in[:size], Remote: remote, Received: time.Now().Round(0), Reply: b.out[:0]}
	return 1, nil
}

// WriteBatch sends the replies of b.Messages[from:to] and tells how many the system refused.
func (u *UDP) WriteBatch(b *Batch, from, to int) (failed int) {
	for _, m := range b.Messages[from:to] {
		if len(m.Reply) == 0 {
			continue
		}
		if _, err := u.conn.WriteToUDPAddrPort(m.Reply, m.Remote); err != nil {
			failed++
		}
	}
	return failed
}
