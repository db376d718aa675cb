package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// insideVariable makes the test binary enter a sandbox of that folder, and try what is to be refused and what is not.
const insideVariable = "NTPTSD_TEST_INSIDE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(insideVariable); dir != "" {
		if err := inside(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestInside enters a real sandbox, in a process of its own.
func TestInside(t *testing.T) {
	if (system{}).abi() < portsABI {
		t.Skip("this kernel has no Landlock that confines ports")
	}
	dir := real(t, t.TempDir())
	for _, d := range []string{"read", "write", "run/daemon", "outside"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, d, "file"), []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self)
	c.Env = append(os.Environ(), insideVariable+"="+dir)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, d := range []string{"read", "outside"} {
		if all, err := os.ReadDir(filepath.Join(dir, d)); err != nil || len(all) != 1 {
			t.Errorf("%s now holds %v, %v", d, all, err)
		}
	}
}

// trial is one thing that is tried inside.
type trial struct {
	name string
	do   func() error
}

func inside(dir string) error {
	free, err := net.Listen("tcp", "127.0.0.1:0") // a peer, and a port that is free in a moment
	if err != nil {
		return err
	}
	port := free.Addr().(*net.TCPAddr).Port
	var log bytes.Buffer
	rules := Rules{Listen: []uint16{uint16(port)}, Places: []Place{
		{"read", dir + "/read", Read}, {"write", dir + "/write", Write}, {"sockets", dir + "/run", Sockets}, {"", "/proc/self", Read},
	}}
	if _, err := Enter(Require, rules, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		return err
	}
	var failures []error
	if text := log.String(); !strings.Contains(text, "in the sandbox") {
		failures = append(failures, fmt.Errorf("logged %q", text))
	}
	for _, r := range refusals(dir) {
		if err := r.do(); !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
			failures = append(failures, fmt.Errorf("%s: %v, want a refusal", r.name, err))
		}
	}
	for _, a := range admissions(dir, free, port) {
		if err := a.do(); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", a.name, err))
		}
	}
	return errors.Join(append(failures, everyThread())...)
}

// call is one that Go has no function for, or that must have just these arguments.
func call(number uintptr, args ...uintptr) func() error {
	return func() error {
		var a [6]uintptr
		copy(a[:], args)
		_, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
		if errno == 0 {
			return nil
		}
		return errno
	}
}

// forkBy makes a process, which ends at once.
func forkBy(signal syscall.Signal) func() error {
	return func() error {
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(signal), 0, 0, 0, 0, 0)
		switch {
		case errno != 0:
			return errno
		case pid == 0:
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
		return nil
	}
}

func socket(family, kind, protocol int) func() error {
	return func() error {
		fd, err := unix.Socket(family, kind, protocol)
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	}
}

func refusals(dir string) []trial {
	program, argv := append([]byte("/bin/true"), 0), []uintptr{0}
	now := unix.Timespec{}
	limit := unix.Rlimit{}
	listen := func(at string) func() error {
		return func() error {
			var c net.ListenConfig
			c.SetMultipathTCP(strings.HasSuffix(at, "mptcp"))
			l, err := c.Listen(context.Background(), "tcp", "127.0.0.1:0")
			if err == nil {
				err = l.Close()
			}
			return err
		}
	}
	return []trial{
		{"reading outside", func() error { _, err := os.ReadFile(dir + "/outside/file"); return err }},
		{"listing outside", func() error { _, err := os.ReadDir(dir + "/outside"); return err }},
		{"reading above", func() error { _, err := os.ReadDir(dir); return err }},
		{"reading in the sockets' folder", func() error { _, err := os.ReadFile(dir + "/run/daemon/file"); return err }},
		{"writing outside", func() error { return os.WriteFile(dir+"/outside/new", nil, 0o600) }},
		{"writing where reading is open", func() error { return os.WriteFile(dir+"/read/new", nil, 0o600) }},
		{"changing where reading is open", func() error { return os.WriteFile(dir+"/read/file", nil, 0o600) }},
		{"removing where reading is open", func() error { return os.Remove(dir + "/read/file") }},
		{"making a file in the sockets' folder", func() error { return os.WriteFile(dir+"/run/new", nil, 0o600) }},
		{"making a device", func() error { return unix.Mknod(dir+"/write/null", unix.S_IFCHR|0o600, 1<<8|3) }},
		{"making a symbolic link", func() error { return os.Symlink(dir+"/outside", dir+"/write/link") }},
		{"letting others run as we do", func() error { return unix.Fchmodat(unix.AT_FDCWD, dir+"/write/file", 0o4755, 0) }},
		{"letting others run in our group", func() error {
			f, err := os.Open(dir + "/write/file")
			if err == nil {
				err = errors.Join(unix.Fchmod(int(f.Fd()), 0o2755), f.Close())
			}
			return err
		}},
		{"making what others run as we do", func() error {
			fd, err := unix.Openat(unix.AT_FDCWD, dir+"/write/new", unix.O_WRONLY|unix.O_CREAT, 0o4755)
			if err == nil {
				err = unix.Close(fd)
			}
			return err
		}},
		{"moving out", func() error { return os.Rename(dir+"/write/file", dir+"/outside/file2") }},
		{"a socket file outside", func() error {
			l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/outside/s", Net: "unixgram"})
			if err == nil {
				err = l.Close()
			}
			return err
		}},
		{"a program", func() error { return exec.Command("/bin/true").Run() }},
		{"execve", call(unix.SYS_EXECVE, uintptr(unsafe.Pointer(&program[0])), uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&argv[0])))},
		{"execveat", call(unix.SYS_EXECVEAT, 0, uintptr(unsafe.Pointer(&program[0])), uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&argv[0])), 0)},
		{"fork", call(unix.SYS_CLONE, uintptr(unix.SIGCHLD))},
		{"fork that ends by another signal", forkBy(unix.SIGUSR1)},
		{"ptrace", func() error { return unix.PtraceAttach(os.Getppid()) }},
		{"a signal to somebody else", func() error { return unix.Kill(os.Getppid(), 0) }},
		{"MPTCP", socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)},
		{"MPTCP over IPv6", socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)},
		{"MPTCP behind high bits", call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 1<<32|unix.IPPROTO_MPTCP)},
		{"a family behind high bits", call(unix.SYS_SOCKET, 1<<32|unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)},
		{"netlink", socket(unix.AF_NETLINK, unix.SOCK_RAW, 0)},
		{"packets", socket(unix.AF_PACKET, unix.SOCK_RAW, 0)},
		{"virtual machines", socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0)},
		{"SCTP", socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP)},
		{"SCTP by its kind", socket(unix.AF_INET6, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)},
		{"another port", listen("tcp")},
		{"another port by MPTCP", listen("mptcp")},
		{"setting the clock", call(unix.SYS_CLOCK_SETTIME, unix.CLOCK_REALTIME, uintptr(unsafe.Pointer(&now)))},
		{"settimeofday", call(unix.SYS_SETTIMEOFDAY, 0, 0)},
		{"clock_adjtime", call(unix.SYS_CLOCK_ADJTIME, 0, 0)},
		{"mount", call(unix.SYS_MOUNT)},
		{"umount2", call(unix.SYS_UMOUNT2)},
		{"open_tree", call(unix.SYS_OPEN_TREE)},
		{"fsopen", call(unix.SYS_FSOPEN)},
		{"pivot_root", call(unix.SYS_PIVOT_ROOT)},
		{"chroot", call(unix.SYS_CHROOT)},
		{"unshare", call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER)},
		{"setns", call(unix.SYS_SETNS)},
		{"bpf", call(unix.SYS_BPF)},
		{"perf_event_open", call(unix.SYS_PERF_EVENT_OPEN)},
		{"keyctl", call(unix.SYS_KEYCTL)},
		{"add_key", call(unix.SYS_ADD_KEY)},
		{"request_key", call(unix.SYS_REQUEST_KEY)},
		{"kexec_load", call(unix.SYS_KEXEC_LOAD)},
		{"kexec_file_load", call(unix.SYS_KEXEC_FILE_LOAD)},
		{"init_module", call(unix.SYS_INIT_MODULE)},
		{"finit_module", call(unix.SYS_FINIT_MODULE)},
		{"delete_module", call(unix.SYS_DELETE_MODULE)},
		{"reboot", call(unix.SYS_REBOOT)},
		{"io_uring_setup", call(unix.SYS_IO_URING_SETUP)},
		{"userfaultfd", call(unix.SYS_USERFAULTFD)},
		{"process_vm_readv", call(unix.SYS_PROCESS_VM_READV)},
		{"pidfd_open", call(unix.SYS_PIDFD_OPEN, uintptr(os.Getppid()))},
		{"memfd_create", call(unix.SYS_MEMFD_CREATE)},
		{"setuid", call(unix.SYS_SETUID, 0)},
		{"capset", call(unix.SYS_CAPSET)},
		{"personality", call(unix.SYS_PERSONALITY, 0xffffffff)},
		{"another filter", call(unix.SYS_SECCOMP, 1)},
		{"being dumped", func() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) }},
		{"core files", func() error { return unix.Prlimit(0, unix.RLIMIT_CORE, &limit, nil) }},
		{"memory to execute", func() error {
			_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
			return err
		}},
		{"memory to execute, with needless bits", func() error {
			const size, needless = 4096, 1<<3 | 1<<4 | 1<<5
			return call(unix.SYS_MMAP, uintptr(os.Getpid()), size, unix.PROT_WRITE|unix.PROT_EXEC|needless, unix.MAP_ANON|unix.MAP_PRIVATE, ^uintptr(0))()
		}},
		{"making memory executable", func() error {
			b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
			if err != nil {
				return nil
			}
			return unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC)
		}},
		{"typing into the terminal", call(unix.SYS_IOCTL, 0, unix.TIOCSTI, uintptr(unsafe.Pointer(&program[0])))},
	}
}

func admissions(dir string, free net.Listener, port int) []trial {
	peer := free.Addr().String()
	return []trial{
		{"reading", func() error { _, err := os.ReadFile(dir + "/read/file"); return err }},
		{"listing", func() error { _, err := os.ReadDir(dir + "/read"); return err }},
		{"asking about what is outside", func() error { _, err := os.Stat(dir + "/outside/file"); return err }},
		{"reading about ourselves", func() error { _, err := os.ReadFile("/proc/self/status"); return err }},
		{"replacing a file for good", func() error { return replace(dir + "/write/file") }},
		{"making a folder", func() error { return os.MkdirAll(dir+"/write/a/b", 0o700) }},
		{"removing", func() error { return os.RemoveAll(dir + "/write/a") }},
		{"a socket file in a folder that is made anew", func() error {
			l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/run/daemon/s", Net: "unixgram"})
			if err != nil {
				return err
			}
			return errors.Join(os.Chmod(dir+"/run/daemon/s", 0o666), l.Close(), os.Remove(dir+"/run/daemon/s"))
		}},
		{"connecting", func() error {
			c, err := net.DialTimeout("tcp", peer, 5*time.Second)
			if err != nil {
				return err
			}
			return c.Close()
		}},
		{"asking over UDP", func() error {
			c, err := net.Dial("udp", "127.0.0.1:9")
			if err != nil {
				return err
			}
			return c.Close()
		}},
		{"the port that was asked for", func() error {
			if err := free.Close(); err != nil {
				return err
			}
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				return err
			}
			return l.Close()
		}},
		{"the state of the clock", func() error { _, err := unix.Adjtimex(&unix.Timex{}); return err }},
		{"many threads", func() error {
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					pause := unix.Timespec{Nsec: 1e6}
					_ = unix.Nanosleep(&pause, nil) // holds a thread
				})
			}
			all.Wait()
			return nil
		}},
		{"a limit, to read", func() error { return unix.Getrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{}) }},
		{"a signal to ourselves", func() error { return syscall.Kill(os.Getpid(), 0) }},
	}
}

// replace is what durable does.
func replace(path string) error {
	f, err := os.OpenFile(path+"-new", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString("new")
	err = errors.Join(err, f.Chmod(0o640), f.Sync(), f.Close(), os.Rename(path+"-new", path))
	folder, opened := os.Open(filepath.Dir(path))
	if opened != nil {
		return errors.Join(err, opened)
	}
	return errors.Join(err, folder.Sync(), folder.Close())
}

// everyThread looks at all threads: one that is free would do for an attacker.
func everyThread() error {
	all, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(all) < 2 {
		return fmt.Errorf("threads %v, %v", all, err)
	}
	for _, path := range all {
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil || !bytes.Contains(b, []byte("\nSeccomp:\t2\n")) || !bytes.Contains(b, []byte("\nNoNewPrivs:\t1\n")) {
			return fmt.Errorf("%s: %w\n%s", path, err, b)
		}
	}
	return nil
}
