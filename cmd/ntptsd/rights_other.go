//go:build !linux

package main

import (
	"errors"
	"syscall"
)

// dropRights becomes the account, if any; other systems than Linux have no capabilities to keep.
func dropRights(to *account) error {
	core := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	if to == nil {
		return core
	}
	return errors.Join(core, syscall.Setgroups(to.groups), syscall.Setgid(to.gid), syscall.Setuid(to.uid))
}
