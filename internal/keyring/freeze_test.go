package keyring

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
)

// While another process reads the record, it stays what the keys in use are: whatever is due, and whoever asks.
func TestFrozenRingChangesNothing(t *testing.T) {
	w := newWorld(t, config.KeyRing{})
	w.mustStart()
	w.live(hour / 2)
	a := &Rings{names: []string{config.DefaultRing}, rings: map[string]*Ring{config.DefaultRing: w.ring}}
	if err := a.Freeze(w.Context()); err != nil {
		t.Fatal(err)
	}
	before, keys := read(t, w), w.ids()
	w.live(3 * hour)
	if err := w.rotate(); !errors.Is(err, ErrFrozen) {
		t.Errorf("a rotation: %v", err)
	}
	w.ring.finish()
	if after := read(t, w); after != before {
		t.Error("the record was written")
	}
	if got := w.ids(); !sameIDs(got, keys) {
		t.Errorf("keys %x were %x", got, keys)
	}
	a.Thaw()
	w.pass(lookEvery)
	if got := w.ids(); sameIDs(got, keys) {
		t.Error("the rotation that was due is not made up for")
	}
	if read(t, w) == before {
		t.Error("the record is not written any more")
	}
}

// What is not on disk yet is written first; if that fails, nobody may read the record and go on.
func TestFreezeWritesWhatIsOwed(t *testing.T) {
	w := newWorld(t, config.KeyRing{})
	w.mustStart()
	w.wall = w.wall.Add(5 * hour) // set: the ends follow
	w.full = errors.New("no space left on device")
	w.pass(lookEvery)
	if !w.ring.dirty {
		t.Fatal("nothing is owed: the test tests nothing")
	}
	a := &Rings{names: []string{config.DefaultRing}, rings: map[string]*Ring{config.DefaultRing: w.ring}}
	if err := a.Freeze(w.Context()); !errors.Is(err, w.full) {
		t.Fatalf("on a full disk: %v", err)
	}
	if w.ring.frozen {
		t.Error("frozen after an error")
	}
	w.full = nil
	if err := a.Freeze(w.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := w.record().set.next().mintFrom, w.ring.KeySet().next().mintFrom; !got.Equal(want) {
		t.Errorf("the record says %v, in use is %v", got, want)
	}
}

// So is the list of what was revoked, or a newer one would answer each of its cookies, and send all clients to key exchange at once.
func TestFreezeWritesWhatWasRevoked(t *testing.T) {
	w := newWorld(t, config.KeyRing{})
	w.mustStart()
	id := hexID(w.ring.KeySet().current().id)
	w.full = errors.New("no space left on device")
	if _, err := w.ring.Revoke(t.Context(), id, 1); !errors.Is(err, w.full) {
		t.Fatal(err)
	}
	a := &Rings{names: []string{config.DefaultRing}, rings: map[string]*Ring{config.DefaultRing: w.ring}}
	if err := a.Freeze(w.Context()); !errors.Is(err, w.full) || w.ring.frozen {
		t.Errorf("on a full disk: %v", err)
	}
	w.full = nil
	if err := a.Freeze(w.Context()); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(w.cfg.KeyRing.File + revokedSuffix); err != nil || !strings.Contains(string(b), id) {
		t.Errorf("the list says %s, %v", b, err)
	}
}

func read(t *testing.T, w *world) string {
	t.Helper()
	b, err := os.ReadFile(w.cfg.KeyRing.File)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func sameIDs(a, b []uint32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
