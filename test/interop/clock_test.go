package interop

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

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
	for _, user := range []struct {
		name string
		id   int
	}{{"root", 0}, {"nobody", 65534}} {
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
				if more := set &^ (1 << unix.CAP_NET_BIND_SERVICE); more != 0 {
					t.Errorf("%s holds %x beside NET_BIND_SERVICE", name, more)
				}
			}
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", server.cmd.Process.Pid))
			if want := fmt.Sprintf("\nUid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d\n", user.id); err != nil || !strings.Contains(string(status), want) {
				t.Errorf("want %q in %s, %v", want, status, err)
			}
		})
	}
}

func give(t *testing.T, user int, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.Chown(path, user, -1); err != nil {
			t.Fatal(err)
		}
	}
}
