package keyring

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

// file is the set of what the neighbour would open cookies with if it started now; nil if there is no file.
func (w *world) file() *KeySet {
	w.Helper()
	text := w.neighbourText()
	if text == "" {
		return nil
	}
	d := w.ring.KeySet().dialect
	h, err := parseFormat(d, []byte(text))
	if err != nil {
		w.Fatal(err)
	}
	s, err := h.set(policy{dialect: d}, nil, epoch)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// wantPromised checks that the neighbour's file has every key whose end is announced and still to come, but for the next.
func (w *world) wantPromised() {
	w.Helper()
	s, file := w.ring.KeySet(), w.file()
	for i := range s.keys[:len(s.keys)-1] {
		if k := s.keys[i]; file.find(k) == nil && k.acceptUntil.After(w.wall) {
			w.Fatalf("%v is promised until %v, and not in the file at %v", k, k.acceptUntil, w.wall)
		}
	}
}

// ntpd reads ten keys. A promised one that would be the eleventh keeps the others from rotating.
func TestPromisedKeysStayInNTPsecsFile(t *testing.T) {
	w, n := proving(t, config.KeyRing{Dialect: "ntpsec", Keep: 7, RotateEvery: config.Duration(24 * hour)})
	w.mustStart()
	everyday := func(step time.Duration, times int) {
		for range times {
			n.start()
			w.live(step)
			w.wantPromised()
		}
	}
	everyday(2*hour, 12*9)
	if got := len(w.ring.KeySet().keys); got != 9 {
		t.Fatalf("%d keys", got)
	}
	w.cfg.KeyRing.RotateEvery = config.Duration(hour)
	w.mustStart()
	for n := 0; n < 10 && !strings.Contains(w.ring.View().Problem, ErrPromised.Error()); n++ {
		everyday(hour, 1)
	}
	if got := len(w.ring.KeySet().keys); got != 10 {
		t.Errorf("%d keys: %s", got, w.ring.View().Problem)
	}
	if err := w.rotate(); !errors.Is(err, ErrPromised) {
		t.Errorf("forced: %v", err)
	}
	wantMetric(t, w.ring, "ntptsd_keyring_promises_held", 1)
	wantMetric(t, w.ring, "ntptsd_keyring_next_rotation_timestamp_seconds", 0)
	ids := w.ids()
	everyday(3*hour, 8*9)
	if w.current() == ids[0] {
		t.Error("nothing rotates any more")
	}
}

// fullNTPsec is a file that NTPsec has rotated for ten days.
func fullNTPsec(t testing.TB) *owner {
	o := newOwner(t, "ntpsec", "")
	for range ntpsecFileKeys {
		o.add()
	}
	return o
}

// A full file is adopted whole. Our next key waits outside it until the oldest key's end has come.
func TestAdoptFullNTPsecFile(t *testing.T) {
	o := fullNTPsec(t)
	w := beside(t, config.KeyRing{Dialect: "ntpsec", RotateEvery: config.Duration(24 * hour)}, string(o.text()))
	w.mustStart()
	next := w.ring.KeySet().next().id
	if s := w.ring.KeySet(); len(s.keys) != 11 || s.current().id != o.h.keys[9].id {
		t.Fatalf("%d keys, current %08x", len(s.keys), s.current().id)
	}
	for range 2 { // a restart changes nothing
		w.live(12*hour - time.Minute)
		h, err := parseNTPsec(w.neighbourText())
		if err != nil || !h.stopped || len(h.keys) != 10 || h.keys[0].id != o.h.keys[0].id || h.keys[9].id != o.h.keys[9].id {
			t.Fatalf("the file has not the keys that it had: %v", err)
		}
		if v := w.ring.View(); !strings.Contains(v.Problem, ErrPromised.Error()) || v.NextRotation != nil {
			t.Errorf("it is said: %+v", v)
		}
		if w.record().set.published {
			t.Error("the record says that the next key is known")
		}
		if err := w.rotate(); !errors.Is(err, ErrPromised) {
			t.Errorf("forced: %v", err)
		}
		w.mustStart()
	}
	w.live(2 * time.Minute)
	w.wantNeighbour()
	if h, err := parseNTPsec(w.neighbourText()); err != nil || len(h.keys) != 10 || h.keys[8].id != next {
		t.Fatalf("%d keys: %v", len(h.keys), err)
	}
	w.live(24*hour - 2*time.Minute)
	ids := w.ids()
	w.live(2 * time.Minute)
	w.wantSteps(ids, 1)
	for range 12 {
		ids := w.ids()
		w.live(24 * hour)
		w.wantSteps(ids, 1)
		w.wantPromised()
	}
	w.wantNeighbour()
}

// The next key is not proved before it is in the file.
func TestAFullFileIsProvedByItsNewestKey(t *testing.T) {
	w, n := proving(t, config.KeyRing{Dialect: "ntpsec"})
	if err := os.WriteFile(w.cfg.KeyRing.NeighbourFile, fullNTPsec(t).text(), 0o600); err != nil {
		t.Fatal(err)
	}
	n.knows = nil
	w.mustStart()
	n.start()
	w.live(2 * hour)
	if v := w.ring.View(); !strings.HasPrefix(v.Problem, "the cookie keys cannot rotate yet") || strings.Contains(v.Problem, "restart") {
		t.Errorf("problem: %s", v.Problem)
	}
	w.live(22 * hour)
	if v := w.ring.View(); !strings.HasPrefix(v.Problem, "restart ntpd when you can") {
		t.Errorf("problem: %s", v.Problem)
	}
	ids := w.ids()
	w.live(10 * hour)
	w.wantSteps(ids, 0)
	n.start()
	w.live(hour)
	w.wantSteps(ids, 0)
	w.live(13 * hour) // until the second oldest has ended, too
	w.wantSteps(ids, 1)
}

// Until it is restarted NTPsec goes on to rotate from memory, and writes its file over ours. Its new keys are taken in.
func TestNTPsecThatRotatesOn(t *testing.T) {
	for _, restart := range []bool{false, true} {
		o := newOwner(t, "ntpsec", "")
		w := beside(t, config.KeyRing{Dialect: "ntpsec"}, string(o.text()))
		o.path = w.cfg.KeyRing.NeighbourFile
		w.mustStart()
		w.live(30 * time.Minute)
		ids, c := w.ids(), mint(t, w.ring.KeySet())
		for range 2 { // days
			o.add()
			o.rename(o.text())
			if restart {
				w.mustStart()
			}
			w.live(time.Minute)
			w.wantPromised()
			w.wantNeighbour()
			for _, k := range o.h.keys {
				if w.ring.KeySet().find(k) == nil || w.record().set.find(k) == nil {
					t.Fatalf("%v is lost", k)
				}
			}
			if v := w.ring.View(); v.Problem != "" || !strings.HasPrefix(w.neighbourText(), "T: 0\n") {
				t.Errorf("problem: %s\n%s", v.Problem, w.neighbourText())
			}
			w.wantSteps(ids, 0)
		}
		newest := w.ring.KeySet().find(o.h.keys[2])
		if end := newest.acceptUntil.Sub(w.wall); end < 239*hour {
			t.Errorf("NTPsec's own key, which mints for a day and lives for nine more, ends in %v", end)
		}
		w.live(hour)
		w.wantSteps(ids, 1)
		if err := opens(w.ring.KeySet(), c); err != nil {
			t.Error(err)
		}
	}
}

// There is an end to what can be taken in: then the file is left alone, and it is said what to do.
func TestNTPsecThatRotatesOnForDays(t *testing.T) {
	o := newOwner(t, "ntpsec", "")
	w := beside(t, config.KeyRing{Dialect: "ntpsec"}, string(o.text()))
	o.path, w.synchronised = w.cfg.KeyRing.NeighbourFile, false // so that no end comes
	w.mustStart()
	for n := range 10 {
		o.add()
		o.rename(o.text())
		w.live(time.Minute)
		if v, alone := w.ring.View(), w.neighbourText() == string(o.text()); alone != (n == 9) || strings.Contains(v.Problem, "stop ntpd") != (n == 9) {
			t.Errorf("its key %d, left alone: %v, problem: %s", n, alone, v.Problem)
		}
	}
}

// A wrong key file of NTPsec names what to do with ntpd, not chronyd.
func TestForeignKeysOfNTPsec(t *testing.T) {
	w := beside(t, config.KeyRing{Dialect: "ntpsec"}, "-")
	w.mustStart()
	o := newOwner(t, "ntpsec", w.cfg.KeyRing.NeighbourFile)
	o.rename(o.text())
	w.live(time.Minute)
	if v := w.ring.View(); !strings.Contains(v.Problem, "stop ntpd") || strings.Contains(v.Problem, "chron") || !strings.Contains(v.Problem, `owner = "neighbour"`) {
		t.Errorf("problem: %s", v.Problem)
	}
}

// T: 0 in a file that is NTPsec's to rotate is a metric, too.
func TestNobodyRotates(t *testing.T) {
	w, o := following(t, "ntpsec")
	o.rename(o.text())
	w.mustStart()
	wantMetric(t, w.ring, "ntptsd_keyring_neighbour_rotation_off", 0)
	o.rename([]byte(strings.Replace(string(o.text()), "T: 1790000000", "T: 0", 1)))
	w.polls()
	w.live(time.Minute)
	wantMetric(t, w.ring, "ntptsd_keyring_neighbour_rotation_off", 1)
	wantMetric(t, w.ring, "ntptsd_keyring_next_rotation_timestamp_seconds", 0)
}
