//go:build !linux

package durable

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ChmodSocket gives a socket a mode, and leaves alone whatever a link leads to.
func ChmodSocket(path string, mode fs.FileMode) error {
	return unix.Fchmodat(unix.AT_FDCWD, path, uint32(mode.Perm()), unix.AT_SYMLINK_NOFOLLOW)
}

// ChownSocket gives it to an owner.
func ChownSocket(path string, uid, gid int) error { return os.Lchown(path, uid, gid) }
