package sockets

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ntptsd/ntptsd/internal/config"
)

func TestKeyExchangeSocketDefersAndIsNoMPTCP(t *testing.T) {
	s, err := Open(&config.Config{KeyExchange: &config.KeyExchange{Listen: addrs("127.0.0.1:0")}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	raw, err := s.KeyExchange[0].(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		if v, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT); v < 1 || err != nil {
			t.Errorf("TCP_DEFER_ACCEPT %d, %v", v, err)
		}
		if v, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PROTOCOL); v != unix.IPPROTO_TCP || err != nil {
			t.Errorf("protocol %d, %v", v, err)
		}
	})
}
