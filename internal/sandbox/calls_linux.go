package sandbox

import "golang.org/x/sys/unix"

// always are the calls that are made whatever the arguments: by Go's runtime, by its packages os, net and time, and by ours.
// Those of the packet path stand first, where the filter finds them soonest on kernels before 5.11, which remember none.
// An architecture lacks some of them, and in arch's table arm64 has newfstatat as fstatat. What is not here is refused, executing and
// tracing programs, mounting, modules, keys of the kernel, setting clocks and asynchronous rings among it.
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
		"access", "copy_file_range", "dup", "dup2", "dup3", "faccessat", "faccessat2", "fallocate", "fchown",
		"fchownat", "fcntl", "fdatasync", "flock", "fstat", "fstatat", "fstatfs", "fsync", "ftruncate", "getcwd", "getdents64", "linkat", "lseek", "lstat",
		"mkdirat", "newfstatat", "pipe2", "pread64", "preadv", "pwrite64", "pwritev", "readlinkat", "readv", "renameat",
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

// absent are answered as by a kernel that does not have them: what they do is behind a pointer, and there are others for it, whose
// arguments a filter can see. C libraries make threads by clone then.
func absent() []string { return []string{"clone3", "openat2"} }

// conditionals are those whose numbers alone say too little.
func conditionals(pid int) []conditional {
	is := func(argument int, value uint64) condition { return condition{argument, ^uint64(0), value} }
	without := func(argument int, bits uint64) condition { return condition{argument, bits, 0} }
	alone := func(c condition) []condition { return []condition{c} }
	// Landlock's rules for TCP do not see MPTCP (protocol 262), and nobody speaks another protocol than these: nor one that a kind of
	// socket stands for, as SCTP does for SOCK_SEQPACKET.
	usual := without(1, 0xf&^(unix.SOCK_STREAM|unix.SOCK_DGRAM))
	sockets := [][]condition{{is(0, unix.AF_UNIX), is(2, 0)}}
	for _, family := range []uint64{unix.AF_INET, unix.AF_INET6} {
		for _, protocol := range []uint64{0, unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
			sockets = append(sockets, []condition{is(0, family), usual, is(2, protocol)})
		}
	}
	// A file of ours that runs as we do, whoever starts it, would run outside.
	const asOwner = unix.S_ISUID | unix.S_ISGID
	data := [][]condition{alone(without(2, unix.PROT_EXEC))}
	ours := [][]condition{alone(is(0, uint64(pid)))}
	return []conditional{
		{"socket", sockets},
		{"openat", [][]condition{alone(without(3, asOwner)), alone(without(2, unix.O_CREAT|unix.O_TMPFILE))}},
		{"fchmod", [][]condition{alone(without(1, asOwner))}},
		{"fchmodat", [][]condition{alone(without(2, asOwner))}},
		{"clone", [][]condition{alone(condition{0, unix.CLONE_THREAD, unix.CLONE_THREAD})}}, // threads, no processes
		{"mmap", data},
		{"mprotect", data},
		{"prctl", [][]condition{alone(is(0, unix.PR_SET_VMA)), alone(is(0, unix.PR_SET_NAME))}}, // the runtime names its memory
		{"prlimit64", [][]condition{alone(is(2, 0))}},                                           // reading
		{"ioctl", [][]condition{alone(is(1, unix.TCGETS)), alone(is(1, unix.TIOCGWINSZ))}},
		{"tgkill", ours}, // the runtime interrupts its own threads
		{"kill", ours},
	}
}
