package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

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
	// Lock waits until no other process has it. Close unlocks, too.
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
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return &realFile{f}, nil
}

func (real) Create(path string, mode fs.FileMode) (File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, mode)
	if err != nil {
		return nil, err
	}
	return &realFile{f}, nil
}

func (real) Rename(from, to string) error { return os.Rename(from, to) }
func (real) Remove(path string) error     { return os.Remove(path) }

func (real) SyncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

type realFile struct{ *os.File }

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

func (f *realFile) Lock() error   { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }
func (f *realFile) Unlock() error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
