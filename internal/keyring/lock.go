package keyring

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// AdoptLock takes over the lock of the state directory from an older ntptsd that still holds it, as f: the same open file, so
// that there is no moment at which a third one could come in between. The lock ends when both have closed theirs.
func AdoptLock(dir string, f *os.File) error {
	path := filepath.Join(dir, "lock")
	ours, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("state-directory: %w", err)
	}
	theirs, err := f.Stat()
	if err != nil {
		return fmt.Errorf("state-directory: %w", err)
	}
	if ours == nil || !os.SameFile(ours, theirs) {
		return fmt.Errorf("state-directory: the ntptsd that runs has another one than %s: stop it and start this one without --take-over", dir)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("state-directory: %w", err)
	}
	// On the open file that has the lock this changes nothing; on any other it fails.
	var lockErr error
	err = raw.Control(func(fd uintptr) { lockErr = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) })
	if err = errors.Join(err, lockErr); err != nil {
		return fmt.Errorf("state-directory: the lock of %s was not handed over: %w", dir, err)
	}
	return nil
}
