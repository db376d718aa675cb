package keyring

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/ntptsd/ntptsd/internal/durable"
)

// readKeys reads a file of keys, but not one that the forbidden users of its mode could have read or written.
// fs.ErrNotExist if there is none.
func readKeys(path string, limit int64, forbidden fs.FileMode) ([]byte, fs.FileInfo, error) {
	// O_NONBLOCK: opening a pipe must not wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, syscall.ELOOP):
		return nil, nil, fmt.Errorf("%s is a symbolic link: name the file itself", path)
	case err != nil:
		return nil, nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, nil, err
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("%s is not a regular file", path)
	case info.Mode().Perm()&forbidden != 0:
		return nil, nil, fmt.Errorf("%s has mode %04o, so other users may know the keys: "+
			"find out, then run chmod %04o %s", path, info.Mode().Perm(), info.Mode().Perm()&^forbidden, path)
	case info.Size() > limit:
		return nil, nil, fmt.Errorf("%s has %d octets, more than any file of keys", path, info.Size())
	}
	b, err := io.ReadAll(io.LimitReader(f, limit))
	return b, info, err
}

// loadRecord reads our own file, which nobody else may have written. s opens it if it is sealed; nil: there is no seal.
func loadRecord(path string, s *seal) (record, error) {
	r, info, err := readRecord(path, s)
	if err == nil {
		if err = durable.Foreign(path, info); err != nil {
			r = record{}
		}
	}
	return r, err
}

// readRecord reads it whoever we are; nobody else may have read it.
func readRecord(path string, s *seal) (record, fs.FileInfo, error) {
	b, info, err := readKeys(path, maxRecord, 0o077)
	if errors.Is(err, fs.ErrPermission) {
		us := os.Geteuid()
		err = fmt.Errorf("%w: ntptsd runs as user %d: if the keys are its own, run chown %d %s", err, us, us, path)
	}
	if err != nil {
		return record{}, nil, err
	}
	r := record{sealed: isSealed(b)}
	if r.sealed {
		b, err = s.open(b)
	}
	if err == nil {
		sealed := r.sealed
		r, err = parseRecord(b)
		r.sealed = sealed
	}
	switch {
	case errors.Is(err, errSealed):
		err = fmt.Errorf("%s %w: name its seal by the key seal of its section", path, err)
	case errors.Is(err, errOtherSeal):
		err = fmt.Errorf("%s %w: name the seal that it was written with, or restore both from a backup; nothing was changed", path, err)
	case errors.Is(err, errForeign):
		err = fmt.Errorf("%s %w: name another path", path, err)
	case errors.Is(err, errVersion):
		err = fmt.Errorf("%s %w: run the version that wrote it", path, err)
	case err != nil:
		err = fmt.Errorf("%s %w: restore it from a backup, or move it away and start again: "+
			"with new keys every client repeats its key exchange", path, err)
	}
	return r, info, err
}
