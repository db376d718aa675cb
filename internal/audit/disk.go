package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ntptsd/ntptsd/internal/durable"
)

// Disk is what the log needs of a file system. Each call that changes something is a step at which a crash may come: tests hand
// in one that dies there, and forgets what was not synced.
type Disk interface {
	MakeFolder(path string) error
	Names(folder string) ([]string, error)
	Open(path string) (io.ReadCloser, error)            // to read; fs.ErrNotExist
	OpenLog(path string) (File, error)                  // to append; made with mode 0600 if it is not there
	Create(path string, mode fs.FileMode) (File, error) // fs.ErrExist
	Rename(from, to string) error
	Remove(path string) error
	SyncFolder(path string) error
}

// File is one that is written.
type File interface {
	Write(b []byte) (int, error)
	Sync() error
	Truncate(size int64) error
	// Size is how long it is. It fails when another file, or none, stands under the name now.
	Size() (int64, error)
	// Lock waits until no other process has it, but not for long. Close unlocks, too.
	Lock() error
	Unlock() error
	Close() error
}

// suffix marks a file that is being written, as in durable.
const suffix = ".ntptsd-new"

// replace writes a small file, so that at every instant the old or the new one stands there, whole.
func replace(d Disk, path string, data []byte, mode fs.FileMode) error {
	beside := path + suffix
	if err := d.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := d.Create(beside, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = d.Rename(beside, path)
	}
	if err == nil {
		err = d.SyncFolder(filepath.Dir(path))
	}
	return err
}

// readSmall reads a file of ours that has at most so many octets.
func readSmall(d Disk, path string, most int64) ([]byte, error) {
	f, err := d.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s is longer than %d octets", path, most)
	}
	return b, err
}

// real is the operating system's.
type real struct{}

func (real) MakeFolder(path string) error { return durable.MakeFolder(path, 0o700) }

func (real) Names(folder string) ([]string, error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

func (real) Open(path string) (io.ReadCloser, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
}

func (real) OpenLog(path string) (File, error) {
	step("open", path)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return &realFile{File: f}, nil
}

func (real) Create(path string, mode fs.FileMode) (File, error) {
	step("create", path)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, mode)
	if err != nil {
		return nil, err
	}
	return &realFile{File: f}, nil
}

func (real) Rename(from, to string) error {
	step("rename", from)
	return os.Rename(from, to)
}

func (real) Remove(path string) error {
	step("remove", path)
	return os.Remove(path)
}

func (real) SyncFolder(path string) error {
	step("sync-folder", path)
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// step is durable.Step, under a name that does not depend on the number of a record.
func step(what, path string) {
	switch name := filepath.Base(path); {
	case strings.HasPrefix(name, "torn-"):
		path = "torn"
	case len(filesIn([]string{name})) > 0:
		path = "numbered.log"
	}
	durable.Step("audit-"+what, path)
}

type realFile struct {
	*os.File
	waits chan error // for the lock; nil: nobody does
}

func (f *realFile) Write(b []byte) (int, error) { return durable.Write(f.File, b) }

func (f *realFile) Sync() error {
	step("sync", f.Name())
	return f.File.Sync()
}

func (f *realFile) Truncate(size int64) error {
	step("truncate", f.Name())
	return f.File.Truncate(size)
}

func (f *realFile) Size() (int64, error) {
	open, err := f.Stat()
	if err != nil {
		return 0, err
	}
	named, err := os.Lstat(f.Name())
	if err != nil {
		return 0, err
	}
	if !os.SameFile(open, named) {
		return 0, fmt.Errorf("%s was replaced by another file", f.Name())
	}
	return open.Size(), nil
}

// lockWithin is longer than another ntptsd reads and writes. One that was stopped, or somebody's flock(1), must not keep all changes
// waiting, and with them who wants to take over.
const lockWithin = 5 * time.Second

// errLocked tells that Lock waits still, for whoever calls it next: the kernel gives a lock to those who wait in turn, and not to
// who asks now and then.
var errLocked = errors.New("another process has locked the audit log, fuser tells which")

func (f *realFile) Lock() error {
	if f.waits == nil {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		waits := make(chan error, 1)
		f.waits = waits
		go func() { waits <- flock(int(f.Fd())) }()
	}
	late := time.NewTimer(lockWithin)
	defer late.Stop()
	select {
	case err := <-f.waits:
		f.waits = nil
		return err
	case <-late.C:
		return fmt.Errorf("%s: %w", f.Name(), errLocked)
	}
}

func flock(fd int) error {
	for {
		if err := syscall.Flock(fd, syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func (f *realFile) Unlock() error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
