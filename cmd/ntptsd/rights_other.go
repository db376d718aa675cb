//go:build !linux

package main

import (
	"errors"
	"syscall"
)

// dropRights becomes the account, if any; other systems than Linux have no capabilities to keep.
func dropRights(to *account) error {
	if to == nil {
		return nil
	}
	return errors.Join(syscall.Setgroups(to.groups), syscall.Setgid(to.gid), syscall.Setuid(to.uid))
}

// hideMemory keeps keys out of core dumps.
func hideMemory() error { return syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) }
