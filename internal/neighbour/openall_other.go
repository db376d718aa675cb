//go:build !linux

package neighbour

import "golang.org/x/sys/unix"

// openToAll gives a socket mode 0666, and leaves alone whatever a link leads to.
func openToAll(path string) error {
	return unix.Fchmodat(unix.AT_FDCWD, path, 0o666, unix.AT_SYMLINK_NOFOLLOW)
}
