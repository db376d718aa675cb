package keyring

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ntptsd/ntptsd/internal/durable"
	"golang.org/x/sys/unix"
)

// LockState makes sure that no other daemon writes to the state directory, which it creates if need be. The lock ends
// with Close or the process.
func LockState(dir string) (io.Closer, error) {
	if err := durable.MakeFolder(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state-directory: %w", err)
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state-directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("state-directory: another ntptsd runs with %s: stop it, or set another directory", dir)
		}
		return nil, fmt.Errorf("state-directory: lock %s: %w", path, err)
	}
	return f, nil
}
