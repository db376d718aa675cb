package main

import (
	"net"

	"golang.org/x/sys/unix"
)

// peer is the process that listens on a unix socket.
func peer(socket string) (pid int32, err error) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	controlErr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if controlErr != nil || err != nil {
		return 0, err
	}
	return cred.Pid, nil
}

// bound bounds the length of the files that a process can write.
func bound(pid int32, octets uint64) error {
	var limit unix.Rlimit
	if err := unix.Prlimit(int(pid), unix.RLIMIT_FSIZE, nil, &limit); err != nil {
		return err
	}
	limit.Cur = min(octets, limit.Max)
	return unix.Prlimit(int(pid), unix.RLIMIT_FSIZE, &limit, nil)
}
