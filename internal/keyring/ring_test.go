package keyring

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

func TestRotatesEveryInterval(t *testing.T) {
	for _, dialect := range []string{"native", "chrony", "ntpsec"} {
		w := newWorld(t, config.KeyRing{Dialect: dialect, Keep: 2})
		w.mustStart()
		ids := w.ids()
		for range 5 {
			w.live(hour - time.Minute)
			ids = w.wantSteps(ids, 0)
			w.live(time.Minute)
			ids = w.wantSteps(ids, 1)
			if r := w.record(); r.set.current().id != ids[0] || r.set.next().id != ids[1] {
				t.Errorf("the record has other keys")
			}
		}
		if n := len(w.ring.KeySet().old()); n != 2 {
			t.Errorf("%s: %d old keys", dialect, n)
		}
	}
}

func TestRestartKeepsTheInterval(t *testing.T) {
	w := newWorld(t, config.KeyRing{})
	w.mustStart()
	ids, c := w.ids(), mint(t, w.ring.KeySet())
	w.live(40 * time.Minute)
	w.wall = w.wall.Add(19 * time.Minute) // off
	w.mustStart()
	w.wantSteps(ids, 0)
	if err := opens(w.ring.KeySet(), c); err != nil {
		t.Error(err)
	}
	w.live(time.Minute)
	w.wantSteps(ids, 1)
}

func TestOneStepAfterALongRest(t *testing.T) {
	w := newWorld(t, config.KeyRing{Keep: 3})
	w.mustStart()
	w.live(6 * hour)
	ids, c := w.ids(), mint(t, w.ring.KeySet())
	w.wall = w.wall.Add(1000 * hour)
	w.mustStart()
	ids = w.wantSteps(ids, 1)
	if n := len(w.ring.KeySet().old()); n != 3 {
		t.Errorf("%d old keys: one step drops one", n)
	}
	for range 3 { // and the next ones are an interval apart from now
		if err := opens(w.ring.KeySet(), c); err != nil {
			t.Error(err)
		}
		w.live(hour - time.Minute)
		ids = w.wantSteps(ids, 0)
		w.live(time.Minute)
		ids = w.wantSteps(ids, 1)
	}
	if err := opens(w.ring.KeySet(), c); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("after its end: %v", err)
	}
	w.mustStart() // right again: no further step
	w.wantSteps(ids, 0)
}

func TestWallClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{time.Minute, 59 * time.Minute, 3 * hour, 10000 * hour, -time.Minute, -hour, -10000 * hour} {
		for _, restart := range []bool{false, true} {
			w := newWorld(t, config.KeyRing{Keep: 2})
			w.mustStart()
			w.live(4 * hour)
			w.live(15 * time.Minute)
			ids, c := w.ids(), mint(t, w.ring.KeySet())
			w.wall = w.wall.Add(jump)
			steps := 0
			if restart {
				w.mustStart()
				if jump >= 45*time.Minute {
					steps = 1 // who can tell a jump from a rest?
				}
			} else {
				w.pass(0)
			}
			ids = w.wantSteps(ids, steps)
			for range 3 {
				w.pass(0)
				ids = w.wantSteps(ids, 0)
			}
			w.live(30 * time.Minute)
			w.wantSteps(ids, 0)
			w.live(hour + 15*time.Minute) // 2 h since the cookie was minted: keep times the interval
			if err := opens(w.ring.KeySet(), c); err != nil {
				t.Errorf("jump %v, restart %v: %v", jump, restart, err)
			}
			if off := w.ring.KeySet().next().mintFrom.Sub(w.wall); off <= 0 || off > hour {
				t.Errorf("jump %v, restart %v: next rotation in %v", jump, restart, off)
			}
			// The announced ends went with the clock.
			w.mustStart()
			if err := opens(w.ring.KeySet(), c); err != nil {
				t.Errorf("jump %v, restart %v, and again: %v", jump, restart, err)
			}
		}
	}
}

func TestNothingHappensWhileUnsynchronised(t *testing.T) {
	w := newWorld(t, config.KeyRing{Keep: 2})
	w.mustStart()
	w.live(5 * hour)
	ids, c := w.ids(), mint(t, w.ring.KeySet())
	w.synchronised = false
	w.live(30 * hour)
	w.wall = w.wall.Add(1000 * hour)
	w.live(30 * hour)
	ids = w.wantSteps(ids, 0)
	w.mustStart()
	w.live(hour)
	ids = w.wantSteps(ids, 0)
	if err := w.rotate(); !errors.Is(err, ErrUnsynchronised) {
		t.Errorf("forced: %v", err)
	}
	if n := len(w.ring.KeySet().old()); n != 2 || opens(w.ring.KeySet(), c) != nil {
		t.Errorf("%d old keys", n)
	}
	if n := w.logged("until the clock is synchronised"); n != 2 { // once a process
		t.Errorf("logged %d times", n)
	}
	w.synchronised = true
	w.pass(0)
	ids = w.wantSteps(ids, 1)
	if err := opens(w.ring.KeySet(), c); err != nil {
		t.Error(err)
	}
	w.live(59 * time.Minute)
	w.wantSteps(ids, 0)
}

// A machine without a battery starts in 1970 and learns the time later.
func TestFirstStartBeforeTheTimeIsKnown(t *testing.T) {
	w := newWorld(t, config.KeyRing{})
	w.synchronised, w.wall = false, time.Unix(5, 0)
	w.mustStart()
	ids := w.ids()
	w.live(10 * time.Minute)
	w.synchronised, w.wall = true, epoch
	w.pass(0)
	w.wantSteps(ids, 0)
	if end := w.record().set.next().mintFrom; !end.Equal(epoch.Add(50 * time.Minute)) {
		t.Errorf("the record forecasts %v", end)
	}
	w.live(50 * time.Minute)
	w.wantSteps(ids, 1)
}

func TestFullDisk(t *testing.T) {
	w := newWorld(t, config.KeyRing{})
	w.mustStart()
	w.live(59 * time.Minute)
	ids := w.ids()
	w.full = syscall.ENOSPC
	w.live(5 * hour)
	w.wantSteps(ids, 0)
	c := mint(t, w.ring.KeySet()) // the old keys go on
	if n := w.logged("the key record cannot be saved"); n != 1 || w.logged("no space left") != 1 {
		t.Errorf("logged %d times: %s", n, w.log)
	}
	wantMetric(t, w.ring, "ntptsd_keyring_save_failing", 1)
	if err := w.rotate(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("forced: %v", err)
	}
	w.full = nil
	w.live(time.Minute)
	w.wantSteps(ids, 1)
	wantMetric(t, w.ring, "ntptsd_keyring_save_failing", 0)
	w.live(2 * hour)
	w.mustStart()
	if err := opens(w.ring.KeySet(), c); err != nil {
		t.Error(err)
	}
}

func TestFirstStartOnAFullDisk(t *testing.T) {
	w := newWorld(t, config.KeyRing{})
	w.full = syscall.ENOSPC
	if err := w.start(); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "before they are used") {
		t.Errorf("error %v", err)
	}
}

func TestForcedRotation(t *testing.T) {
	w := newWorld(t, config.KeyRing{Keep: 2})
	w.mustStart()
	w.live(4 * hour)
	var cookies [][]byte
	forced := 0
	for ; ; forced++ {
		cookies = append(cookies, mint(t, w.ring.KeySet()))
		ids := w.ids()
		if err := w.rotate(); err != nil {
			if !errors.Is(err, ErrPromised) || forced != nativeMaxKeys-4 {
				t.Errorf("%d forced rotations, then %v", forced, err)
			}
			w.wantSteps(ids, 0)
			break
		}
		w.wantSteps(ids, 1)
		if w.record().set.current().id != w.current() {
			t.Fatal("not on disk")
		}
	}
	w.live(2 * hour)
	for i, c := range cookies {
		if err := opens(w.ring.KeySet(), c); err != nil {
			t.Errorf("cookie %d: %v", i, err)
		}
	}
	w.live(3 * hour)
	if n := len(w.ring.KeySet().old()); n != 2 {
		t.Errorf("%d old keys after all have ended", n)
	}
}

func TestForcedRotationBesideReaders(t *testing.T) {
	w := newWorld(t, config.KeyRing{Dialect: "chrony"}) // four slots, but no neighbour reads them
	w.mustStart()
	for range 2 { // the two old keys of the first set never minted
		if err := w.rotate(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.rotate(); !errors.Is(err, ErrPromised) || !strings.Contains(err.Error(), "room for 4 keys") {
		t.Errorf("error %v", err)
	}
	w = beside(t, config.KeyRing{Dialect: "ntpsec", Keep: 2}, "-")
	w.mustStart()
	w.live(30 * time.Minute)
	if err := w.rotate(); !errors.Is(err, ErrUnpublished) || !strings.Contains(err.Error(), "2026-11-23T11:00:00Z") {
		t.Errorf("error %v", err)
	}
}

func TestChangesAtAStart(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(k *config.KeyRing)
		want   string
	}{
		"dialect":      {func(k *config.KeyRing) { k.Dialect = "ntpsec" }, "another dialect would end all cookies"},
		"smaller keep": {func(k *config.KeyRing) { k.Keep = 2 }, "2 would end 2 keys before their announced end, the last of them at 2026-11-23T20:00:00Z: keep 4"},
		"larger keep":  {func(k *config.KeyRing) { k.Keep = 5 }, ""},
		"interval":     {func(k *config.KeyRing) { k.RotateEvery = config.Duration(time.Minute) }, ""},
	} {
		w := newWorld(t, config.KeyRing{Keep: 4})
		w.mustStart()
		w.live(6 * hour)
		c := mint(t, w.ring.KeySet())
		tt.change(&w.cfg.KeyRing)
		err := w.start()
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			w.live(4 * hour) // what was announced before the change
			if err := opens(w.ring.KeySet(), c); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", name, err, tt.want)
		}
	}
}

func TestASmallerKeepThatBreaksNothing(t *testing.T) {
	w := newWorld(t, config.KeyRing{Keep: 4})
	w.mustStart()
	w.live(2 * hour)
	w.cfg.KeyRing.Keep = 2
	w.mustStart()
	if r := w.record(); r.set.keep != 2 || len(r.set.old()) != 2 {
		t.Errorf("keep %d, %d old keys", r.set.keep, len(r.set.old()))
	}
}
