package access

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
)

// accepted connects to a unix socket and returns the side that was accepted.
func accepted(t *testing.T, dial func(path string) (net.Conn, error)) net.Conn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	if runtime.GOOS == "linux" {
		path = "@" + path // abstract: no folder and no mode stands before it
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	there, err := dial(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { there.Close() })
	here, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close() })
	return here
}

func dialUnix(path string) (net.Conn, error) { return net.Dial("unix", path) }

// needsCredentials skips where nobody asks the kernel.
func needsCredentials(t *testing.T) {
	t.Helper()
	switch runtime.GOOS {
	case "linux", "freebsd", "darwin":
	default:
		t.Skip("peerOf knows nobody on " + runtime.GOOS)
	}
}

func TestOwnUserIsAdmin(t *testing.T) {
	needsCredentials(t)
	got := NewSocketPeers("a group that is not there").Role(accepted(t, dialUnix))
	if want := (api.Caller{Role: api.Admin, Name: fmt.Sprintf("uid %d", os.Geteuid()), Root: os.Geteuid() == 0}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestGroupOfMonitorsIsLookedUp(t *testing.T) {
	if p := NewSocketPeers("a group that is not there"); len(p.monitors) != 0 {
		t.Errorf("%d are the monitors of a group that is not there", p.monitors)
	}
	if p := NewSocketPeers("daemon"); len(p.monitors) > 1 || runtime.GOOS == "linux" && len(p.monitors) == 1 && p.monitors[0] == 0 {
		t.Errorf("%d are the monitors of the group daemon", p.monitors)
	}
}

// What comes by another way than a unix socket has no user: it may nothing, even if it comes from root.
func TestOtherConnectionsAreAnonymous(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	there, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	here, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	pipe, other := net.Pipe()
	defer pipe.Close()
	defer other.Close()
	closed := accepted(t, dialUnix)
	closed.Close()
	p := NewSocketPeers("daemon")
	for name, c := range map[string]net.Conn{"tcp": here, "pipe": pipe, "closed": closed} {
		if got := p.Role(c); got.Role != api.Anonymous || got.Name == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
