package sandbox

import (
	"errors"
	"fmt"
	"os"
	"slices"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

const (
	refuse = seccomp.ActionErrno // EPERM: no call that strangers can cause may kill us
	// unknown answers as a kernel that does not have the call. C libraries make threads by clone then; only so can its flags be
	// seen, which clone3 keeps behind a pointer.
	unknown = seccomp.Action(0x00050000 | uint32(unix.ENOSYS)) // SECCOMP_RET_ERRNO
)

func (system) filters() bool { return seccomp.Supported() }

// filterCalls confines every thread, and those to come.
func (system) filterCalls(r Rules) error {
	p, err := policy(os.Getpid(), r)
	if err != nil {
		return err
	}
	if err := seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: p}); err != nil {
		return err
	}
	// A thread that could not follow is no error to the kernel, but then nobody is confined.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
	if err == nil {
		_ = unix.Close(fd)
	}
	if !errors.Is(err, unix.EPERM) {
		return errors.New("seccomp: a thread has filters of its own, so that ours is not in force")
	}
	return nil
}

func policy(pid int, r Rules) (seccomp.Policy, error) {
	machine, err := arch.GetInfo("")
	if err != nil {
		return seccomp.Policy{}, fmt.Errorf("seccomp: %w", err)
	}
	has := func(name string) bool { _, ok := machine.SyscallNames[name]; return ok }
	allowed := seccomp.SyscallGroup{
		Names:              slices.DeleteFunc(always(r), func(name string) bool { return !has(name) }),
		NamesWithCondtions: slices.DeleteFunc(conditional(pid), func(c seccomp.NameWithConditions) bool { return !has(c.Name) }),
		Action:             seccomp.ActionAllow,
	}
	p := seccomp.Policy{DefaultAction: refuse, Syscalls: []seccomp.SyscallGroup{allowed}}
	if has("clone3") {
		p.Syscalls = append(p.Syscalls, seccomp.SyscallGroup{Names: []string{"clone3"}, Action: unknown})
	}
	return p, nil
}
