package durable

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Whoever owns the folder can put a link in the place of the socket before root opens that to its group, or gives it away.
func TestNoLinkLeadsModeOrOwnerElsewhere(t *testing.T) {
	dir := t.TempDir()
	path, secret, other := filepath.Join(dir, "control.sock"), filepath.Join(dir, "secret"), filepath.Join(dir, "other.sock")
	l, err := net.Listen("unix", other)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := errors.Join(os.Chmod(other, 0o600), os.WriteFile(secret, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for what, put := range map[string]func() error{
		"a link to a file":            func() error { return os.Symlink(secret, path) },
		"a link to a socket":          func() error { return os.Symlink(other, path) },
		"a second name of a file":     func() error { return os.Link(secret, path) },
		"a second name of a socket":   func() error { return os.Link(other, path) },
		"a file":                      func() error { return os.WriteFile(path, nil, 0o600) },
		"nothing that could be found": func() error { return nil },
		"another user's socket": func() error {
			if os.Getuid() != 0 { // who alone can give one away
				return nil
			}
			return errors.Join(syscall.Mknod(path, syscall.S_IFSOCK|0o600, 0), os.Lchown(path, 4711, -1))
		},
	} {
		if err := put(); err != nil {
			t.Fatal(err)
		}
		if ChmodSocket(path, 0o660) == nil || ChownSocket(path, os.Getuid(), -1) == nil {
			t.Errorf("%s is taken for the socket", what)
		}
		for _, p := range []string{secret, other} {
			if info, err := os.Stat(p); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %s has mode %v, %v", what, p, info.Mode(), err)
			}
		}
		_ = os.Remove(path)
	}
	if err := errors.Join(ChmodSocket(other, 0o660), ChownSocket(other, os.Getuid(), -1)); err != nil {
		t.Error(err)
	}
}
