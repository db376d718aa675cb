package sandbox

import (
	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// always are the calls that are made whatever the arguments: by Go's runtime, by its packages os, net and time, and by ours.
// Those of the packet path stand first, where the filter finds them soonest on kernels before 5.11, which remember none.
// An architecture lacks some of them. What is not here is refused, executing and tracing programs, mounting, modules, keys of
// the kernel, setting clocks and asynchronous rings among it.
func always(r Rules) []string {
	all := []string{
		"recvmmsg", "sendmmsg", "epoll_pwait", "futex", "read", "write", "nanosleep", "sched_yield",
		"recvmsg", "sendmsg", "recvfrom", "sendto", "epoll_ctl", "accept4", "close", "getrandom", "clock_gettime",
		// memory, threads, signals and time of the runtime
		"brk", "clock_getres", "clock_nanosleep", "epoll_create1", "epoll_pwait2", "epoll_wait", "eventfd2", "exit", "exit_group",
		"futex_time64", "getcpu", "getitimer", "getpid", "getpgid", "getpgrp", "getppid", "getrlimit", "getrusage", "gettid", "gettimeofday",
		"madvise", "membarrier", "mincore", "mremap", "munmap", "ppoll", "poll", "restart_syscall", "rseq", "rt_sigaction",
		"rt_sigprocmask", "rt_sigreturn", "sched_getaffinity", "set_robust_list", "sigaltstack", "time", "times", "uname",
		"sysinfo", "capget", "getuid", "geteuid", "getgid", "getegid", "getgroups", "getresuid", "getresgid", "umask",
		// files, below which Landlock and the system's own permissions lie
		"access", "copy_file_range", "dup", "dup2", "dup3", "faccessat", "faccessat2", "fallocate", "fchmod", "fchmodat", "fchown",
		"fchownat", "fcntl", "fdatasync", "flock", "fstat", "fstatfs", "fsync", "ftruncate", "getcwd", "getdents64", "linkat", "lseek", "lstat",
		"mkdirat", "newfstatat", "openat", "openat2", "pipe2", "pread64", "preadv", "pwrite64", "pwritev", "readlinkat", "readv", "renameat",
		"renameat2", "sendfile", "splice", "stat", "statfs", "statx", "unlinkat", "utimensat", "writev",
		// sockets that are open, and those whose kind the conditions below admit
		"accept", "bind", "connect", "getpeername", "getsockname", "getsockopt", "setsockopt", "shutdown",
		// the clock's state; setting it by this call needs a capability that is gone
		"adjtimex",
	}
	if len(r.Listen) > 0 {
		all = append(all, "listen")
	}
	return all
}

// conditional are those whose numbers alone say too little.
func conditional(pid int) []seccomp.NameWithConditions {
	is := func(argument uint32, value uint64) seccomp.Condition {
		return seccomp.Condition{Argument: argument, Operation: seccomp.Equal, Value: value}
	}
	var all []seccomp.NameWithConditions
	allow := func(name string, conditions ...seccomp.Condition) {
		all = append(all, seccomp.NameWithConditions{Name: name, Conditions: conditions})
	}
	// Landlock's rules for TCP do not see MPTCP (protocol 262), and nobody speaks another protocol than these.
	for _, family := range []uint64{unix.AF_INET, unix.AF_INET6} {
		for _, protocol := range []uint64{0, unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
			allow("socket", is(0, family), is(2, protocol))
		}
	}
	allow("socket", is(0, unix.AF_UNIX), is(2, 0))
	allow("clone", seccomp.Condition{Argument: 0, Operation: seccomp.BitsSet, Value: unix.CLONE_THREAD}) // threads, no processes
	for _, call := range []string{"mmap", "mprotect"} {
		allow(call, seccomp.Condition{Argument: 2, Operation: seccomp.BitsNotSet, Value: unix.PROT_EXEC})
	}
	allow("prctl", is(0, unix.PR_SET_VMA)) // the runtime names its memory
	allow("prctl", is(0, unix.PR_SET_NAME))
	allow("prlimit64", is(2, 0)) // reading
	allow("ioctl", is(1, unix.TCGETS))
	allow("ioctl", is(1, unix.TIOCGWINSZ))
	allow("tgkill", is(0, uint64(pid))) // the runtime interrupts its own threads
	allow("kill", is(0, uint64(pid)))
	return all
}
