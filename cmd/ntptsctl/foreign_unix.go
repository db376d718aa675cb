//go:build unix

package main

import (
	"os"
	"syscall"
)

// foreign tells whether a file belongs to somebody else but root.
func foreign(file string) bool {
	info, err := os.Stat(file)
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Uid != 0 && int(s.Uid) != os.Geteuid()
}
