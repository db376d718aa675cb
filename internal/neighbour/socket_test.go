package neighbour

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ntptsd/ntptsd/internal/durable"
)

func TestHangingChronyIsTold(t *testing.T) {
	r := newReplay(t, "4.3")
	silent := func(_, _ []byte) [][]byte { return nil }
	r.instead.Store(&silent)
	c := r.client()
	if _, err := c.Tracking(t.Context()); err == nil || !strings.Contains(err.Error(), "it hangs, or is stopped") || !errors.Is(err, os.ErrDeadlineExceeded) ||
		strings.Contains(err.Error(), "ntptsd.") { // the name of our own socket is another one each time
		t.Errorf("%v", err)
	}
}

// A chronyd that was started anew has another socket under the same name.
func TestRestartedChronyIsFound(t *testing.T) {
	r := newReplay(t, "4.3")
	c := r.client()
	c.address.Port()
	if _, err := c.Sources(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if err := c.Rekey(t.Context()); err == nil {
		t.Error("no error while it is away")
	}
	r.start()
	if err := c.Rekey(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOwnSocketsAreRemoved(t *testing.T) {
	r := newReplay(t, "4.3")
	dir := filepath.Dir(r.socket)
	stale, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "ntptsd.1.1.sock"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	stale.Close() // Close of a unixgram socket leaves its file
	live, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "ntptsd.1.2.sock"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	if _, err := r.client().Tracking(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(left) != 2 { // chronyd's and the one that lives
		t.Errorf("left: %v", left)
	}
}

// Several clients of one process, or of several, do not get into each other's way.
func TestManyAskAtOnce(t *testing.T) {
	r := newReplay(t, "4.3")
	var all sync.WaitGroup
	for range 4 {
		c := r.client()
		all.Go(func() {
			for range 25 {
				if err := c.Rekey(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// Whoever owns the folder cannot have anything but the socket opened to all.
func TestOnlyTheSocketIsOpenedToAll(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, put := range map[string]func(path string) error{
		"a link to a file":      func(path string) error { return os.Symlink(secret, path) },
		"a link to a socket":    func(path string) error { return os.Symlink(socket, path) },
		"a file":                func(path string) error { return os.Link(secret, path) },
		"a socket's other name": func(path string) error { return os.Link(socket, path) },
		"nothing":               func(string) error { return nil },
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := put(path); err != nil {
			t.Fatal(err)
		}
		if err := durable.ChmodSocket(path, 0o666); err == nil {
			t.Errorf("%s: no error", name)
		}
		_ = os.Remove(path)
	}
	if info, err := os.Stat(secret); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := durable.ChmodSocket(socket, 0o666); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestSocketErrorsSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{syscall.EACCES, "run ntptsd as that one"},
		{syscall.ENOENT, "does not run, or has another bindcmdaddress"},
		{syscall.ECONNREFUSED, "does not run any more"},
		{syscall.EROFS, "ReadWritePaths=/run"},
	} {
		if text := explainSocket("/run/chrony/chronyd.sock", c.err).Error(); !strings.Contains(text, c.want) {
			t.Errorf("%v: %s", c.err, text)
		}
	}
	long := "/" + strings.Repeat("x", maxSocketPath) + "/s"
	if err := NewChrony(long, (&net.UDPAddr{}).AddrPort()).Rekey(t.Context()); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("%v", err)
	}
}
