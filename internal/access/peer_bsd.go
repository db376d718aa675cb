//go:build freebsd || darwin

package access

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// peerOf is who connected, and the groups it was in at that time: the first 16, more the kernel does not note.
func peerOf(c *net.UnixConn) (uid uint32, groups []uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, nil, err
	}
	var credErr error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Xucred
		if cred, credErr = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED); credErr == nil {
			uid = cred.Uid
			groups = append(groups, cred.Groups[:min(max(int(cred.Ngroups), 0), len(cred.Groups))]...)
		}
	})
	return uid, groups, errors.Join(err, credErr)
}
