package neighbour

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

var errNotSocket = errors.New("is not the socket that we made: somebody has put something else there")

// openToAll gives a socket mode 0666. It looks at what it has opened, and changes that and no other, whatever the name leads
// to meanwhile; of a file with several names it is not the only one.
func openToAll(path string) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	var s unix.Stat_t
	if err := unix.Fstat(fd, &s); err != nil {
		return err
	}
	if s.Mode&unix.S_IFMT != unix.S_IFSOCK || s.Nlink != 1 || int(s.Uid) != os.Geteuid() {
		return fmt.Errorf("%s %w", path, errNotSocket)
	}
	return os.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), 0o666)
}
