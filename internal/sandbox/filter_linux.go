package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Where struct seccomp_data has what, seccomp(2): the call's number, the processor's, six arguments of 64 bits.
const (
	numberAt    = 0
	processorAt = 4
	argumentsAt = 16
)

// What becomes of a call.
const (
	admit   = unix.SECCOMP_RET_ALLOW
	refuse  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM) // no call that strangers can cause may kill us
	unknown = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
)

// condition holds where these bits of an argument are that value.
type condition struct {
	argument    int
	bits, value uint64
}

// conditional is a call that is admitted where one of the sets of conditions holds.
type conditional struct {
	name string
	sets [][]condition
}

// maxSkip is how far a conditional jump of BPF reaches.
const maxSkip = 255

// program is a filter. What follows a call's number decides about that call and no other: go-seccomp-bpf goes on with an argument in
// the place of the number, so that a fork whose signal is 10 would be judged as call 10.
type program []unix.SockFilter

func (p *program) add(code uint16, k uint32, skipTrue, skipFalse int) {
	*p = append(*p, unix.SockFilter{Code: code, K: k, Jt: uint8(skipTrue), Jf: uint8(skipFalse)})
}

func (p *program) load(at uint32) { p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, at, 0, 0) }
func (p *program) end(verdict uint32) {
	p.add(unix.BPF_RET|unix.BPF_K, verdict, 0, 0)
}

// unless skips so many instructions if what is loaded is another value.
func (p *program) unless(value uint32, skip int) {
	p.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, value, 0, skip)
}

// only refuses all if what is loaded is another value.
func (p *program) only(value uint32) {
	p.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, value, 1, 0)
	p.end(refuse)
}

// one gives the verdict about calls of a number. The number is loaded.
func (p *program) one(number, verdict uint32) {
	p.unless(number, 1)
	p.end(verdict)
}

// some admits calls of a number where a set of conditions holds, and refuses the others. The number is loaded.
func (p *program) some(number uint32, c conditional) error {
	var whole program
	for _, set := range c.sets {
		whole = append(whole, admitWhere(set)...)
	}
	whole.end(refuse)
	if len(whole) > maxSkip {
		return fmt.Errorf("seccomp: %s has more conditions than a filter can skip", c.name)
	}
	p.unless(number, len(whole))
	*p = append(*p, whole...)
	return nil
}

// admitWhere admits where all hold; otherwise what stands behind it goes on.
func admitWhere(set []condition) program {
	high, low := uint32(4), uint32(0) // where the halves of an argument are
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		high, low = low, high
	}
	rest := program{}
	rest.end(admit)
	for i := len(set) - 1; i >= 0; i-- { // each test skips all that is behind it
		c := set[i]
		at := argumentsAt + 8*uint32(c.argument)
		for _, half := range []struct {
			at          uint32
			bits, value uint32
		}{{at + low, uint32(c.bits), uint32(c.value)}, {at + high, uint32(c.bits >> 32), uint32(c.value >> 32)}} {
			var p program
			p.load(half.at)
			p.add(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, half.bits, 0, 0)
			p.unless(half.value, len(rest))
			rest = append(p, rest...)
		}
	}
	return rest
}

// enter makes the filter that of every thread, and of those to come.
func (p program) enter() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	f := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&f)))
	switch {
	case errno != 0:
		return os.NewSyscallError("seccomp", errno)
	case thread != 0: // to the kernel that is no error, but then nobody is confined
		return errors.New("seccomp: a thread has filters of its own, so that ours is not in force")
	}
	return nil
}
