package keyring

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/prometheus/client_golang/prometheus"
)

// several is a configuration of three rings.
func several(w *world) *config.Config {
	cfg := *w.cfg
	cfg.Rings = map[string]config.KeyRing{}
	for name, dialect := range map[string]string{"west": "chrony", "east": "ntpsec"} {
		k := filled(config.KeyRing{Dialect: dialect})
		k.File = filepath.Join(cfg.StateDirectory, "keys-"+name)
		cfg.Rings[name] = k
	}
	return &cfg
}

func openAll(t *testing.T, w *world, cfg *config.Config) *Rings {
	t.Helper()
	all, err := OpenAll(cfg, w, nil, slog.New(slog.NewTextHandler(w.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSeveralRings(t *testing.T) {
	w := newWorld(t, config.KeyRing{})
	cfg := several(w)
	all := openAll(t, w, cfg)
	var names []string
	for _, v := range all.View() {
		names = append(names, v.Name+" "+v.Dialect)
	}
	if got := strings.Join(names, ", "); got != "default native, east ntpsec, west chrony" {
		t.Errorf("rings %s", got)
	}
	for name, d := range map[string]cookie.Dialect{"default": cookie.Native, "east": cookie.NTPsec, "west": cookie.Chrony} {
		if s := all.KeySet(name); s.dialect != d || s != all.rings[name].KeySet() {
			t.Errorf("%s: %v", name, s)
		}
	}
	if all.rings["north"] != nil || all.KeySet("north") != nil {
		t.Error("there is no such ring")
	}
	if err := all.Rotate(t.Context(), "north"); !errors.Is(err, ErrUnknownRing) || !strings.Contains(err.Error(), "default, east, west") {
		t.Errorf("error %v", err)
	}
	before := [2]uint32{all.KeySet("east").current().id, all.KeySet("west").current().id}
	if err := all.Rotate(t.Context(), "west"); err != nil {
		t.Fatal(err)
	}
	if all.KeySet("east").current().id != before[0] || all.KeySet("west").current().id == before[1] {
		t.Error("not that ring, or another one too")
	}
}

func TestSeveralRingsRun(t *testing.T) {
	w := newWorld(t, config.KeyRing{})
	cfg := several(w)
	synctest.Test(t, func(t *testing.T) {
		all := openAll(t, w, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- all.Run(ctx) }()
		next := map[string]uint32{}
		for _, name := range all.names {
			next[name] = all.KeySet(name).next().id
		}
		time.Sleep(hour)
		synctest.Wait()
		for name, id := range next {
			if all.KeySet(name).current().id != id {
				t.Errorf("%s has not rotated", name)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestEveryRingHasItsMetrics(t *testing.T) {
	w := newWorld(t, config.KeyRing{})
	all := openAll(t, w, several(w))
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(all); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		rings := map[string]bool{}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "ring" {
					rings[l.GetValue()] = true
				}
			}
		}
		if len(rings) != 3 {
			t.Errorf("%s is told of %v", f.GetName(), rings)
		}
	}
	if len(families) < 10 {
		t.Errorf("%d metrics", len(families))
	}
}

func TestReloadOfSeveralRings(t *testing.T) {
	w := newWorld(t, config.KeyRing{})
	cfg := several(w)
	all := openAll(t, w, cfg)
	for want, change := range map[string]func(rings map[string]config.KeyRing){
		"rings.north: restart ntptsd to add this ring":   func(r map[string]config.KeyRing) { r["north"] = r["east"] },
		"rings.west: restart ntptsd to remove this ring": func(r map[string]config.KeyRing) { delete(r, "west") },
		"rings.west.file: restart ntptsd to change it": func(r map[string]config.KeyRing) {
			k := r["west"]
			k.File += "2"
			r["west"] = k
		},
		"rings.east.keep: 99 is not between": func(r map[string]config.KeyRing) {
			k := r["east"]
			k.Keep = 99
			r["east"] = k
		},
	} {
		changed := *cfg
		changed.Rings = maps.Clone(cfg.Rings)
		change(changed.Rings)
		if commit, err := all.Prepare(&changed); err == nil || commit != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	changed := *several(w)
	k := changed.Rings["east"]
	k.RotateEvery = config.Duration(2 * hour)
	changed.Rings["east"] = k
	commit, err := all.Prepare(&changed)
	if err != nil {
		t.Fatal(err)
	}
	commit()
	if got := all.View()[1].RotateEverySeconds; got != 7200 {
		t.Errorf("east rotates every %v s", got)
	}
}

// All that is wrong is said at once, under the name of its ring.
func TestRingsThatDoNotOpen(t *testing.T) {
	w := newWorld(t, config.KeyRing{Keep: 1000})
	cfg := several(w)
	k := cfg.Rings["west"]
	k.Keep = 3
	cfg.Rings["west"] = k
	_, err := OpenAll(cfg, w, nil, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "keyring.keep: 1000") || !strings.Contains(err.Error(), "rings.west.keep: 3") {
		t.Errorf("error %v", err)
	}
}
