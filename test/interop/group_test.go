package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGroupReads lets ntptsd become another user than the one that its package makes. Members of the group ntptsd may read all the
// same, and change nothing; who is not in it does not even reach the socket.
func TestGroupReads(t *testing.T) {
	t.Parallel()
	l, hosts := newLab(t, "", "server")
	groups, err := os.ReadFile("/etc/group")
	if err != nil {
		t.Fatal(err)
	}
	file := l.write("group", "ntptsd:x:4242:\n"+string(groups))
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	a := newAuthority(l)
	s := settings{pair: a.issue("server", "server.test"), user: "nobody"}
	l.allow(s)
	d := &ntptsd{host: hosts[0], program: program(t, "ntptsd"), stateDirectory: l.folder("server-state"),
		socket: filepath.Join(l.folder("server-run"), "control.sock")}
	d.configure(s)
	d.process = hosts[0].start("ntptsd", []string{d.program, "--config", d.file}, "sh", "-c", `mount --bind "$0" /etc/group && exec "$@"`, file)
	d.answers()
	for _, path := range []string{l.dir, filepath.Dir(d.socket)} {
		if err := os.Chmod(path, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	ctl := func(groups string, args ...string) (string, error) {
		line := []string{"setpriv", "--reuid", "65533", "--regid", "65533", groups}
		return hosts[0].run(append(append(line, program(t, "ntptsctl"), "--socket", d.socket), args...)...)
	}
	if out, err := ctl("--groups=4242", "keys"); err != nil || !strings.Contains(out, "ring default") {
		t.Errorf("a member reads: %v: %s", err, out)
	}
	if out, err := ctl("--groups=4242", "keys", "rotate"); err == nil || !strings.Contains(out, "needs the role operator, and uid 65533 has monitor") {
		t.Errorf("a member changes: %v: %s", err, out)
	}
	if out, err := ctl("--clear-groups", "keys"); err == nil || !strings.Contains(out, "permission denied") {
		t.Errorf("a stranger reads: %v: %s", err, out)
	}
}
