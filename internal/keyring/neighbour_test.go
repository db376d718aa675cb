package keyring

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// beside is a world with a neighbour's file of that text; "-" for none.
func beside(t testing.TB, k config.KeyRing, text string) *world {
	t.Helper()
	k.NeighbourFile = filepath.Join(t.TempDir(), "neighbour")
	if text != "-" {
		if err := os.WriteFile(k.NeighbourFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return newWorld(t, k)
}

func (w *world) neighbourText() string {
	b, err := os.ReadFile(w.cfg.KeyRing.NeighbourFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.Fatal(err)
	}
	return string(b)
}

// wantNeighbour checks that the file holds the set, and mints with what the set mints with.
func (w *world) wantNeighbour() {
	w.Helper()
	s := w.ring.KeySet()
	h, err := parseFormat(s.dialect, []byte(w.neighbourText()))
	if err != nil {
		w.Fatal(err)
	}
	if len(h.keys) != len(s.keys) || !s.wrote(h) {
		w.Errorf("the neighbour has %v, the ring %v", h.keys, s.keys)
	}
	if mints := h.keys[h.primary]; mints.id != s.current().id {
		w.Errorf("the neighbour mints with %08x, the ring with %08x", mints.id, s.current().id)
	}
}

var neighbours = []config.KeyRing{
	{Dialect: "chrony"},
	{Dialect: "chrony", NeighbourFormat: "nks1", AEAD: 30},
	{Dialect: "ntpsec", Keep: 3},
	{Dialect: "ntpsec", Keep: 3, AEAD: 17},
}

func TestNeighbourFollowsTheRecord(t *testing.T) {
	for _, k := range neighbours {
		w := beside(t, k, "-")
		w.mustStart()
		w.wantNeighbour()
		for range 6 {
			ids := w.ids()
			w.live(hour)
			w.wantSteps(ids, 1)
			w.wantNeighbour()
		}
		if w.mustStart(); w.log.Len() == 0 || w.logged("level=ERROR") > 0 {
			t.Errorf("log: %s", w.log)
		}
		w.wantNeighbour()
	}
}

// Nobody else can read a file that we had to make; one that was made beforehand says who may.
func TestANewNeighbourFileIsWarnedOf(t *testing.T) {
	for text, want := range map[string]int{"-": 1, "": 0} {
		w := beside(t, config.KeyRing{Dialect: "chrony"}, text)
		w.mustStart()
		w.live(3 * hour)
		if n := w.logged("let the neighbour read it"); n != want {
			t.Errorf("file %q beforehand: warned %d times, want %d", text, n, want)
		}
	}
}

// A crash between the record and the neighbour's file leaves a file that is one step behind: it is ours, it is brought
// up, and the next key waits until it has been there for a whole interval.
func TestCrashBeforeTheNeighbourIsWritten(t *testing.T) {
	for _, k := range neighbours {
		w := beside(t, k, "-")
		w.mustStart()
		w.live(2 * hour)
		ids := w.ids()
		w.ring.replace = func(string, []byte, fs.FileMode) error { return errors.New("crash") }
		w.live(hour)
		ids = w.wantSteps(ids, 1)
		w.pass(30 * time.Minute)
		w.mustStart()
		w.wantNeighbour()
		w.live(hour - time.Minute)
		w.wantSteps(ids, 0)
		w.live(time.Minute)
		w.wantSteps(ids, 1)
	}
}

func TestNothingRotatesWhileTheNeighbourIsBehind(t *testing.T) {
	w := beside(t, config.KeyRing{Dialect: "chrony"}, "-")
	w.mustStart()
	w.live(59 * time.Minute)
	w.ring.replace = func(string, []byte, fs.FileMode) error { return syscall.ENOSPC }
	ids := w.ids()
	w.live(time.Minute)
	ids = w.wantSteps(ids, 1) // this one the neighbour has long known
	w.live(5 * hour)
	w.wantSteps(ids, 0)
	if n := w.logged("the neighbour's key file cannot be written"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	w.ring.replace = w.write
	w.live(time.Minute)
	w.wantNeighbour()
	w.live(hour - time.Minute)
	w.wantSteps(ids, 0)
	w.live(time.Minute)
	w.wantSteps(ids, 1)
}

func TestForeignNeighbourFileIsLeftAlone(t *testing.T) {
	for _, k := range neighbours {
		w := beside(t, k, "-")
		w.mustStart()
		other := beside(t, k, "-")
		other.mustStart()
		before := other.neighbourText()
		if err := os.WriteFile(w.cfg.KeyRing.NeighbourFile, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		ids := w.ids()
		for _, logged := range []int{1, 2} {
			w.live(3 * hour)
			w.wantSteps(ids, 0) // who knows what its reader has by now?
			if w.neighbourText() != before || w.logged("keys that are not in the record") != logged {
				t.Errorf("overwritten, or not said: %s", w.log)
			}
			wantMetric(t, w.ring, "ntptsd_keyring_neighbour_failing", 1)
			w.mustStart()
		}
		w.cfg.KeyRing.Owner = ownerNeighbour // as the error advises
		w.mustStart()
		w.cfg.KeyRing.Owner = ownerNtptsd
		w.mustStart()
		for _, k := range other.ring.KeySet().keys {
			if w.ring.KeySet().find(k) == nil {
				t.Errorf("%v is lost", k)
			}
		}
		if v := w.ring.View(); strings.Contains(v.Problem, "not in the record") {
			t.Error(v.Problem)
		}
	}
}

// chronyd without "ntsrotate 0" goes on rotating our keys by itself.
func TestNeighbourThatRotatesIsNoticed(t *testing.T) {
	w := beside(t, config.KeyRing{Dialect: "chrony"}, "-")
	w.mustStart()
	h, err := parseNKS(w.neighbourText())
	if err != nil {
		t.Fatal(err)
	}
	keys := h.keys
	fresh := keys[0]
	fresh.secret = newSecret(15)
	text := string(appendFormat(nil, nks0, append(keys[1:], fresh)))
	if err := os.WriteFile(w.cfg.KeyRing.NeighbourFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.mustStart()
		if v := w.ring.View(); !strings.Contains(v.Problem, errNotOurs.Error()) || !strings.Contains(v.Problem, "ntsrotate 0") {
			t.Errorf("it is said: %s", v.Problem)
		}
	}
}

func TestNeighbourFileModes(t *testing.T) {
	for mode, ok := range map[fs.FileMode]bool{0o600: true, 0o640: true, 0o644: false, 0o660: false} {
		w := beside(t, config.KeyRing{Dialect: "chrony"}, "") // empty: made to say who may read
		path := w.cfg.KeyRing.NeighbourFile
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := w.start(); (err == nil) != ok { // a first start, which must know what to adopt
			t.Errorf("mode %o: %v", mode, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("mode %o is now %v", mode, info.Mode())
		}
	}
}

func TestAdoptedKeysLiveOn(t *testing.T) {
	text := loadVectors(t).Files["chrony_NKS0"]
	w := beside(t, config.KeyRing{Dialect: "chrony", RotateEvery: config.Duration(7 * 24 * hour)}, text)
	w.mustStart()
	if w.neighbourText() != text {
		t.Error("the file of the neighbour changed, though its keys did not")
	}
	adopted := w.ring.KeySet()
	cookies := make([][]byte, 4)
	for i := range cookies {
		cookies[i] = mint(t, &KeySet{dialect: cookie.Chrony, keys: []key{adopted.keys[i], adopted.keys[i]}})
	}
	w.live(7*24*hour - time.Minute)
	for i, c := range cookies {
		if err := opens(w.ring.KeySet(), c); err != nil {
			t.Errorf("line %d, after almost a week: %v", i+1, err)
		}
	}
	w.live(time.Minute)
	for i, c := range cookies {
		if err := opens(w.ring.KeySet(), c); (err == nil) != (i > 0) {
			t.Errorf("line %d, after a week: %v", i+1, err)
		}
	}
}

// NTPsec keeps a key for nine days after its last cookie; our own intervals are shorter.
func TestAdoptedCurrentKeyLivesOn(t *testing.T) {
	text := "T: 1700000000\nL: 32\nI: 12345\nK: " + strings.Repeat("ab", 32) + "\n"
	w := beside(t, config.KeyRing{Dialect: "ntpsec"}, text)
	w.mustStart()
	c := mint(t, w.ring.KeySet())
	w.live(9*24*hour - time.Minute)
	if err := opens(w.ring.KeySet(), c); err != nil {
		t.Error(err)
	}
	w.live(time.Minute)
	if err := opens(w.ring.KeySet(), c); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("after its end: %v", err)
	}
}

func TestNeighbourSettings(t *testing.T) {
	for want, k := range map[string]config.KeyRing{
		"no neighbour reads keys":      {Dialect: "native"},
		"set nks1":                     {Dialect: "chrony", AEAD: 30},
		`"nks0" is no format`:          {Dialect: "ntpsec", NeighbourFormat: "nks0"},
		`"ntpsec" is no format`:        {Dialect: "chrony", NeighbourFormat: "ntpsec"},
		"keyring.owner":                {Dialect: "chrony", Owner: "somebody"},
		"ntpd-rs rewrites its file":    {Dialect: "ntpdrs"},
		"exactly 2":                    {Dialect: "chrony", Keep: 3},
		"between 1 and 8":              {Dialect: "ntpsec", Keep: 9},
		"has no keys of AES-SIV-CMAC-": {Dialect: "chrony", AEAD: 17, NeighbourFormat: "nks1"},
		"less than 1s":                 {Dialect: "chrony", RotateEvery: 1},
		"none of native":               {Dialect: "other"},
	} {
		if err := beside(t, k, "-").start(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestAdoptionNeedsAFittingAEAD(t *testing.T) {
	w := beside(t, config.KeyRing{Dialect: "chrony", NeighbourFormat: "nks1"}, loadVectors(t).Files["chrony_NKS1_alg30"])
	if err := w.start(); err == nil || !strings.Contains(err.Error(), "cannot be adopted: keyring.aead") {
		t.Errorf("error %v", err)
	}
}
