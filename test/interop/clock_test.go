package interop

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestClockCannotBeSet proves that whatever runs in a lab may not set the clock. (Each daemon's own rights are looked at
// when it is started.) The time it tries to set is the time it is, and only after its capabilities were seen to lack.
func TestClockCannotBeSet(t *testing.T) {
	t.Parallel()
	_, hosts := newLab(t, "", "host")
	status, err := hosts[0].run("cat", "/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	sets, err := capabilities([]byte(status))
	if err != nil {
		t.Fatal(err)
	}
	for name, set := range sets {
		if set&(1<<unix.CAP_SYS_TIME) != 0 {
			t.Fatalf("CAP_SYS_TIME in %s", name)
		}
	}
	out, err := hosts[0].run("date", "--set", fmt.Sprintf("@%d", time.Now().Unix()))
	if err == nil || !strings.Contains(out, "Operation not permitted") {
		t.Errorf("date --set: %v: %s; want EPERM", err, out)
	}
}

// TestRightsAreDropped starts ntptsd as root, as itself and as another user, and looks at what it keeps while it serves.
func TestRightsAreDropped(t *testing.T) {
	t.Parallel()
	for _, user := range []struct {
		name string
		id   int
	}{{"root", 0}, {"nobody", nobody}} {
		t.Run(user.name, func(t *testing.T) {
			t.Parallel()
			l, hosts := newLab(t, "", "server", "client")
			a := newAuthority(l)
			s := settings{pair: a.issue("server", "server.test")}
			if user.id != 0 {
				s.user = user.name
				give(t, user.id, s.pair.cert, s.pair.key, l.folder("server-state"), l.folder("server-run"))
				if err := os.Chmod(l.dir, 0o711); err != nil {
					t.Fatal(err)
				}
			}
			server := startNtptsd(hosts[0], s)
			client := chrony43.client(hosts[1], a, "server.test nts", 0)
			eventually(t, syncTimeout, client.synchronised)
			sets, err := server.capabilities()
			if err != nil {
				t.Fatal(err)
			}
			for name, set := range sets {
				if set != 0 { // all sockets are open
					t.Errorf("%s holds %x", name, set)
				}
			}
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", server.cmd.Process.Pid))
			if want := fmt.Sprintf("\nUid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d\n", user.id); err != nil || !strings.Contains(string(status), want) {
				t.Errorf("want %q in %s, %v", want, status, err)
			}
		})
	}
}

// steadyArgument makes the test binary run what follows with a kernel that accepts every setting of the clock and does
// nothing. ntpd-rs ends when it may not set the clock, and it may not.
const steadyArgument = "run-with-steady-clock"

// steady is the prefix for process.start.
func steady(t *testing.T) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{self, steadyArgument}
}

// runSteady replaces this process. What the filter answers in the kernel's place is 0, success.
func runSteady(args []string) error {
	runtime.LockOSThread()                                                       // filters belong to the thread, and exec keeps the one that calls
	const allow, succeed = 0x7fff0000, 0x00050000                                // SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | 0
	load := unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0} // the system call's number
	filter := []unix.SockFilter{load}
	for _, call := range []uint32{unix.SYS_ADJTIMEX, unix.SYS_CLOCK_ADJTIME, unix.SYS_CLOCK_SETTIME, unix.SYS_SETTIMEOFDAY} {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: call},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: succeed})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: allow})
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return err
	}
	return syscall.Exec(args[0], args, os.Environ())
}

func give(t *testing.T, user int, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.Chown(path, user, -1); err != nil {
			t.Fatal(err)
		}
	}
}
