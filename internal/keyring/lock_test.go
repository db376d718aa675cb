package keyring

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLockState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first, err := LockState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("folder %v, %v", info, err)
	}
	if _, err := LockState(dir); err == nil || !strings.Contains(err.Error(), "another ntptsd runs with "+dir) {
		t.Errorf("second lock: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := LockState(dir)
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	_ = again.Close()
}

func TestLockStateNamesTheKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LockState(filepath.Join(file, "state")); err == nil || !strings.Contains(err.Error(), "state-directory") {
		t.Errorf("error %v", err)
	}
}

// The lock that is handed over stays held until both have closed it, and nothing else is taken for it.
func TestAdoptLock(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	held, err := LockState(dir)
	if err != nil {
		t.Fatal(err)
	}
	old := held.(*os.File)
	fd, err := unix.FcntlInt(old.Fd(), unix.F_DUPFD_CLOEXEC, 0) // what comes over a socket is a duplicate, too
	if err != nil {
		t.Fatal(err)
	}
	adopted := os.NewFile(uintptr(fd), "")
	if err := AdoptLock(dir, adopted); err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := LockState(dir); err == nil {
		t.Error("a third one has the lock")
	}

	elsewhere, err := LockState(other)
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	if err := AdoptLock(dir, elsewhere.(*os.File)); err == nil || !strings.Contains(err.Error(), "another one than "+dir) {
		t.Errorf("the lock of another directory: %v", err)
	}
	opened, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if err := AdoptLock(dir, opened); err == nil || !strings.Contains(err.Error(), "not handed over") {
		t.Errorf("the file without the lock: %v", err)
	}
	if err := adopted.Close(); err != nil {
		t.Fatal(err)
	}
	if again, err := LockState(dir); err != nil {
		t.Errorf("after both have ended: %v", err)
	} else {
		again.Close()
	}
}
