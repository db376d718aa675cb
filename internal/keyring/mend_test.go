package keyring

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

// A neighbour that starts anew without its file has other keys: within a minute the file is there again, it has read it and
// proved so, and nobody had to do anything.
func TestALostFileComesBack(t *testing.T) {
	for name, lose := range map[string]func(path string) error{
		"gone":  os.Remove,
		"empty": func(path string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		for _, synchronised := range []bool{true, false} {
			w, n := proving(t, config.KeyRing{Dialect: "chrony"})
			w.mustStart()
			w.live(2*hour + 10*time.Minute)
			ids := w.ids()
			w.synchronised = synchronised
			if err := lose(w.cfg.KeyRing.NeighbourFile); err != nil {
				t.Fatal(err)
			}
			n.knows = nil
			w.live(time.Minute)
			w.wantNeighbour()
			if len(n.knows) != 4 || w.ring.View().Problem != "" && synchronised {
				t.Errorf("%s: it knows %d keys: %s", name, len(n.knows), w.ring.View().Problem)
			}
			if !synchronised {
				w.synchronised = true
				w.live(time.Minute)
			}
			w.live(59 * time.Minute) // who has read the file of before may have a copy to come
			w.wantSteps(ids, 0)
			w.live(time.Minute)
			w.wantSteps(ids, 1)
		}
	}
}

// A file of ours that is old is written anew, too.
func TestAnOldFileIsReplaced(t *testing.T) {
	for _, k := range neighbours {
		w := beside(t, k, "-")
		w.mustStart()
		w.live(hour)
		old := w.neighbourText()
		w.live(2 * hour)
		if err := os.WriteFile(w.cfg.KeyRing.NeighbourFile, []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
		w.live(time.Minute)
		w.wantNeighbour()
	}
}

// The record knows that the next key has to wait before the file is new, whenever that is.
func TestALostFileIsNotForgotten(t *testing.T) {
	w := beside(t, config.KeyRing{Dialect: "chrony"}, "-")
	w.mustStart()
	w.live(59 * time.Minute)
	ids := w.ids()
	if err := os.Remove(w.cfg.KeyRing.NeighbourFile); err != nil {
		t.Fatal(err)
	}
	w.ring.replace = func(path string, data []byte, mode fs.FileMode) error {
		if w.record().set.published {
			t.Error("the file is new, and the record says that its keys are known")
		}
		return w.write(path, data, mode)
	}
	w.live(30 * time.Second)
	w.mustStart()
	w.live(59 * time.Minute)
	w.wantSteps(ids, 0)
	w.live(time.Minute)
	w.wantSteps(ids, 1)
}

// A neighbour that has lost our keys, its file being as it should, is told within a minute to read it; where that does not
// help it is said that our cookies are refused.
func TestANeighbourThatForgets(t *testing.T) {
	w, n := proving(t, config.KeyRing{Dialect: "chrony"})
	w.mustStart()
	w.live(30 * time.Minute)
	told := n.told
	n.knows = nil
	w.live(time.Minute)
	if len(n.knows) != 4 || n.told != told+1 || w.ring.View().Problem != "" {
		t.Errorf("it knows %d keys, was told %d times: %s", len(n.knows), n.told-told, w.ring.View().Problem)
	}
	ids := w.ids()
	n.knows, n.stuck = nil, true
	w.live(2 * hour)
	w.wantSteps(ids, 0)
	wantMetric(t, w.ring, "ntptsd_keyring_cookies_refused", 1)
	wantMetric(t, w.ring, "ntptsd_keyring_unproved", 1)
	if v := w.ring.View(); !strings.HasPrefix(v.Problem, refused+": "+errNAK.Error()) || v.NextRotation != nil {
		t.Errorf("it is said: %+v", v)
	}
	n.stuck = false
	w.live(time.Minute)
	w.wantSteps(ids, 1) // its time had come
	wantMetric(t, w.ring, "ntptsd_keyring_cookies_refused", 0)
	wantMetric(t, w.ring, "ntptsd_keyring_unproved", 0)
	if w.logged("level=WARN msg=\""+refused) != 1 || w.logged("over: "+refused) != 1 {
		t.Errorf("log: %s", w.log)
	}
}

// What was wrong becomes something worse: that is said anew, with what to do.
func TestNTPsecThatForgets(t *testing.T) {
	w, n := proving(t, config.KeyRing{Dialect: "ntpsec"})
	w.mustStart()
	n.start()
	w.live(hour + time.Minute)
	if v := w.ring.View(); !strings.HasPrefix(v.Problem, unrestarted) {
		t.Errorf("it is said: %s", v.Problem)
	}
	n.knows = nil // ntpd was started with another file
	w.live(time.Minute)
	if v := w.ring.View(); !strings.HasPrefix(v.Problem, refused) || !strings.Contains(v.Problem, "restart ntpd") {
		t.Errorf("it is said: %s", v.Problem)
	}
	n.start()
	w.live(time.Minute)
	if v := w.ring.View(); v.Problem != "" {
		t.Errorf("it is said: %s", v.Problem)
	}
	if began, ended := w.logged("level=WARN msg=\""+refused), w.logged("over: "+refused); began != 2 || ended != 2 { // before ntpd's first start, too
		t.Errorf("logged %d and %d times: %s", began, ended, w.log)
	}
}

// Whoever cannot be told has to be waited for, and there is a reason for each refusal.
func TestForcedRotationBesideSeveralReaders(t *testing.T) {
	w, n := proving(t, config.KeyRing{Dialect: "chrony", NeighbourSocket: config.None})
	w.mustStart()
	n.start()
	w.live(time.Minute)
	ids := w.ids()
	if err := w.rotate(); !errors.Is(err, ErrUnpublished) || !strings.Contains(err.Error(), "for 1h0m0s, until 2026-11-23T11:01:00Z") {
		t.Errorf("proved by one of them: %v", err)
	}
	w.wantSteps(ids, 0)
	w.live(hour)
	w.wantSteps(ids, 1)
	if err := w.rotate(); !errors.Is(err, ErrUnpublished) || !strings.HasSuffix(err.Error(), unasked+": "+errWaits.Error()) {
		t.Errorf("nobody asked yet: %v", err)
	}
	if v := w.ring.View(); !strings.Contains(v.Problem, errWaits.Error()) {
		t.Errorf("problem %q", v.Problem)
	}
	n.start()
	w.live(time.Minute)
	if v := w.ring.View(); v.Problem != "" || w.logged("level=WARN") != 2 { // its file was made; it was asked before it had it
		t.Errorf("problem %q: %s", v.Problem, w.log)
	}
}

// Keys that nobody reads would keep us from adopting those of the right file.
func TestAFirstStartWithAMistypedFolder(t *testing.T) {
	text := loadVectors(t).Files["chrony_NKS0"]
	w := beside(t, config.KeyRing{Dialect: "chrony"}, text)
	right := w.cfg.KeyRing.NeighbourFile
	w.cfg.KeyRing.File = filepath.Join(t.TempDir(), "state", "keys")
	for _, wrong := range []string{filepath.Join(filepath.Dir(right), "misspelt", "file"), filepath.Join(right, "file")} {
		w.cfg.KeyRing.NeighbourFile = wrong
		if err := w.start(); err == nil || !strings.Contains(err.Error(), "keyring.neighbour-file") || !strings.Contains(err.Error(), wrong[:len(wrong)-5]) {
			t.Errorf("error %v", err)
		}
		if _, err := os.Stat(filepath.Dir(w.cfg.KeyRing.File)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("something was made: %v", err)
		}
	}
	w.cfg.KeyRing.NeighbourFile = right
	w.mustStart()
	if w.current() != vectorMints["chrony_NKS0"] || w.neighbourText() != text {
		t.Error("not adopted")
	}
}
