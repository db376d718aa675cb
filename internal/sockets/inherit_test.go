package sockets

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
)

// filer is what can be handed over.
type filer interface {
	File() (*os.File, error)
	Close() error
}

func listenerFile(t *testing.T, network, addr string) (*os.File, string) {
	t.Helper()
	var s filer
	var at net.Addr
	if network == "udp" {
		c, err := net.ListenPacket(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		s, at = c.(*net.UDPConn), c.LocalAddr()
	} else {
		l, err := net.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		s, at = l.(filer), l.Addr()
	}
	if u, ok := s.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	f, err := s.File()
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	t.Cleanup(func() { f.Close() })
	return f, at.String()
}

// hand gives f away under a name, as the variables of systemd do.
func hand(t *testing.T, name string, f *os.File) *os.File {
	t.Helper()
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), name)
}

func TestInheritedSocketsTakeThePlaceOfConfiguredOnes(t *testing.T) {
	tcp, tcpAt := listenerFile(t, "tcp", "127.0.0.1:0")
	udp, udpAt := listenerFile(t, "udp", "127.0.0.1:0")
	unix, _ := listenerFile(t, "unix", filepath.Join(t.TempDir(), "s"))
	configured := func(keyexchange string) *config.Config {
		return &config.Config{
			KeyExchange: &config.KeyExchange{Listen: addrs(keyexchange)},
			TimeServer:  &config.TimeServer{Listen: addrs("192.0.2.1:123")}, // could not be opened
			Management:  &config.Management{Socket: "/nonexistent/control.sock"},
		}
	}
	for _, c := range []struct {
		name  string
		files []*os.File
		cfg   *config.Config
	}{
		{"by name", []*os.File{hand(t, "timeserver", udp), hand(t, "control", unix), hand(t, "keyexchange", tcp)}, configured("192.0.2.1:1")},
		{"by kind and address", []*os.File{hand(t, "ntptsd.socket", tcp), hand(t, "ntptsd.socket", udp), hand(t, "ntptsd.socket", unix)}, configured(tcpAt)},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, err := adopt(c.files)
			if err != nil {
				t.Fatal(err)
			}
			s, err := open(c.cfg, in)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if len(s.KeyExchange) != 1 || s.KeyExchange[0].Addr().String() != tcpAt {
				t.Errorf("key exchange: %v", s.KeyExchange)
			}
			if len(s.Time) != 1 || s.Time[0].LocalAddr() != netip.MustParseAddrPort(udpAt) {
				t.Errorf("time: %v", s.Time)
			}
			if s.Control == nil {
				t.Error("no control socket")
			}
		})
	}
}

func TestInheritedUDPSocketGetsItsOptions(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs kernel timestamps")
	}
	f, at := listenerFile(t, "udp", "127.0.0.1:0")
	in, err := adopt([]*os.File{hand(t, "timeserver", f)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(&config.Config{TimeServer: &config.TimeServer{Listen: addrs(at)}}, in)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	send(t, dial(t, "127.0.0.1", netip.MustParseAddrPort(at).Port()), []byte("hello"))
	b := NewBatch()
	if n, err := s.Time[0].ReadBatch(b); n != 1 || err != nil || !b.Messages[0].Stamped || !b.Messages[0].Local.IsValid() {
		t.Errorf("%d, %v, stamped %v, local %v", n, err, b.Messages[0].Stamped, b.Messages[0].Local)
	}
}

func TestInheritedSocketThatFitsNothingIsNamed(t *testing.T) {
	tcp, at := listenerFile(t, "tcp", "127.0.0.1:0")
	udp, _ := listenerFile(t, "udp", "127.0.0.1:0")
	unix, _ := listenerFile(t, "unix", filepath.Join(t.TempDir(), "s"))
	other := filepath.Join(t.TempDir(), "control.sock")
	for _, c := range []struct {
		name string
		file *os.File
		cfg  config.Config
	}{
		{"keyexchange", tcp, config.Config{}}, // section missing
		{"timeserver", udp, config.Config{}},
		{"web.socket", tcp, config.Config{KeyExchange: &config.KeyExchange{Listen: addrs("127.0.0.1:0")}}}, // another address
		{"control", tcp, config.Config{KeyExchange: &config.KeyExchange{Listen: addrs(at)}}},               // name and kind disagree
		{"timeserver", unix, config.Config{Management: &config.Management{Socket: other}}},
	} {
		in, err := adopt([]*os.File{hand(t, c.name, c.file)})
		if err != nil {
			t.Fatal(err)
		}
		// The address of the last is taken by the very socket that was handed over, which is an error, too.
		s, err := open(&c.cfg, in)
		s.Close()
		in.close()
		if err == nil || !strings.Contains(err.Error(), `inherited socket "`+c.name+`"`) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestInheritedDescriptorThatIsNoSocketIsNamed(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := adopt([]*os.File{hand(t, "timeserver", f)}); err == nil || !strings.Contains(err.Error(), `"timeserver"`) {
		t.Errorf("%v", err)
	}
}

// TestListenFDs starts this test again with sockets and variables as systemd hands them over.
func TestListenFDs(t *testing.T) {
	if at := os.Getenv("SOCKETS_TEST_LISTEN"); at != "" {
		s, err := Open(&config.Config{KeyExchange: &config.KeyExchange{Listen: addrs(at)}, TimeServer: &config.TimeServer{}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if len(s.KeyExchange) != 1 || s.KeyExchange[0].Addr().String() != at || len(s.Time) != 1 {
			t.Errorf("%v, %v", s.KeyExchange, s.Time)
		}
		if os.Getenv("LISTEN_FDS") != "" {
			t.Error("LISTEN_FDS is still set")
		}
		return
	}
	tcp, at := listenerFile(t, "tcp", "127.0.0.1:0")
	udp, _ := listenerFile(t, "udp", "127.0.0.1:0")
	child := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, os.Args[0], "-test.run=^TestListenFDs$", "-test.v")
	child.Env = append(os.Environ(), "SOCKETS_TEST_LISTEN="+at, "LISTEN_FDS=2", "LISTEN_FDNAMES=timeserver:keyexchange")
	child.ExtraFiles = []*os.File{udp, tcp}
	if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}
