package upgrade

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/test/client"
)

// The new one serves what its own configuration says: addresses that are new are opened, and what is no longer wanted ends with
// the old one.
func TestTakeOverWithAnotherConfiguration(t *testing.T) {
	needsLinux(t)
	s := newServer(t)
	leaving, coming := freePort(t), freePort(t)
	configured, err := os.ReadFile(s.path("ntptsd.toml"))
	if err != nil {
		t.Fatal(err)
	}
	with := func(port int) string {
		both := func(at string) string { return fmt.Sprintf("[%q, \"127.0.0.1:%d\"]", at, port) }
		return strings.NewReplacer(fmt.Sprintf("[%q]", s.ke()), both(s.ke()), fmt.Sprintf("[%q]", s.ntp()), both(s.ntp())).Replace(string(configured))
	}
	s.write(with(leaving))
	old := s.run()
	if _, err := client.Exchange(fmt.Sprintf("127.0.0.1:%d", leaving), s.roots); err != nil {
		t.Fatalf("before: %v", err)
	}
	l := newLoad(t, s)
	s.write(with(coming))
	next := s.start("--take-over")
	next.says("taken over")
	old.exits(0)
	l.more(t, 300)
	l.mustBeWhole(t)
	if _, err := client.Exchange(fmt.Sprintf("127.0.0.1:%d", coming), s.roots); err != nil {
		t.Errorf("the new address: %v", err)
	}
	if err := client.Ask(dial(t, fmt.Sprintf("127.0.0.1:%d", coming)), nil); err != nil {
		t.Errorf("time at the new address: %v", err)
	}
	if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", leaving)); err == nil {
		c.Close()
		t.Error("the old address is still open")
	}
}

// Started by root, both become somebody else, who owns what they leave.
func TestTakeOverAsAnotherUser(t *testing.T) {
	needsLinux(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	s := newServer(t)
	s.configure("")
	text, err := os.ReadFile(s.path("ntptsd.toml"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("user = \"nobody\"\n" + string(text))
	for path := s.dir; path != "/" && path != os.TempDir(); path = path[:strings.LastIndexByte(path, '/')] {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("chown", "-R", "nobody", s.path("etc"), s.path("ntptsd.toml")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	old := s.run()
	l := newLoad(t, s)
	for range 2 {
		next := s.start("--take-over")
		next.says("taken over")
		old.exits(0)
		old = next
	}
	l.more(t, 300)
	l.mustBeWhole(t)
	s.mustGoOn(old)
}
