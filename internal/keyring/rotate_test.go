package keyring

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

func TestFirstSet(t *testing.T) {
	for d, n := range map[cookie.Dialect]int{cookie.Native: 2, cookie.NTPsec: 2, cookie.Chrony: 4} {
		s := mustSet(t, d, 0)
		if len(s.keys) != n {
			t.Errorf("%v: %d keys, want %d", d, len(s.keys), n)
		}
		if err := s.check(); err != nil {
			t.Errorf("%v: %v", d, err)
		}
		wantTimes(t, s.current(), 0, 3*hour) // mints 1 h, kept for 2 more
		wantTimes(t, s.next(), hour, 4*hour)
		if s.due(epoch.Add(hour-1)) || !s.due(epoch.Add(hour)) {
			t.Errorf("%v: not due after exactly one interval", d)
		}
	}
}

// wantTimes checks a key's times as hours from epoch.
func wantTimes(t *testing.T, k *key, mintFrom, acceptUntil time.Duration) {
	t.Helper()
	if from, until := k.mintFrom.Sub(epoch), k.acceptUntil.Sub(epoch); from != mintFrom || until != acceptUntil {
		t.Errorf("mints from %v, accepted until %v; want %v, %v", from, until, mintFrom, acceptUntil)
	}
}

func TestStep(t *testing.T) {
	a := mustSet(t, cookie.Native, 0)
	b := mustStep(t, a, epoch.Add(90*time.Minute)) // half an hour late
	if len(b.keys) != 3 || b.keys[0].id != a.current().id || b.current().id != a.next().id {
		t.Fatal("a step moves each key one place and adds one")
	}
	wantTimes(t, &b.keys[0], 0, 210*time.Minute) // its last cookie is of 1:30
	wantTimes(t, b.current(), 90*time.Minute, 270*time.Minute)
	wantTimes(t, b.next(), 150*time.Minute, 330*time.Minute)
	wantTimes(t, a.current(), 0, 3*hour) // the set before is a value

	early := mustStep(t, a, epoch) // forced
	wantTimes(t, &early.keys[0], 0, 3*hour)
}

func TestStepDropsOnlyWhatHasEnded(t *testing.T) {
	s := mustSet(t, cookie.Native, 2) // old 1: until 3 h, old 2: until 4 h; the time is 2 h
	forced := mustStep(t, s, epoch.Add(2*hour))
	forced = mustStep(t, forced, epoch.Add(2*hour))
	if len(forced.old()) != 4 {
		t.Fatalf("%d old keys after forced steps, want 4: all are promised", len(forced.old()))
	}
	at3 := mustStep(t, s, epoch.Add(3*hour))
	if len(at3.old()) != 2 || at3.keys[0].id != s.keys[1].id {
		t.Errorf("%d old keys at 3 h", len(at3.old()))
	}
	if back := mustStep(t, forced, epoch.Add(20*hour)); len(back.old()) != 2 {
		t.Errorf("%d old keys after all have ended, want keep", len(back.old()))
	}
	few := mustStep(t, mustSet(t, cookie.Native, 1), epoch.Add(20*hour))
	if len(few.old()) != 2 {
		t.Errorf("%d old keys: keep are kept, ended or not", len(few.old()))
	}
}

func TestStepIsRefusedBeyondTheRoom(t *testing.T) {
	for _, d := range dialects {
		s := mustSet(t, d, 3)
		at := s.current().mintFrom
		var err error
		for range maxKeys(d) {
			fresh, ferr := s.freshKey(s.next().alg, at)
			if ferr != nil {
				t.Fatal(ferr)
			}
			var n *KeySet
			if n, err = s.step(at, fresh, true); err != nil {
				break
			}
			s = n
		}
		if !errors.Is(err, ErrPromised) || len(s.keys) != fileKeys(d) {
			t.Errorf("%v: %d keys, %v", d, len(s.keys), err)
		}
	}
}

func TestChronySlots(t *testing.T) {
	s := mustSet(t, cookie.Chrony, 0)
	for range 9 {
		s = mustStep(t, s, s.next().mintFrom)
		if err := s.check(); err != nil { // ids unique, slots in sequence, four keys
			t.Fatal(err)
		}
	}
}

func TestShift(t *testing.T) {
	a := mustSet(t, cookie.Native, 1)
	b := a.shift(-10 * hour)
	wantTimes(t, &b.keys[0], 0, -7*hour)
	wantTimes(t, b.current(), hour, -6*hour)
	wantTimes(t, b.next(), -8*hour, -5*hour)
	wantTimes(t, a.current(), hour, 4*hour)
}

func TestAdjust(t *testing.T) {
	a := mustSet(t, cookie.Native, 1)
	if a.adjust(policy{interval: hour, keep: 2}) != a {
		t.Error("nothing changed, but the set did")
	}
	b := a.adjust(policy{interval: 3 * hour, keep: 4})
	wantTimes(t, b.next(), 4*hour, 5*hour)
	wantTimes(t, b.current(), hour, 4*hour)
	c := mustStep(t, b, epoch.Add(4*hour))
	wantTimes(t, &c.keys[1], hour, 16*hour)
	wantTimes(t, &c.keys[0], 0, 3*hour)
	shorter := mustStep(t, c.adjust(policy{interval: time.Minute, keep: 4}), epoch.Add(5*hour))
	wantTimes(t, &shorter.keys[2], 4*hour, 19*hour) // announced under the longer interval
}

func TestPublish(t *testing.T) {
	s := mustSet(t, cookie.NTPsec, 1).unpublish()
	if s.due(epoch.Add(100 * hour)) {
		t.Error("due before it is published")
	}
	s = s.publish(epoch.Add(10 * hour))
	if s.due(epoch.Add(11*hour-1)) || !s.due(epoch.Add(11*hour)) {
		t.Error("not due one interval after it was published")
	}
	if s = s.publish(epoch); s.due(epoch.Add(11*hour - 1)) {
		t.Error("publishing again made it due earlier")
	}
}

func TestAEADOfNewKeys(t *testing.T) {
	for _, tt := range []struct {
		d        cookie.Dialect
		was, new aead.ID
		ok       bool
	}{
		{cookie.Chrony, 15, 30, true},
		{cookie.Chrony, 30, 15, false}, // chronyd falls silent when cookies grow
		{cookie.Chrony, 30, 30, true},
		{cookie.NTPsec, 15, 17, false}, // one length a file
		{cookie.NTPsec, 17, 17, true},
		{cookie.Native, 15, 15, true},
	} {
		s, err := newKeySet(policy{dialect: tt.d, alg: tt.was, interval: hour, keep: 2}, epoch)
		if err != nil {
			t.Fatal(err)
		}
		p := policy{dialect: tt.d, alg: tt.new, interval: hour, keep: 2}
		if err := p.admits(s, epoch); (err == nil) != tt.ok {
			t.Errorf("%v, %v to %v: %v", tt.d, tt.was, tt.new, err)
		}
	}
}

// After a long interval became a short one the younger keys end first: they go, though older ones stay.
func TestKeysThatEndBeforeOlderOnesAreDropped(t *testing.T) {
	w := newWorld(t, config.KeyRing{Keep: 7, RotateEvery: config.Duration(24 * hour)})
	w.mustStart()
	w.live(10 * 24 * hour)
	c := mint(t, w.ring.KeySet())
	w.cfg.KeyRing.RotateEvery = config.Duration(hour)
	w.mustStart()
	for i := range 7 * 24 {
		ids := w.ids()
		w.live(hour)
		w.wantSteps(ids, 1)
		if n := len(w.ring.KeySet().old()); n > 8+7 { // of long intervals and of short ones
			t.Fatalf("%d old keys after %d short intervals", n, i+1)
		}
		if err := opens(w.ring.KeySet(), c); err != nil {
			t.Fatalf("after %d hours: %v", i+1, err)
		}
	}
	if n := w.logged("cannot rotate"); n > 0 {
		t.Errorf("logged %d times", n)
	}
	chrony := mustSet(t, cookie.Chrony, 3)
	chrony.keys[0].acceptUntil = epoch.Add(100 * hour)
	if _, err := chrony.step(epoch.Add(99*hour), chrony.keys[3], true); !errors.Is(err, ErrPromised) {
		t.Errorf("chrony's lines are out of sequence: %v", err)
	}
}

// The neighbour's file may then hold a key between ours that the record has dropped: it is ours nevertheless.
func TestCrashAfterAYoungerKeyWasDropped(t *testing.T) {
	w := beside(t, config.KeyRing{Dialect: "ntpsec", Keep: 2, RotateEvery: config.Duration(24 * hour)}, "-")
	w.mustStart()
	w.live(2 * 24 * hour)
	w.cfg.KeyRing.RotateEvery = config.Duration(hour)
	w.mustStart()
	w.live(5*hour - time.Minute)
	before := w.ring.KeySet()
	w.ring.replace = func(string, []byte, fs.FileMode) error { return errFull }
	w.live(time.Minute)
	if after := w.ring.KeySet(); after.find(before.keys[0]) == nil || after.current().id != before.next().id || len(after.keys) > len(before.keys) {
		t.Fatalf("no key between older and younger ones was dropped: %v, %v", before.keys, after.keys)
	}
	w.mustStart()
	w.wantNeighbour()
}
