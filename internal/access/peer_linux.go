package access

import (
	"errors"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxPeerGroups is what the kernel allows a process: NGROUPS_MAX.
const maxPeerGroups = 65536

// peerOf is who connected, and the groups it was in at that time.
func peerOf(c *net.UnixConn) (uid uint32, groups []uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, nil, err
	}
	var credErr, groupsErr error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); credErr != nil {
			return
		}
		uid = cred.Uid
		groups, groupsErr = peerGroups(fd)
		groups = append(groups, cred.Gid)
	})
	if groupsErr == unix.ENOPROTOOPT { // Linux before 4.13: the group it ran under has to do
		groupsErr = nil
	}
	return uid, groups, errors.Join(err, credErr, groupsErr)
}

// peerGroups reads SO_PEERGROUPS, for which x/sys has no function.
func peerGroups(fd uintptr) ([]uint32, error) {
	for room := 32; ; room = maxPeerGroups {
		groups := make([]uint32, room)
		size := uint32(room * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return groups[:size/4], nil
		case errno != unix.ERANGE || room == maxPeerGroups:
			return nil, errno
		}
	}
}
