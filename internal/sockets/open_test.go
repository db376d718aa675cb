package sockets

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

func TestWorkersShareAnAddress(t *testing.T) {
	if !canShare {
		t.Skip("one socket per address here")
	}
	all := openUDP(t, config.TimeServer{Listen: addrs("127.0.0.1:0", "127.0.0.2:0"), Workers: 3})
	if len(all) != 6 {
		t.Fatalf("%d sockets for 3 workers on 2 addresses", len(all))
	}
	for i, u := range all {
		if first := all[i/3*3]; u.LocalAddr() != first.LocalAddr() {
			t.Errorf("worker %d on %v, the first on %v", i, u.LocalAddr(), first.LocalAddr())
		}
	}
}

func TestBothWildcardsCanBeListed(t *testing.T) {
	needIPv6(t)
	first := one(t, "0.0.0.0:0")
	port := first.LocalAddr().Port()
	first.Close()
	both := []netip.AddrPort{
		netip.AddrPortFrom(netip.IPv6Unspecified(), port),
		netip.AddrPortFrom(netip.IPv4Unspecified(), port),
	}
	if n := len(openUDP(t, config.TimeServer{Listen: both, Workers: 1})); n != 2 {
		t.Errorf("%d sockets", n)
	}
}

func TestTakenAddressIsRefusedWithAdvice(t *testing.T) {
	all := openUDP(t, config.TimeServer{Listen: addrs("127.0.0.1:0"), Workers: 2}) // shared, but not with strangers
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for name, cfg := range map[string]config.Config{
		"timeserver.listen":  {TimeServer: &config.TimeServer{Listen: []netip.AddrPort{all[0].LocalAddr()}, Workers: 2}},
		"keyexchange.listen": {KeyExchange: &config.KeyExchange{Listen: addrs(listener.Addr().String())}},
	} {
		s, err := Open(&cfg)
		if err == nil {
			s.Close()
			t.Errorf("%s: opened twice", name)
			continue
		}
		if text := err.Error(); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(text, name) || !strings.Contains(text, "chronyd or ntpd") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryFailureIsToldAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(&config.Config{
		KeyExchange: &config.KeyExchange{Listen: addrs("192.0.2.1:0")},
		TimeServer:  &config.TimeServer{Listen: addrs("192.0.2.1:0")},
		Management:  &config.Management{Socket: file},
	})
	for _, want := range []string{"keyexchange.listen: 192.0.2.1:0", "timeserver.listen: 192.0.2.1:0", "management.socket: " + file} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestAddressesThatTheMachineLacks(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs freebind")
	}
	c := config.TimeServer{Listen: addrs("192.0.2.1:0"), Workers: 1}
	if _, err := Open(&config.Config{TimeServer: &c}); err == nil || !strings.Contains(err.Error(), "timeserver.freebind") {
		t.Errorf("without freebind: %v", err)
	}
	c.Freebind = true
	openUDP(t, c)
	needIPv6(t)
	c.Listen = addrs("[2001:db8::1]:0")
	openUDP(t, c)
}

func TestDeviceIsBound(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs SO_BINDTODEVICE")
	}
	c := config.TimeServer{Listen: addrs("127.0.0.1:0"), Workers: 1, Device: "no-such-if"}
	if _, err := Open(&config.Config{TimeServer: &c}); err == nil || !strings.Contains(err.Error(), "timeserver.device") {
		t.Errorf("unknown device: %v", err)
	}
	c.Device = "lo"
	openUDP(t, c)
}

func TestFamilies(t *testing.T) {
	for _, c := range []struct{ addr, others, want string }{
		{"0.0.0.0:123", "", "4"},
		{"192.0.2.1:123", "", "4"},
		{"[2001:db8::1]:123", "", "6"},
		{"[::]:123", "", ""},
		{"[::]:123", "0.0.0.0:123", "6"},
		{"[::]:123", "0.0.0.0:124", ""},
		{"[::]:123", "192.0.2.1:123", "6"},
	} {
		all := addrs(c.addr)
		if c.others != "" {
			all = append(all, addrs(c.others)...)
		}
		if got := familyOf(all[0], all); got != c.want {
			t.Errorf("%s beside %q: %q, want %q", c.addr, c.others, got, c.want)
		}
	}
}

func TestMachineWithoutIPv6GetsTheOtherWildcard(t *testing.T) {
	for _, missing := range []error{syscall.EAFNOSUPPORT, syscall.EADDRNOTAVAIL} {
		got, err := anyFamily(addrs("[::]:4460")[0], "", func(family string, addr netip.AddrPort) (string, error) {
			if family != "4" {
				return "", &net.OpError{Op: "listen", Err: os.NewSyscallError("socket", missing)}
			}
			return addr.String(), nil
		})
		if got != "0.0.0.0:4460" || err != nil {
			t.Errorf("%v: %q, %v", missing, got, err)
		}
	}
}

func TestDeferralFollowsTheHelloTimeout(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{0: time.Second, 2 * time.Second: 2 * time.Second} {
		if got := deferralOf(config.Duration(timeout)); got != want {
			t.Errorf("%v: %v", timeout, got)
		}
	}
}

func TestControlSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "control.sock")
	cfg := &config.Config{Management: &config.Management{Socket: path}}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if info, err := os.Stat(path); err != nil || info.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "another ntptsd answers") {
		t.Errorf("second daemon: %v", err)
	}

	s.Control.(*net.UnixListener).SetUnlinkOnClose(false) // as a crash would leave it
	s.Control.Close()
	again, err := Open(cfg)
	if err != nil {
		t.Fatalf("after a crash: %v", err)
	}
	again.Close()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

func TestControlSocketNeverReplacesAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(path, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(&config.Config{Management: &config.Management{Socket: path}})
	if err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("%v", err)
	}
	if data, err := os.ReadFile(path); string(data) != "data" {
		t.Errorf("%q, %v", data, err)
	}
}

func TestPrepareRefusesAnotherControlSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	cfg := &config.Config{Management: &config.Management{Socket: path}}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Prepare(cfg); err != nil {
		t.Error(err)
	}
	for _, other := range []*config.Management{nil, {Socket: path + "2"}} {
		if _, err := s.Prepare(&config.Config{Management: other}); err == nil || !strings.Contains(err.Error(), "management.socket") {
			t.Errorf("%v: %v", other, err)
		}
	}
}
