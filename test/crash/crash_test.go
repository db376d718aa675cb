// Package crash kills the real daemon: at each step of writing a file, and at any moment. Started again it must be as it was before
// or as it was to be, with an audit log that verifies, and must keep all that it has answered: no cookie that was promised to be
// good may fail, no token that was revoked may count.
package crash

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// longest is how long a daemon lives at most before it is killed.
const longest = 150 * time.Millisecond

// One life in so many begins with a renewal of the certificate, and so may last so long.
const (
	renewals    = 25
	renewWithin = 3 * time.Second
)

func TestKilledAtAnyMoment(t *testing.T) {
	n := kills(t)
	s, p := newServer(t), newPromises()
	began := time.Now()
	for i := range n {
		d := s.start()
		if !d.lives() {
			t.Fatalf("after %d kills it does not start:\n%s", i, d.log.String())
		}
		p.hold(t, s)
		if t.Failed() {
			t.Fatalf("after %d kills; the log of the last one:\n%s", i, d.stopped())
		}
		if i%renewals == renewals/2 {
			time.AfterFunc(rand.N(renewWithin), d.kill)
			_ = p.renew(s)
		} else {
			time.AfterFunc(rand.N(longest), d.kill)
		}
		work(s, p, d)
		if i%50 == 49 {
			t.Logf("%d of %d kills in %v: %v", i+1, n, time.Since(began).Round(time.Second), p.counts)
		}
	}
	d := s.start()
	p.hold(t, s)
	d.kill()
	for _, want := range []string{"key exchange", "keys rotate", "access token", "bans add", "targets drain", "changes save",
		"keys revoke", "log level", "changes confirm", "changes undo"} {
		if p.counts[want] == 0 {
			t.Errorf("%s was never done: the test tests less than it says", want)
		}
	}
}

// work asks for everything, until the daemon is gone.
func work(s *server, p *promises, d *daemon) {
	for i := rand.IntN(kinds); d.lives(); i++ {
		_ = p.act(s, i)
	}
}

// TestKilledAtEveryStep finds the steps of one life, and kills a daemon at each.
func TestKilledAtEveryStep(t *testing.T) {
	kills(t)
	times := stepsOfALife(t)
	steps := slices.Sorted(maps.Keys(times))
	for _, want := range []string{"write current.log", "audit-rename current.log", "audit-rename head", "audit-remove numbered.log",
		"rename unconfirmed.json", "rename authority.pem", "rename keys", "rename keys.revoked", "rename access.json", "rename saved.toml"} {
		if !slices.Contains(steps, want) {
			t.Errorf("no step %q: %q", want, steps)
		}
	}
	for _, step := range steps {
		nth := 1 // the first one is mostly of the start
		if n := times[step]; n > 1 && rand.IntN(2) == 0 {
			nth = n / 2
		}
		s, p := newServer(t), newPromises()
		killedAt(t, s, p, fmt.Sprint(step, " ", nth), longLife, life)
	}
	t.Logf("%d steps: %s", len(steps), strings.Join(steps, ", "))
}

// killedAt lets one live who is killed at a step, and another one after it.
func killedAt(t *testing.T, s *server, p *promises, step string, first, second func(*server, *promises, *daemon)) {
	t.Helper()
	d := s.start("NTPTSD_FAULT=" + step)
	first(s, p, d)
	select {
	case <-d.ended:
	case <-time.After(10 * time.Second): // it is dead at once; only to see that takes a moment
		t.Errorf("%s: it was never come by", step)
	}
	d.kill()
	again := s.start()
	if !again.lives() {
		t.Fatalf("killed at %q it does not start again:\n%s", step, again.log.String())
	}
	p.hold(t, s)
	before := len(p.heads)
	second(s, p, again)
	p.hold(t, s)
	if len(p.heads) == before && !t.Failed() {
		t.Errorf("killed at %q it changes nothing any more", step)
	}
	if t.Failed() {
		t.Fatalf("killed at %q; the log afterwards:\n%s", step, again.stopped())
	}
	again.kill()
}

// TestKilledWhileACertificateIsRenewed: the first one is written while it starts, so that the steps of a life have that alone.
func TestKilledWhileACertificateIsRenewed(t *testing.T) {
	kills(t)
	for _, step := range []string{"create authority.pem", "write authority.pem", "write-half authority.pem", "sync authority.pem", "close authority.pem",
		"rename authority.pem", "sync-folder certs"} {
		s, p := newServer(t), newPromises()
		s.start().kill()
		t.Run(step, func(t *testing.T) {
			t.Parallel() // a renewal waits, mostly
			renew := func(s *server, p *promises, _ *daemon) { _ = p.renew(s) }
			killedAt(t, s, p, step+" 1", renew, renew)
			if p.counts["certs renew"] != 1 {
				t.Errorf("afterwards it is renewed %d times", p.counts["certs renew"])
			}
		})
	}
}

// life is everything twice, or until the daemon is gone.
func life(s *server, p *promises, d *daemon) {
	for i := 0; i < 2*kinds && d.lives(); i++ {
		_ = p.act(s, i)
	}
}

// longLife is so long that the audit log begins further files.
func longLife(s *server, p *promises, d *daemon) {
	life(s, p, d)
	for i := 0; i < rotations*changesOfAFile && d.lives(); i++ {
		_ = p.ban(s, i)
	}
}

// How often the audit log begins another file: once more than are kept. Two changes, with two records each, take 1 KiB at least.
const (
	rotations      = 3
	changesOfAFile = 64
)

// stepsOfALife are the steps, and how often each is come by.
func stepsOfALife(t *testing.T) map[string]int {
	t.Helper()
	s, p := newServer(t), newPromises()
	list := s.path("state/steps") // where its sandbox lets it write
	d := s.start("NTPTSD_STEPS=" + list)
	longLife(s, p, d)
	d.kill()
	b, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	times := make(map[string]int)
	for step := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n") {
		times[step]++
	}
	return times
}
