package sandbox

import (
	"errors"
	"os"
	"strings"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// What each Access lets be done. Nothing may be executed anywhere.
const (
	readFiles   = ll.AccessFSReadFile | ll.AccessFSReadDir
	makeSockets = ll.AccessFSMakeSock | ll.AccessFSRemoveFile | ll.AccessFSReadDir
	writeFiles  = readFiles | makeSockets | ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSMakeReg | ll.AccessFSMakeDir | ll.AccessFSRemoveDir

	// onFiles are those that a rule for a single file can have.
	onFiles = ll.AccessFSReadFile | ll.AccessFSWriteFile | ll.AccessFSTruncate
)

// rights is the newest set of rights that the rules were written for: a later kernel must not refuse what nobody has tried.
// Outgoing TCP is not confined: see docs/decisions/sandbox.md.
func rights(r Rules) landlock.Config {
	c := landlock.V7
	c.HandledAccessNet = landlock.AccessNetSet(ll.AccessNetBindTCP)
	if r.Abstract {
		c.Scoped = landlock.ScopedSet(ll.ScopeSignal)
	}
	return c.BestEffort()
}

// system is this kernel.
type system struct{}

func (system) abi() int {
	v, err := ll.LandlockGetABIVersion()
	if err != nil {
		return 0
	}
	return v
}

// openable tells whether a rule can be made of path.
func (system) openable(path string) bool {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	// Rules are bound to inodes, and those of /proc are made anew when the kernel was short of memory, unless somebody has them
	// open: these stay open as long as we live.
	if err == nil && !strings.HasPrefix(path, "/proc/") {
		_ = unix.Close(fd)
	}
	return err == nil
}

func (k system) confine(r Rules) error {
	if k.abi() == 0 {
		return errors.New("this kernel has no Landlock, or was booted without it")
	}
	var rules []landlock.Rule
	for _, p := range r.Places {
		allowed := landlock.AccessFSSet([...]uint64{Read: readFiles, Sockets: makeSockets, Write: writeFiles}[p.Access])
		info, err := os.Stat(p.Path)
		if err != nil {
			continue // it has gone since it was looked at
		}
		if !info.IsDir() {
			allowed &= onFiles
		}
		rules = append(rules, landlock.PathAccess(allowed, p.Path).IgnoreIfMissing())
	}
	for _, port := range r.Listen {
		rules = append(rules, landlock.BindTCP(port))
	}
	return rights(r).Restrict(rules...)
}
