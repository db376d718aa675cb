package keyexchange

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/internal/probe"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// watched is a server that runs in a bubble and probes servers of our making.
type watched struct {
	*Server
	t     *testing.T
	end   context.CancelFunc
	ended chan error

	mu    sync.Mutex
	log   bytes.Buffer
	says  map[string]outcome // by the address that is probed; who is not in here never answers
	asked map[string][]time.Time
	bad   aead.ID   // whose sessions nobody knows
	aeads []aead.ID // asked with
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
}

func (w *watched) answer(ctx context.Context, server string, s probe.Sealer, session aead.ID) (probe.Exchange, error) {
	w.mu.Lock()
	w.asked[server] = append(w.asked[server], time.Now())
	w.aeads = append(w.aeads, session)
	o, answers := w.says[server]
	if session == w.bad {
		o = strange
	}
	w.mu.Unlock()
	if s == nil || !session.Known() {
		w.t.Errorf("%s is probed with %v and %v", server, s, session)
	}
	if !answers {
		<-ctx.Done()
		return probe.Exchange{}, probe.ErrNoAnswer
	}
	return o.e, o.err
}

func (w *watched) now(server string, o outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.says[server] = o
}

func (w *watched) times(server string) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[server]
}

// lines are those logged since the last call.
func (w *watched) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := strings.TrimSpace(w.log.String())
	w.log.Reset()
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func (w *watched) class(id string) class { return w.board.Load().find(id).class }

func (w *watched) stop() {
	w.end()
	if err := <-w.ended; err != nil {
		w.t.Error(err)
	}
}

func (w *watched) reload(cfg *config.Config) {
	w.t.Helper()
	commit, err := w.Prepare(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	commit()
}

func watch(t *testing.T, cfg *config.Config, r Rings, says map[string]outcome) *watched {
	t.Helper()
	w := &watched{t: t, ended: make(chan error, 1), says: says, asked: make(map[string][]time.Time)}
	var err error
	w.Server, err = New(cfg, []net.Listener{newPipes()}, r, &certificates{}, slog.New(slog.NewTextHandler(w, nil)))
	if err != nil {
		t.Fatal(err)
	}
	w.prove = w.answer
	ctx, cancel := context.WithCancel(t.Context())
	w.end = cancel
	go func() { w.ended <- w.Run(ctx) }()
	synctest.Wait()
	return w
}

// at is a target that is probed there.
func at(name, where string) config.Target { return config.Target{Name: name, Probe: where} }

// round waits until every target has been probed at least once more.
func round() {
	time.Sleep(19 * time.Second) // 16 s and an eighth of it, and the end of a probe
	synctest.Wait()
}

func TestEachTargetIsProbedInItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := watch(t, targetsOf(at("a", "192.0.2.1:123"), at("b", "192.0.2.2:123")), newRing(t, cookie.Native),
			map[string]outcome{"192.0.2.1:123": well(0), "192.0.2.2:123": lost})
		time.Sleep(time.Hour)
		w.stop()
		a, b := w.times("192.0.2.1:123"), w.times("192.0.2.2:123")
		together := 0
		for i := range min(len(a), len(b)) {
			if a[i].Equal(b[i]) {
				together++
			}
		}
		if !a[0].Equal(began) || !b[0].Equal(began) || together != 1 {
			t.Errorf("probes begin at %v and %v after the start; %d at once", a[0].Sub(began), b[0].Sub(began), together)
		}
		for i := range len(a) - 1 {
			if d := a[i+1].Sub(a[i]); d < 14*time.Second || d > 18*time.Second {
				t.Errorf("%v between two probes, want about 16 s", d)
			}
		}
	})
}

// TestOneLineForEachChange: the log tells of changes, however often a target is probed.
func TestOneLineForEachChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const where = "192.0.2.1:123"
		w := watch(t, targetsOf(at("a", where)), newRing(t, cookie.Native), map[string]outcome{where: well(0.25)})
		expect := func(c class, want ...string) {
			t.Helper()
			lines := w.lines()
			if w.class("a") != c || len(lines) != len(want) {
				t.Errorf("%v after the lines %q, want %v", w.class("a"), lines, c)
				return
			}
			for i := range want {
				if !strings.Contains(lines[i], want[i]) {
					t.Errorf("logged is %s, want one that says %s", lines[i], want[i])
				}
			}
		}
		expect(fit, "level=INFO msg=\"target is fit\" section=keyexchange target=a stratum=2 root_distance=250ms")
		for range 3 {
			round()
			expect(fit)
		}
		w.now(where, lost)
		round()
		for range 3 {
			round()
		}
		expect(silent, "level=WARN msg=\"target is not fit\" section=keyexchange target=a reason=")
		w.now(where, strange)
		round()
		expect(nak)
		w.now(where, well(0))
		round()
		expect(fit, "target is fit")
		w.stop()
		expect(fit)
	})
}

func TestASilentTargetEndsItsProbeInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := watch(t, targetsOf(at("a", "192.0.2.1:123"), at("b", "192.0.2.2:123")), newRing(t, cookie.Native),
			map[string]outcome{"192.0.2.2:123": well(0)})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if p := w.board.Load().find("a"); p.failures != 1 || p.probed.Sub(began) != 5*time.Second {
			t.Errorf("%d failures after %v", p.failures, p.probed.Sub(began))
		}
		for range 2 {
			round()
			time.Sleep(5 * time.Second)
		}
		if w.class("a") != silent || w.class("b") != fit {
			t.Errorf("a is %v and b is %v", w.class("a"), w.class("b"))
		}
		w.stop()
	})
}

// A probe that we break off ourselves says nothing of the target.
func TestTheEndIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := watch(t, targetsOf(at("a", "192.0.2.1:123")), newRing(t, cookie.Native), nil)
		time.Sleep(time.Second)
		w.stop()
		if p := w.board.Load().find("a"); p.failures != 0 || !p.probed.IsZero() || time.Since(began) != time.Second {
			t.Errorf("after %v there are %d failures", time.Since(began), p.failures)
		}
	})
}

// keysLater is a ring whose keys come when told.
type keysLater struct {
	mu  sync.Mutex
	set *keyring.KeySet
}

func (k *keysLater) KeySet(string) *keyring.KeySet {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.set
}

func TestWithoutAKeyNothingIsProbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const where = "192.0.2.1:123"
		keys := &keysLater{}
		w := watch(t, targetsOf(at("a", where)), keys, map[string]outcome{where: well(0)})
		round()
		if got := w.Targets()[0]; got.Fit || got.Reason != "its ring has no key to probe with" || len(w.times(where)) != 0 || w.lines() != nil {
			t.Errorf("got %+v after %d probes", got, len(w.times(where)))
		}
		keys.mu.Lock()
		keys.set = newRing(t, cookie.Native).set
		keys.mu.Unlock()
		round()
		if w.class("a") != fit {
			t.Errorf("with a key the target is %v", w.class("a"))
		}
		w.stop()
	})
}

// TestReloadsChangeTheTargets: who stays, stays known.
func TestReloadsChangeTheTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := at("a", "192.0.2.1:123"), at("b", "192.0.2.2:123"), at("c", "192.0.2.3:123")
		w := watch(t, targetsOf(a, b), newRing(t, cookie.Native),
			map[string]outcome{a.Probe: well(0), b.Probe: well(0), c.Probe: well(0)})
		old := w.board.Load().places[1].target
		old.served.Add(3)
		for _, id := range []string{"a", "b"} {
			if err := w.Drain(id, true); err != nil {
				t.Error(err)
			}
		}
		a.Probe, b.Weight = "192.0.2.4:123", 7 // where nobody answers
		w.reload(targetsOf(c, b, a))
		if w.class("a") != unknown || w.class("b") != fit || w.class("c") != unknown {
			t.Errorf("after the reload a is %v, b %v, c %v", w.class("a"), w.class("b"), w.class("c"))
		}
		if got := w.Targets()[1]; !got.Draining || got.Served != 3 || got.Weight != 7 {
			t.Errorf("after the reload b is %+v", got)
		}
		if all := w.Targets(); all[0].Draining || !all[2].Draining {
			t.Errorf("after the reload c is %+v and a %+v", all[0], all[2])
		}
		synctest.Wait()
		if w.class("c") != fit || len(w.times(a.Probe)) != 1 {
			t.Errorf("the new target is %v, and the other was probed %d times", w.class("c"), len(w.times(a.Probe)))
		}
		w.learn(old, probe.Exchange{}, probe.ErrNAK, time.Second)
		if p := w.board.Load().find("b"); p.probes[nak] != 0 {
			t.Error("a probe from before the reload counts")
		}

		w.reload(targetsOf(c))
		synctest.Wait()
		n := len(w.times(b.Probe))
		for range 3 {
			round()
		}
		if len(w.times(b.Probe)) != n || len(w.Targets()) != 1 {
			t.Errorf("a target that is gone was probed %d times", len(w.times(b.Probe))-n)
		}
		w.reload(targetsOf(c, b))
		if got := w.Targets()[1]; got.Draining || got.Served != 0 {
			t.Errorf("one that comes again is %+v", got)
		}
		w.reload(defaults())
		synctest.Wait()
		n = len(w.times(c.Probe))
		round()
		if len(w.times(c.Probe)) != n || len(w.Targets()) != 0 {
			t.Errorf("without targets %d are listed, and %d probes made", len(w.Targets()), len(w.times(c.Probe))-n)
		}
		w.stop()
	})
}

func TestWhereATargetIsProbed(t *testing.T) {
	for _, test := range []struct{ probe, family, want string }{
		{"time.example:123", "any", "time.example:123"},
		{"localhost:123", "ipv4", "127.0.0.1:123"},
		{"127.0.0.1:123", "ipv6", "127.0.0.1:123"}, // written so on purpose
		{"[::1]:123", "ipv6", "[::1]:123"},
		{"192.0.2.1", "ipv4", ""},
	} {
		at := &target{Target: config.Target{Probe: test.probe, Family: test.family}}
		if got, err := at.where(t.Context()); got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s of family %s: %s, %v", test.probe, test.family, got, err)
		}
	}
}

func TestTargetsTellWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := config.Target{Name: "a", Port: 10123, Probe: "192.0.2.1:123", Weight: 2, Family: "ipv4", AEADs: []uint16{15, 17}}
		good := well(0.5)
		good.e.RootDelay, good.e.Offset = 0.5, -0.125
		w := watch(t, targetsOf(a, at("", "192.0.2.2:123")), newRing(t, cookie.Native),
			map[string]outcome{a.Probe: good, "192.0.2.2:123": lost})
		all := w.Targets()
		got := all[0]
		if got.ID != "a:10123" || !got.Fit || got.Reason != "" || got.Weight != 2 || got.Family != "ipv4" || got.Ring != "default" ||
			len(got.AEADs) != 2 || *got.Stratum != 2 || *got.RootDistanceSeconds != 0.75 || *got.OffsetSeconds != -0.125 ||
			!got.LastProbe.Equal(time.Now()) || got.Draining {
			t.Errorf("got %+v", got)
		}
		if other := all[1]; other.ID != "this-host" || other.Fit || other.Reason == "" || other.Stratum != nil || other.OffsetSeconds != nil {
			t.Errorf("got %+v", other)
		}
		w.stop()
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, named("a", "b"), ring{}, nil)
		for _, test := range []struct {
			id          string
			drain       bool
			err, logged string
		}{
			{"a", true, "", "target drains"},
			{"a", true, "", ""},
			{"c", true, `no target "c"; known are a, b`, ""},
			{"a", false, "", "target serves again"},
			{"", true, "known are a, b", ""},
		} {
			err := w.Drain(test.id, test.drain)
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q: %v, want %q", test.id, err, test.err)
			}
			lines := w.lines()
			if (len(lines) == 0) != (test.logged == "") || test.logged != "" && !strings.Contains(lines[0], test.logged) {
				t.Errorf("%q: logged is %q", test.id, lines)
			}
			if err == nil && w.Targets()[0].Draining != test.drain {
				t.Errorf("%q: draining is not %v", test.id, test.drain)
			}
		}
		w.stop()

		none := watch(t, defaults(), ring{}, nil)
		if err := none.Drain("", true); err == nil || !strings.Contains(err.Error(), "[[keyexchange.server]]") || len(none.Targets()) != 0 {
			t.Errorf("without targets: %v, %v", err, none.Targets())
		}
		none.stop()
	})
}

func TestMetricsOfTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, targetsOf(at("a", "192.0.2.1:123"), at("b", "192.0.2.2:123")), newRing(t, cookie.Native),
			map[string]outcome{"192.0.2.1:123": well(0), "192.0.2.2:123": strange})
		round()
		w.board.Load().places[0].served.Add(2)
		if err := w.Drain("b", true); err != nil {
			t.Error(err)
		}
		w.stop()
		const fitWant = `
# HELP ntptsd_keyexchange_target_draining 1 while the target drains: clients are sent to others.
# TYPE ntptsd_keyexchange_target_draining gauge
ntptsd_keyexchange_target_draining{target="a"} 0
ntptsd_keyexchange_target_draining{target="b"} 1
# HELP ntptsd_keyexchange_target_fit 1 while the target is fit, 0 while it is not or not known to be.
# TYPE ntptsd_keyexchange_target_fit gauge
ntptsd_keyexchange_target_fit{target="a"} 1
ntptsd_keyexchange_target_fit{target="b"} 0
# HELP ntptsd_keyexchange_target_probes_total Probes of the target, by result.
# TYPE ntptsd_keyexchange_target_probes_total counter
ntptsd_keyexchange_target_probes_total{result="distant",target="a"} 0
ntptsd_keyexchange_target_probes_total{result="distant",target="b"} 0
ntptsd_keyexchange_target_probes_total{result="fit",target="a"} 2
ntptsd_keyexchange_target_probes_total{result="fit",target="b"} 0
ntptsd_keyexchange_target_probes_total{result="nak",target="a"} 0
ntptsd_keyexchange_target_probes_total{result="nak",target="b"} 2
ntptsd_keyexchange_target_probes_total{result="no_key",target="a"} 0
ntptsd_keyexchange_target_probes_total{result="no_key",target="b"} 0
ntptsd_keyexchange_target_probes_total{result="silent",target="a"} 0
ntptsd_keyexchange_target_probes_total{result="silent",target="b"} 0
ntptsd_keyexchange_target_probes_total{result="unsynchronised",target="a"} 0
ntptsd_keyexchange_target_probes_total{result="unsynchronised",target="b"} 0
# HELP ntptsd_keyexchange_target_served_total Key exchanges whose client was sent to the target.
# TYPE ntptsd_keyexchange_target_served_total counter
ntptsd_keyexchange_target_served_total{target="a"} 2
ntptsd_keyexchange_target_served_total{target="b"} 0
`
		if err := testutil.CollectAndCompare(w, strings.NewReader(fitWant), "ntptsd_keyexchange_target_draining", "ntptsd_keyexchange_target_fit",
			"ntptsd_keyexchange_target_probes_total", "ntptsd_keyexchange_target_served_total"); err != nil {
			t.Error(err)
		}
		if problems, err := testutil.CollectAndLint(w); err != nil || len(problems) > 0 {
			t.Errorf("lint: %v %v", problems, err)
		}
	})
}
