package upgrade

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// auditVerifies wants that the whole audit log is as it was written, whoever of the daemons wrote what.
func (s *server) auditVerifies() {
	s.t.Helper()
	if out, err := s.ctl("audit", "verify", s.path("state/audit")); err != nil {
		s.t.Errorf("the audit log: %v, %s", err, out)
	}
}

// must runs ntptsctl, and wants that it succeeds.
func (s *server) must(args ...string) string {
	s.t.Helper()
	out, err := s.ctl(args...)
	if err != nil {
		s.t.Fatalf("%q: %v, %s", args, err, out)
	}
	return out
}

// has waits until what the control socket answers has the text.
func (s *server) has(path, text string) {
	s.t.Helper()
	eventually(s.t, func() error {
		got, err := s.get(path)
		if err == nil && !strings.Contains(got, text) {
			err = fmt.Errorf("%s has no %q: %s", path, text, got)
		}
		return err
	})
}

// started is how many daemons have begun to write the audit log.
func (s *server) started() (n int) {
	s.t.Helper()
	b, err := os.ReadFile(s.path("state/audit/current.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Count(string(b), `"kind":"started"`)
}

// changed makes one change of each kind that no file of the configuration has.
func (s *server) changed() {
	s.t.Helper()
	s.must("bans", "add", "203.0.113.0/24", "flood", "--idempotency-key", "one")
	s.must("bans", "add", "198.51.100.0/24", "unsure", "--confirm-within", "1h")
	s.must("log", "level", "debug")
	s.must("targets", "drain", s.ntp())
	s.must("drain")
}

// stillChanged wants that all of it is so.
func (s *server) stillChanged() {
	s.t.Helper()
	for path, text := range map[string]string{
		"/v1/bans": "203.0.113.0/24", "/v1/changes": "198.51.100.0/24", "/v1/log": `"level":"debug"`, "/v1/listeners": `"draining":true`,
	} {
		s.has(path, text)
	}
	s.has("/v1/bans", "198.51.100.0/24")
	if targets, err := s.get("/v1/targets"); err != nil || !strings.Contains(targets, `"draining":true`) {
		s.t.Errorf("the target: %v, %s", err, targets)
	}
	if out := s.must("--json", "bans", "add", "203.0.113.0/24", "flood", "--idempotency-key", "one"); !strings.Contains(out, `"replayed": true`) {
		s.t.Errorf("the same key: %s", out)
	}
}

// What commands changed, and no file has, is so after a take-over, and after one that failed; and what was not confirmed can still
// be undone. All that was done stands in one audit log.
func TestWhatCommandsChangedIsKept(t *testing.T) {
	needsLinux(t)
	s := newServer(t)
	s.configure(fmt.Sprintf("[[keyexchange.server]]\nname = \"127.0.0.1\"\nport = %d\n", s.ntpUDP))
	old := s.run()
	s.changed()
	good, err := os.ReadFile(s.path("ntptsd.toml"))
	if err != nil {
		t.Fatal(err)
	}

	// One that comes as far as it can: it writes the audit log, and waits for its clock, until it is killed.
	s.write(strings.Replace(string(good), "source = \"fixed\"\nstratum = 3", fmt.Sprintf("source = \"chrony\"\nchrony-socket = %q\nchrony-address = \"127.0.0.1:1\"", s.path("nobody.sock")), 1))
	failing := s.start("--take-over")
	eventually(t, func() error {
		if failing.over() {
			return fatal{fmt.Errorf("it has ended: %s", failing.log)}
		}
		if s.started() < 2 {
			return fmt.Errorf("it has not written the audit log: %s", failing.log)
		}
		return nil
	})
	_ = failing.Process.Kill()
	<-failing.ended
	s.write(string(good))
	s.mustGoOn(old)
	s.stillChanged()
	if _, err := os.Stat(s.path("state/hand-over.json")); !os.IsNotExist(err) {
		t.Errorf("what was to be handed over is left: %v", err)
	}

	for range 2 {
		next := s.start("--take-over")
		next.says("taken over")
		old.exits(0)
		s.serves(next)
		s.stillChanged()
		s.mustGoOn(next)
		old = next
	}
	s.must("changes", "undo", s.pending())
	if bans, err := s.get("/v1/bans"); err != nil || strings.Contains(bans, "198.51.100.0/24") {
		t.Errorf("it is not undone: %v, %s", err, bans)
	}
	s.auditVerifies()
}

// pending is the number of the one change that waits.
func (s *server) pending() string {
	s.t.Helper()
	text, err := s.get("/v1/changes")
	_, number, found := strings.Cut(text, `"change":`)
	if err != nil || !found {
		s.t.Fatalf("%v: %s", err, text)
	}
	return number[:strings.IndexAny(number, ",}")]
}
