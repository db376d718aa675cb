package sockets

import (
	"encoding/binary"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// controlRoom holds what the kernel tells beside a datagram: a timestamp and both pktinfos, each with its header.
const controlRoom = 128

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	len uint32
}

// slot is the memory of one message. The kernel's structures point into it, so it never moves; what is cast to one of
// them comes first, where it is aligned.
type slot struct {
	control [controlRoom]byte
	info    [controlRoom]byte     // the control message of the reply: which address it leaves from
	name    unix.RawSockaddrInet6 // or RawSockaddrInet4, which is shorter; a reply goes back to it as it is
	infoLen int
	inVec   unix.Iovec
	outVec  unix.Iovec
	in      [maxDatagram]byte
	out     [maxDatagram]byte
}

// Batch is the memory for the messages of one worker: nothing is allocated for a datagram.
type Batch struct {
	Messages []Message

	slots   [BatchLen]slot
	heads   [BatchLen]mmsghdr // for receiving
	replies [BatchLen]mmsghdr // for sending

	// The system calls, made once because a closure is an allocation, and how they talk with their callers.
	receive  func(fd uintptr) bool
	send     func(fd uintptr)
	received int
	errno    syscall.Errno
	pending  int
	failed   int
}

// NewBatch makes the memory for one goroutine.
func NewBatch() *Batch {
	b := &Batch{Messages: make([]Message, BatchLen)}
	for i := range b.slots {
		s, h := &b.slots[i], &b.heads[i]
		s.inVec.Base = &s.in[0]
		s.inVec.SetLen(len(s.in))
		h.Name = (*byte)(unsafe.Pointer(&s.name))
		h.Control = &s.control[0]
		h.Iov = &s.inVec
		h.SetIovlen(1)
	}
	b.receive = b.recvmmsg
	b.send = b.sendmmsg
	return b
}

// ReadBatch waits for datagrams and fills b.Messages[:n]. The wait is the Go runtime's: no thread is held.
func (u *UDP) ReadBatch(b *Batch) (n int, err error) {
	if err := u.turn.wait(); err != nil {
		return 0, err
	}
	for i := range b.heads { // both were overwritten with what the last datagram took
		b.heads[i].Namelen = unix.SizeofSockaddrInet6
		b.heads[i].SetControllen(controlRoom)
	}
	if err := u.raw.Read(b.receive); err != nil {
		return 0, err
	}
	if b.errno != 0 {
		return 0, os.NewSyscallError("recvmmsg", b.errno)
	}
	for i := range b.received {
		b.fill(i)
	}
	return b.received, nil
}

// recvmmsg takes what is there, or tells the runtime to wait by returning false.
func (b *Batch) recvmmsg(fd uintptr) bool {
	for {
		n, _, errno := syscall.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.heads)), BatchLen, unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		b.received, b.errno = int(n), errno
		return errno != unix.EAGAIN
	}
}

// fill makes a Message of what the kernel wrote.
func (b *Batch) fill(i int) {
	s, h := &b.slots[i], &b.heads[i]
	m := &b.Messages[i]
	*m = Message{Data: s.in[:h.len], Remote: s.remote(), Reply: s.out[:0]}
	if h.Flags&unix.MSG_TRUNC != 0 {
		m.Data = nil
	}
	s.infoLen = 0
	for rest := s.control[:h.Controllen]; len(rest) >= unix.SizeofCmsghdr; {
		header, data, after, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			break
		}
		s.note(m, &header, data)
		rest = after
	}
	if !m.Stamped {
		m.Received = time.Now().Round(0)
	}
}

func (s *slot) remote() netip.AddrPort {
	port := (*[2]byte)(unsafe.Pointer(&s.name.Port)) // the same place in both families, big endian
	var addr netip.Addr
	if s.name.Family == unix.AF_INET {
		addr = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&s.name)).Addr)
	} else {
		addr = netip.AddrFrom16(s.name.Addr).Unmap()
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port[:]))
}

// note takes one control message.
func (s *slot) note(m *Message, h *unix.Cmsghdr, data []byte) {
	switch {
	case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_TIMESTAMPNS_NEW && len(data) >= 16:
		seconds, nanoseconds := binary.NativeEndian.Uint64(data), binary.NativeEndian.Uint64(data[8:])
		m.Received, m.Stamped = time.Unix(int64(seconds), int64(nanoseconds)), true
	case h.Level == unix.SOL_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
		info := *(*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0]))
		m.Local = netip.AddrFrom4(info.Spec_dst)
		m.ToMany = info.Addr != info.Spec_dst
		info.Ifindex = 0 // routing decides, as for any reply
		*(*unix.Inet4Pktinfo)(s.reserveInfo(unix.SOL_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)) = info
	case h.Level == unix.SOL_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		if m.Local.IsValid() { // over IPv4 both come, and the other one tells more
			return
		}
		info := *(*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0]))
		m.Local = netip.AddrFrom16(info.Addr).Unmap()
		m.ToMany = m.Local.IsMulticast()
		if !m.Local.IsLinkLocalUnicast() || m.Local.Is4() {
			info.Ifindex = 0 // only a link-local address means nothing without its interface
		}
		*(*unix.Inet6Pktinfo)(s.reserveInfo(unix.SOL_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)) = info
	}
}

// reserveInfo begins the reply's control message and returns where its data goes.
func (s *slot) reserveInfo(level, typ int32, size int) unsafe.Pointer {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&s.info[0]))
	h.Level, h.Type = level, typ
	h.SetLen(unix.CmsgLen(size))
	s.infoLen = unix.CmsgSpace(size)
	return unsafe.Pointer(&s.info[unix.CmsgLen(0)])
}

// WriteBatch sends the replies of b.Messages[from:to], each from the address that was asked, and tells how many the
// system refused.
func (u *UDP) WriteBatch(b *Batch, from, to int) (failed int) {
	b.pending, b.failed = 0, 0
	for i := from; i < to; i++ {
		if len(b.Messages[i].Reply) == 0 {
			continue
		}
		b.address(&b.replies[b.pending], i)
		b.pending++
	}
	if b.pending == 0 {
		return 0
	}
	if err := u.raw.Control(b.send); err != nil {
		return b.pending // closed meanwhile
	}
	return b.failed
}

// address prepares the header of one reply.
func (b *Batch) address(h *mmsghdr, i int) {
	s, reply := &b.slots[i], b.Messages[i].Reply
	s.outVec.Base = &reply[0]
	s.outVec.SetLen(len(reply))
	h.Name, h.Namelen = b.heads[i].Name, b.heads[i].Namelen
	h.Iov = &s.outVec
	h.SetIovlen(1)
	h.Control = &s.info[0]
	h.SetControllen(s.infoLen)
}

// sendmmsg sends what is pending. A reply that the system refuses (no route, a firewall, a full queue) is counted and
// passed over: it would be late anyway.
func (b *Batch) sendmmsg(fd uintptr) {
	for done := 0; done < b.pending; {
		n, _, errno := syscall.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.replies[done])), uintptr(b.pending-done), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			done += max(int(n), 1)
		case unix.EINTR:
		default:
			b.failed++
			done++
		}
	}
}
