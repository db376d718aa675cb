// Package upgrade replaces the real daemon under load, by a hand-over and by a restart with sockets that somebody else holds,
// and wants that no client notices; and lets every kind of bad successor try, which must leave the old one as it was.
package upgrade

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// takeOvers is how many follow one another; make upgrade wants more.
func takeOvers() int {
	if os.Getenv("NTPTSD_UPGRADE") != "" {
		return 50
	}
	return 3
}

func needsLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the figures are Linux's")
	}
}

func TestTakeOverUnderLoad(t *testing.T) {
	needsLinux(t)
	s := newServer(t)
	old := s.run()
	l := newLoad(t, s)
	for range takeOvers() {
		l.more(t, 300)
		next := s.start("--take-over")
		next.says("taken over from the ntptsd before")
		old.exits(0)
		s.serves(next)
		old = next
	}
	l.more(t, 300)
	l.mustBeWhole(t)

	if _, err := s.ctl("keys", "rotate"); err != nil {
		t.Errorf("the last one does not rotate: %v", err)
	}
	if third := s.start(); true {
		third.exits(1)
		if !strings.Contains(third.log.String(), "another ntptsd runs with") {
			t.Errorf("the state directory is not locked: %s", third.log)
		}
	}
	if err := old.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	old.exits(0)
	if left, _ := filepath.Glob(s.socket()); len(left) > 0 {
		t.Error("the last one leaves the path of the control socket")
	}
}
