package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

var errNotOurs = errors.New("is not the socket that we made: somebody has put something else there")

// ourSocket opens a socket file that we made. We may be root in a folder of somebody else's, who puts something else under its name
// meanwhile: what is done to the descriptor is done to that file, wherever the name leads to; of a file with several names it is not the
// only one.
func ourSocket(path string, does func(fd int) error, owners ...int) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	var s unix.Stat_t
	if err := unix.Fstat(fd, &s); err != nil {
		return &os.PathError{Op: "fstat", Path: path, Err: err}
	}
	if !slices.Contains(append(owners, os.Geteuid()), int(s.Uid)) || s.Mode&unix.S_IFMT != unix.S_IFSOCK || s.Nlink != 1 {
		return fmt.Errorf("%s %w", path, errNotOurs)
	}
	return does(fd)
}

// ChmodSocket gives a socket that we made a mode.
func ChmodSocket(path string, mode fs.FileMode) error {
	return ourSocket(path, func(fd int) error { return os.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), mode) })
}

// ChownSocket gives it to an owner, who may have it already: by an older process of ours.
func ChownSocket(path string, uid, gid int) error {
	if uid == -1 && gid == -1 { // it stays as it is
		return nil
	}
	return ourSocket(path, func(fd int) error {
		return os.NewSyscallError("fchownat", unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH))
	}, uid)
}
