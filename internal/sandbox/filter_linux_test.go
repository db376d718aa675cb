package sandbox

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// judge runs a filter as the kernel does, on processors where the low half of an argument stands first.
func (p program) judge(t *testing.T, processor, number uint32, args [6]uint64) uint32 {
	t.Helper()
	data := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, number), processor), 0)
	for _, a := range args {
		data = binary.LittleEndian.AppendUint64(data, a)
	}
	var loaded uint32
	for at := 0; at < len(p); at++ {
		switch i := p[at]; i.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			loaded = binary.LittleEndian.Uint32(data[i.K:])
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			loaded &= i.K
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			if loaded == i.K {
				at += int(i.Jt)
			} else {
				at += int(i.Jf)
			}
		case unix.BPF_RET | unix.BPF_K:
			return i.K
		default:
			t.Fatalf("instruction %d: %+v", at, i)
		}
	}
	t.Fatal("it has no end")
	return 0
}

// holds is what a conditional call is to be judged by.
func (c conditional) holds(args [6]uint64) bool {
	return slices.ContainsFunc(c.sets, func(set []condition) bool {
		return !slices.ContainsFunc(set, func(c condition) bool { return args[c.argument]&c.bits != c.value })
	})
}

// Whatever the arguments of a call are, another call's number among them, it is judged as itself.
func TestArgumentsAreNoNumbers(t *testing.T) {
	const pid = 4711
	machine, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy(pid, Rules{})
	if err != nil {
		t.Fatal(err)
	}
	processor := uint32(machine.ID)
	values := []uint64{pid, unix.PROT_EXEC, unix.CLONE_THREAD, unix.CLONE_THREAD | 17, unix.PR_SET_NAME, unix.PR_SET_VMA, unix.TCGETS, unix.TIOCGWINSZ,
		unix.SOCK_SEQPACKET, unix.SOCK_STREAM | unix.SOCK_CLOEXEC, unix.IPPROTO_UDP, unix.IPPROTO_MPTCP, 0x53564d41}
	for _, number := range machine.SyscallNames {
		values = append(values, uint64(number))
	}
	for n := len(values) - 1; n >= 0; n-- {
		values = append(values, values[n]|1<<32, values[n]|1<<63)
	}
	some := conditionals(pid)
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range some {
		number, ok := machine.SyscallNames[c.name]
		if !ok {
			continue
		}
		admitted := 0
		for range 20_000 {
			var args [6]uint64
			for i := range args {
				if random.IntN(3) > 0 {
					args[i] = values[random.IntN(len(values))]
				}
			}
			if set := c.sets[random.IntN(len(c.sets))]; random.IntN(2) == 0 { // or they would hardly ever hold
				for _, c := range set {
					args[c.argument] = c.value | args[c.argument]&^c.bits
				}
			}
			want := refuse
			if c.holds(args) {
				admitted, want = admitted+1, admit
			}
			if got := p.judge(t, processor, uint32(number), args); got != want {
				t.Fatalf("%s %x: %x, want %x", c.name, args, got, want)
			}
		}
		if admitted < 1000 {
			t.Errorf("%s was admitted %d times alone", c.name, admitted)
		}
	}
	for name, number := range machine.SyscallNames {
		want := refuse
		switch {
		case slices.ContainsFunc(some, func(c conditional) bool { return c.name == name }):
			continue
		case slices.Contains(absent(), name):
			want = unknown
		case slices.Contains(always(Rules{}), name):
			want = admit
		}
		if got := p.judge(t, processor, uint32(number), [6]uint64{9, 10, 16}); got != want {
			t.Errorf("%s: %x, want %x", name, got, want)
		}
		for what, got := range map[string]uint32{"another processor's": p.judge(t, processor+1, uint32(number), [6]uint64{}), "x32's": p.judge(t, processor, uint32(number)|1<<30, [6]uint64{})} {
			if got != refuse {
				t.Errorf("%s %s: %x", what, name, got)
			}
		}
	}
}

// A table that calls something by another name than ours has it refused where we do not look. What arm64 lacks are old calls that have
// successors, and the name that newfstatat has elsewhere.
func TestArm64LacksOldCallsAlone(t *testing.T) {
	const fstatat = 79
	machine, err := arch.GetInfo("arm64")
	if err != nil {
		t.Fatal(err)
	}
	old := []string{"access", "dup2", "epoll_wait", "futex_time64", "getpgrp", "lstat", "newfstatat", "poll", "stat", "time"}
	all := append(always(Rules{Listen: []uint16{1}}), absent()...)
	for _, c := range conditionals(1) {
		all = append(all, c.name)
	}
	for _, name := range all {
		if _, ok := machine.SyscallNames[name]; !ok && !slices.Contains(old, name) {
			t.Errorf("it has no %s", name)
		}
	}
	if !slices.Contains(all, machine.SyscallNumbers[fstatat]) {
		t.Error("os.Stat is refused")
	}
}
