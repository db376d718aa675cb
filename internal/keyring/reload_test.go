package keyring

import (
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

func TestReload(t *testing.T) {
	w := newWorld(t, config.KeyRing{Keep: 3})
	w.mustStart()
	w.live(30 * time.Minute)
	ids := w.ids()
	changed := *w.cfg
	changed.KeyRing.RotateEvery, changed.KeyRing.Keep = config.Duration(2*hour), 5
	commit, err := w.ring.Prepare(&changed)
	if err != nil {
		t.Fatal(err)
	}
	w.pass(0)
	if s := w.ring.KeySet(); s.interval != hour || s.keep != 3 {
		t.Error("Prepare changed something")
	}
	commit()
	w.pass(0)
	if r := w.record(); r.set.interval != 2*hour || r.set.keep != 5 {
		t.Errorf("the record has %v, keep %d", r.set.interval, r.set.keep)
	}
	w.live(89 * time.Minute)
	w.wantSteps(ids, 0)
	w.live(time.Minute)
	w.wantSteps(ids, 1)
}

func TestReloadRefuses(t *testing.T) {
	for want, change := range map[string]func(k *config.KeyRing){
		"keyring.dialect: the keys in":             func(k *config.KeyRing) { k.Dialect, k.NeighbourFormat = "ntpsec", "ntpsec" },
		"keyring.file: restart ntptsd":             func(k *config.KeyRing) { k.File += "2" },
		"keyring.aead: restart ntptsd":             func(k *config.KeyRing) { k.AEAD, k.NeighbourFormat = 30, "nks1" },
		"keyring.neighbour-file: restart ntptsd":   func(k *config.KeyRing) { k.NeighbourFile += "2" },
		"change it from /":                         func(k *config.KeyRing) { k.NeighbourFile = "" },
		"keyring.neighbour-format: restart ntptsd": func(k *config.KeyRing) { k.NeighbourFormat = "nks1" },
		"keyring.keep: 3, but chronyd":             func(k *config.KeyRing) { k.Keep = 3 },
		"keyring.rotate-every: 1ns is less":        func(k *config.KeyRing) { k.RotateEvery = 1 },
		"keyring.owner: restart ntptsd":            func(k *config.KeyRing) { k.Owner = ownerNeighbour },
		"keyring.neighbour-socket: restart ntptsd": func(k *config.KeyRing) { k.NeighbourSocket = "/other" },
		"keyring.neighbour-server: restart ntptsd": func(k *config.KeyRing) { k.NeighbourServer = "192.0.2.1:123" },
	} {
		w := beside(t, config.KeyRing{Dialect: "chrony"}, "-")
		w.mustStart()
		changed := *w.cfg
		change(&changed.KeyRing)
		if commit, err := w.ring.Prepare(&changed); err == nil || commit != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	w := newWorld(t, config.KeyRing{Keep: 3})
	w.mustStart()
	w.live(4 * hour)
	changed := *w.cfg
	changed.KeyRing.Keep = 1
	if _, err := w.ring.Prepare(&changed); err == nil || !strings.Contains(err.Error(), "keyring.keep: 1 would end 2 keys") {
		t.Errorf("error %v", err)
	}
}

// A full disk does not undo a commit; the record follows when it can.
func TestReloadOnAFullDisk(t *testing.T) {
	w := newWorld(t, config.KeyRing{Keep: 3})
	w.mustStart()
	changed := *w.cfg
	changed.KeyRing.Keep = 5
	commit, err := w.ring.Prepare(&changed)
	if err != nil {
		t.Fatal(err)
	}
	w.full = errFull
	commit()
	w.pass(0)
	if w.ring.KeySet().keep != 5 || w.record().set.keep != 3 {
		t.Error("not committed")
	}
	w.full = nil
	w.pass(time.Minute)
	if w.record().set.keep != 5 {
		t.Error("not saved later")
	}
}
