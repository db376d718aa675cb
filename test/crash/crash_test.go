// Package crash kills the real daemon: at each step of writing a file, and at any moment. Started again it must be as it was before
// or as it was to be, with an audit log that verifies, and must keep all that it has answered: no cookie that was promised to be
// good may fail, no token that was revoked may count.
package crash

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// longest is how long a daemon lives at most before it is killed.
const longest = 150 * time.Millisecond

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
		time.AfterFunc(rand.N(longest), d.kill)
		work(s, p, d)
		if i%50 == 49 {
			t.Logf("%d of %d kills in %v: %v", i+1, n, time.Since(began).Round(time.Second), p.counts)
		}
	}
	d := s.start()
	p.hold(t, s)
	d.kill()
	for _, want := range []string{"key exchange", "keys rotate", "access token", "bans add", "targets drain", "changes save"} {
		if p.counts[want] == 0 {
			t.Errorf("%s was never done: the test tests less than it says", want)
		}
	}
}

// work asks for everything, until the daemon is gone.
func work(s *server, p *promises, d *daemon) {
	for i := rand.IntN(8); d.lives(); i++ {
		_ = p.act(s, i)
	}
}

// TestKilledAtEveryStep finds the steps of one life, and kills a daemon at each.
func TestKilledAtEveryStep(t *testing.T) {
	kills(t)
	steps := stepsOfALife(t)
	if len(steps) < 20 {
		t.Fatalf("only %d steps: %q", len(steps), steps)
	}
	for _, step := range steps {
		s, p := newServer(t), newPromises()
		d := s.start("NTPTSD_FAULT=" + step + " 1")
		life(s, p, d)
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
		life(s, p, again)
		p.hold(t, s)
		if len(p.heads) == before && !t.Failed() {
			t.Errorf("killed at %q it changes nothing any more", step)
		}
		if t.Failed() {
			t.Fatalf("killed at %q; the log afterwards:\n%s", step, again.stopped())
		}
		again.kill()
	}
	t.Logf("%d steps: %s", len(steps), strings.Join(steps, ", "))
}

// life is everything twice, or until the daemon is gone.
func life(s *server, p *promises, d *daemon) {
	for i := range 16 {
		if !d.lives() {
			return
		}
		_ = p.act(s, i)
	}
}

func stepsOfALife(t *testing.T) []string {
	t.Helper()
	s, p := newServer(t), newPromises()
	list := s.path("state/steps") // where its sandbox lets it write
	d := s.start("NTPTSD_STEPS=" + list)
	life(s, p, d)
	d.kill()
	b, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	steps := strings.Split(strings.TrimSpace(string(b)), "\n")
	slices.Sort(steps)
	return slices.Compact(steps)
}
