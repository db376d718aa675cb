package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// dropRights becomes the account, if any, and keeps no capability, for good: all sockets are open. libcap does it on every
// thread. It also keeps our keys out of core dumps and away from debuggers.
func dropRights(to *account) error {
	if err := lowerBound(); err != nil { // needs a capability that the account does not have
		return fmt.Errorf("bounding set: %w", err)
	}
	if to != nil {
		if err := cap.SetGroups(to.gid, to.groups...); err != nil {
			return fmt.Errorf("groups of %s: %w", to.name, err)
		}
		if err := cap.SetUID(to.uid); err != nil { // keeps the capabilities; they go next
			return fmt.Errorf("become %s: %w", to.name, err)
		}
	}
	return errors.Join(dropCapabilities(), hideMemory())
}

// lowerBound lets no program that runs later gain more. Who may not do that has nothing to hand down, given
// no_new_privs.
func lowerBound() error {
	if may, err := cap.GetProc().GetFlag(cap.Effective, cap.SETPCAP); err != nil || !may {
		return err
	}
	for c := range cap.MaxBits() {
		if in, err := cap.GetBound(c); err != nil || !in {
			continue
		}
		if err := cap.DropBound(c); err != nil {
			return err
		}
	}
	return nil
}

func dropCapabilities() error {
	if err := cap.ResetAmbient(); err != nil {
		return fmt.Errorf("ambient set: %w", err)
	}
	if err := cap.NewSet().SetProc(); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	_, err := cap.Prctlw(unix.PR_SET_NO_NEW_PRIVS, 1)
	return err
}

// hideMemory keeps keys out of core dumps and away from debuggers. Becoming another user takes that back, so that it is done
// again then.
func hideMemory() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("core dumps: %w", err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err == nil && limit == (unix.Rlimit{}) {
		return nil // a filter of system calls may refuse to set it again
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("core dumps: %w", err)
	}
	return nil
}
