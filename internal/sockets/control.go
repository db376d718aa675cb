package sockets

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

const (
	controlMode      = 0o660 // the owner and the group that may look
	controlDirectory = 0o755
)

// listenControl opens the control socket at path. A socket file that nobody answers on is a dead daemon's and is
// replaced. account, if any and we are root, gets it, since it serves there after the rights are dropped.
func listenControl(path, account string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), controlDirectory); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	// The umask leaves others nothing to write to, so that chmod only ever opens further, for the group.
	if err := errors.Join(os.Chmod(path, controlMode), giveTo(path, account)); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("there is a file that is no socket: move it away or choose another path")
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return errors.New("another ntptsd answers on it: stop that one first")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// giveTo makes account the owner of the socket.
func giveTo(path, account string) error {
	if account == "" || os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup(account)
	if err != nil {
		return fmt.Errorf("user = %q: %w", account, err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return fmt.Errorf("user = %q has the id %q, which is no number", account, u.Uid)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return fmt.Errorf("user = %q has the group %q, which is no number", account, u.Gid)
	}
	return os.Chown(path, uid, gid)
}
