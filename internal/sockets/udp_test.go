package sockets

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// deadline ends a test that waits for a datagram which never comes.
const deadline = 10 * time.Second

func openUDP(t *testing.T, c config.TimeServer) []*UDP {
	t.Helper()
	s, err := Open(&config.Config{TimeServer: &c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for _, u := range s.Time {
		u.conn.SetReadDeadline(time.Now().Add(deadline))
	}
	return s.Time
}

func one(t *testing.T, listen string) *UDP {
	t.Helper()
	return openUDP(t, config.TimeServer{Listen: addrs(listen), Workers: 1})[0]
}

func addrs(all ...string) (out []netip.AddrPort) {
	for _, a := range all {
		out = append(out, netip.MustParseAddrPort(a))
	}
	return out
}

// dial makes a client that takes answers from that address only.
func dial(t *testing.T, host string, port uint16) net.Conn {
	t.Helper()
	c, err := net.Dial("udp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(deadline))
	return c
}

func needIPv6(t *testing.T) {
	t.Helper()
	c, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 on this machine: %v", err)
	}
	c.Close()
}

func send(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

func TestReplyLeavesFromTheAddressThatWasAsked(t *testing.T) {
	needIPv6(t)
	if runtime.GOOS != "linux" {
		t.Skip("needs pktinfo")
	}
	for _, c := range []struct{ listen, ask string }{
		{"127.0.0.1:0", "127.0.0.1"},
		{"0.0.0.0:0", "127.0.0.1"},
		{"0.0.0.0:0", "127.0.0.2"},
		{"[::1]:0", "::1"},
		{"[::]:0", "::1"},
		{"[::]:0", "127.0.0.1"},
		{"[::]:0", "127.0.0.2"},
	} {
		t.Run(c.listen+" asked as "+c.ask, func(t *testing.T) {
			u := one(t, c.listen)
			client := dial(t, c.ask, u.LocalAddr().Port())
			send(t, client, []byte("question"))
			b := NewBatch()
			n, err := u.ReadBatch(b)
			if n != 1 || err != nil {
				t.Fatal(n, err)
			}
			m := &b.Messages[0]
			if want := client.LocalAddr().(*net.UDPAddr).AddrPort(); m.Remote != want {
				t.Errorf("remote %v, want %v", m.Remote, want)
			}
			if want := netip.MustParseAddr(c.ask); m.Local != want || m.ToMany {
				t.Errorf("local %v (to many: %v), want %v", m.Local, m.ToMany, want)
			}
			if string(m.Data) != "question" || len(m.Reply) != 0 {
				t.Errorf("data %q, reply %q", m.Data, m.Reply)
			}
			m.Reply = append(m.Reply, "answer"...)
			if failed := u.WriteBatch(b, 0, n); failed != 0 {
				t.Errorf("%d replies refused", failed)
			}
			got := make([]byte, 100)
			size, err := client.Read(got)
			if err != nil || string(got[:size]) != "answer" {
				t.Errorf("%q, %v", got[:size], err)
			}
		})
	}
}

func TestReceiveTimestampIsTheKernels(t *testing.T) {
	u := one(t, "127.0.0.1:0")
	client := dial(t, "127.0.0.1", u.LocalAddr().Port())
	b := NewBatch()
	before := time.Now()
	send(t, client, []byte("when"))
	if n, err := u.ReadBatch(b); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	after := time.Now()
	m := &b.Messages[0]
	if runtime.GOOS == "linux" && !m.Stamped {
		t.Fatal("no kernel timestamp")
	}
	// Loopback usually delivers inside the sender's system call, but a busy kernel does it a little later.
	if m.Received.Before(before.Round(0)) || m.Received.After(after.Round(0)) {
		t.Errorf("received %v, sent and read between %v and %v", m.Received, before, after)
	}
}

func TestBatchOfManyIsReadAndAnswered(t *testing.T) {
	const many = 200
	u := one(t, "127.0.0.1:0")
	client := dial(t, "127.0.0.1", u.LocalAddr().Port())
	b := NewBatch()
	question := make([]byte, 48)
	for i := range many {
		binary.BigEndian.PutUint32(question, uint32(i))
		send(t, client, question)
	}
	for answered := 0; answered < many; {
		n, err := u.ReadBatch(b)
		if err != nil {
			t.Fatalf("after %d: %v", answered, err)
		}
		for i := range n {
			m := &b.Messages[i]
			m.Reply = append(m.Reply, m.Data...)
		}
		if failed := u.WriteBatch(b, 0, n); failed != 0 {
			t.Fatalf("%d refused", failed)
		}
		answered += n
	}
	got := make([]byte, 100)
	for i := range many {
		n, err := client.Read(got)
		if err != nil || n != 48 || binary.BigEndian.Uint32(got) != uint32(i) {
			t.Fatalf("answer %d: %d octets, number %d, %v", i, n, binary.BigEndian.Uint32(got), err)
		}
	}
}

func TestRefusedReplyIsCountedAndTheRestIsSent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs batches")
	}
	u := one(t, "127.0.0.1:0")
	client := dial(t, "127.0.0.1", u.LocalAddr().Port())
	b := NewBatch()
	n := 0
	for i := range 5 {
		send(t, client, []byte{byte(i)})
	}
	for n < 5 { // loopback: all five are there already
		got, err := u.ReadBatch(b)
		if err != nil {
			t.Fatal(err)
		}
		n += got
	}
	if n != 5 {
		t.Skipf("%d datagrams in the last batch", n)
	}
	for i := range n {
		b.Messages[i].Reply = append(b.Messages[i].Reply, byte(i))
	}
	b.Messages[0].Reply = make([]byte, 70000) // longer than any datagram
	b.Messages[2].Reply = make([]byte, 70000)
	b.Messages[3].Reply = nil
	if failed := u.WriteBatch(b, 0, n); failed != 2 {
		t.Errorf("%d refused, want 2", failed)
	}
	got := make([]byte, 10)
	for _, want := range []byte{1, 4} {
		if size, err := client.Read(got); err != nil || !bytes.Equal(got[:size], []byte{want}) {
			t.Errorf("got %v, %v, want [%d]", got[:size], err, want)
		}
	}
}

func TestDatagramLongerThanAnyPacketComesEmpty(t *testing.T) {
	u := one(t, "127.0.0.1:0")
	client := dial(t, "127.0.0.1", u.LocalAddr().Port())
	b := NewBatch()
	for size, want := range map[int]int{ntp.MaxPacket: ntp.MaxPacket, ntp.MaxPacket + 1: 0, 9000: 0, 0: 0} {
		send(t, client, make([]byte, size))
		if n, err := u.ReadBatch(b); n != 1 || err != nil || len(b.Messages[0].Data) != want {
			t.Errorf("%d octets sent: %d messages, %d octets, %v", size, n, len(b.Messages[0].Data), err)
		}
	}
}

func TestBroadcastIsTold(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs pktinfo")
	}
	needIPv6(t)
	for _, listen := range []string{"0.0.0.0:0", "[::]:0"} {
		u := one(t, listen)
		send(t, dial(t, "127.255.255.255", u.LocalAddr().Port()), []byte("all"))
		b := NewBatch()
		if n, err := u.ReadBatch(b); n != 1 || err != nil || !b.Messages[0].ToMany {
			t.Errorf("%s: %d, %v, to many: %v", listen, n, err, b.Messages[0].ToMany)
		}
	}
}

func TestInterruptEndsReadsAndLetsWritesPass(t *testing.T) {
	u := one(t, "127.0.0.1:0")
	client := dial(t, "127.0.0.1", u.LocalAddr().Port())
	send(t, client, []byte("first"))
	b := NewBatch()
	if _, err := u.ReadBatch(b); err != nil {
		t.Fatal(err)
	}
	result := make(chan error)
	go func() {
		_, err := u.ReadBatch(NewBatch())
		result <- err
	}()
	u.Interrupt()
	if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("ReadBatch: %v", err)
	}
	b.Messages[0].Reply = append(b.Messages[0].Reply, "last"...)
	if failed := u.WriteBatch(b, 0, 1); failed != 0 {
		t.Error("reply refused")
	}
	u.Close()
	if _, err := u.ReadBatch(b); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if failed := u.WriteBatch(b, 0, 1); failed != 1 {
		t.Error("reply through a closed socket not counted")
	}
}

func TestReadAndWriteDoNotAllocate(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("portable calls allocate")
	}
	needIPv6(t)
	for _, host := range []string{"127.0.0.1", "::1"} {
		u := one(t, "[::]:0")
		client := dial(t, host, u.LocalAddr().Port())
		b, in := NewBatch(), make([]byte, 100)
		got := testing.AllocsPerRun(100, func() {
			client.Write(in[:48])
			n, err := u.ReadBatch(b)
			if err != nil {
				t.Fatal(err)
			}
			b.Messages[0].Reply = append(b.Messages[0].Reply, b.Messages[0].Data...)
			u.WriteBatch(b, 0, n)
			client.Read(in)
		})
		if got != 0 {
			t.Errorf("%s: %v allocations for a datagram and its answer", host, got)
		}
	}
}

func TestTransientErrorsAreTold(t *testing.T) {
	if !IsTransient(os.NewSyscallError("recvmmsg", syscall.ENETDOWN)) || IsTransient(net.ErrClosed) || IsTransient(os.ErrDeadlineExceeded) {
		t.Error("an interface that is down passes, a closed socket does not")
	}
}

func BenchmarkEcho(b *testing.B) {
	s, err := Open(&config.Config{TimeServer: &config.TimeServer{Listen: addrs("127.0.0.1:0"), Workers: 1}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	u, batch := s.Time[0], NewBatch()
	client, err := net.Dial("udp", u.LocalAddr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	packet := make([]byte, 48)
	b.ReportAllocs()
	for b.Loop() {
		client.Write(packet)
		n, _ := u.ReadBatch(batch)
		for i := range n {
			batch.Messages[i].Reply = append(batch.Messages[i].Reply, batch.Messages[i].Data...)
		}
		u.WriteBatch(batch, 0, n)
		client.Read(packet)
	}
}
