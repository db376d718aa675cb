package keyring

import (
	"context"
	"log/slog"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/prometheus/client_golang/prometheus"
)

const errFull = syscall.ENOSPC

// running opens a real ring on a real disk and runs it, with the clocks of the bubble.
func running(t *testing.T, cfg *config.Config, w *world) (r *Ring, stop func()) {
	t.Helper()
	all, err := OpenAll(cfg, w, func(*config.KeyRing) Neighbour { return w.reader }, slog.New(slog.NewTextHandler(w.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- all.Run(ctx) }()
	synctest.Wait()
	return all.rings[config.DefaultRing], func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestRun(t *testing.T) {
	for _, every := range []time.Duration{time.Second, 24 * time.Hour} {
		w := newWorld(t, config.KeyRing{Keep: 2, RotateEvery: config.Duration(every)})
		synctest.Test(t, func(t *testing.T) {
			r, stop := running(t, w.cfg, w)
			ids := []uint32{r.KeySet().current().id, r.KeySet().next().id}
			c := mint(t, r.KeySet())
			for i := range 4 {
				time.Sleep(every - time.Millisecond)
				synctest.Wait()
				if r.KeySet().current().id != ids[0] {
					t.Fatalf("%v, step %d: too early", every, i)
				}
				time.Sleep(time.Millisecond)
				synctest.Wait()
				if r.KeySet().current().id != ids[1] {
					t.Fatalf("%v, step %d: not on time", every, i)
				}
				ids = []uint32{ids[1], r.KeySet().next().id}
				if err := opens(r.KeySet(), c); (err == nil) != (i < 2) {
					t.Errorf("%v, step %d: %v", every, i, err)
				}
			}
			stop()
			time.Sleep(every / 2) // off
			r, stop = running(t, w.cfg, w)
			time.Sleep(every/2 - time.Millisecond)
			synctest.Wait()
			if r.KeySet().current().id != ids[0] {
				t.Errorf("%v: too early after a restart", every)
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if r.KeySet().current().id != ids[1] {
				t.Errorf("%v: not on time after a restart", every)
			}
			stop()
		})
	}
}

func TestRunTakesANewPolicyAtOnce(t *testing.T) {
	w := newWorld(t, config.KeyRing{RotateEvery: config.Duration(24 * hour)})
	synctest.Test(t, func(t *testing.T) {
		r, stop := running(t, w.cfg, w)
		defer stop()
		before := r.KeySet().current().id
		changed := *w.cfg
		changed.KeyRing.RotateEvery = config.Duration(time.Second)
		commit, err := r.Prepare(&changed)
		if err != nil {
			t.Fatal(err)
		}
		commit()
		time.Sleep(time.Second)
		synctest.Wait()
		if r.KeySet().current().id == before {
			t.Error("waits for the old interval")
		}
	})
}

func TestRunSavesWhatItOwesAtTheEnd(t *testing.T) {
	w := newWorld(t, config.KeyRing{Keep: 3})
	synctest.Test(t, func(t *testing.T) {
		r, stop := running(t, w.cfg, w)
		r.mu.Lock()
		r.set.Store(r.set.Load().shift(hour))
		r.dirty = true
		r.mu.Unlock()
		stop()
		rec, err := loadRecord(w.cfg.KeyRing.File, nil)
		if err != nil || !rec.set.next().mintFrom.Equal(r.KeySet().next().mintFrom) {
			t.Errorf("not saved: %v", err)
		}
	})
}

func TestMetrics(t *testing.T) {
	w := newWorld(t, config.KeyRing{Keep: 2})
	w.mustStart()
	w.live(2 * hour)
	wantMetric(t, w.ring, "ntptsd_keyring_keys", 4)
	wantMetric(t, w.ring, "ntptsd_keyring_rotations_total", 2)
	wantMetric(t, w.ring, "ntptsd_keyring_last_rotation_timestamp_seconds", float64(epoch.Add(2*hour).Unix()))
	wantMetric(t, w.ring, "ntptsd_keyring_next_rotation_timestamp_seconds", float64(epoch.Add(3*hour).Unix()))
	wantMetric(t, w.ring, "ntptsd_keyring_clock_held", 0)
	w.synchronised = false
	w.pass(0)
	wantMetric(t, w.ring, "ntptsd_keyring_clock_held", 1)
	wantMetric(t, w.ring, "ntptsd_keyring_neighbour_failing", 0)
	wantMetric(t, w.ring, "ntptsd_keyring_promises_held", 0)
}

// Adopted keys of chronyd are promised for longer than our interval: the ring waits for them and says so.
func TestRingWaitsForPromises(t *testing.T) {
	w := beside(t, config.KeyRing{Dialect: "chrony"}, loadVectors(t).Files["chrony_NKS0"])
	w.mustStart()
	ids := w.ids()
	w.live(5 * hour)
	w.wantSteps(ids, 0)
	wantMetric(t, w.ring, "ntptsd_keyring_promises_held", 1)
	if n := w.logged("the cookie keys cannot rotate yet"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	w.live((7*24 - 5) * hour)
	w.wantSteps(ids, 1)
	wantMetric(t, w.ring, "ntptsd_keyring_promises_held", 0)
}

func wantMetric(t *testing.T, r *Ring, name string, want float64) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(&Rings{rings: map[string]*Ring{r.name: r}}); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			got := m.GetGauge().GetValue()
			if m.Counter != nil {
				got = m.GetCounter().GetValue()
			}
			labels := make(map[string]string)
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["ring"] != r.name {
				t.Errorf("%s has the labels %v", name, labels)
			}
			if result, ok := labels["result"]; ok && result != "ok" {
				continue
			}
			if got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		return
	}
	t.Errorf("no metric %s", name)
}

func TestTestKeySet(t *testing.T) {
	for _, d := range dialects {
		s, err := NewTestKeySet(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := opens(s, mint(t, s)); err != nil {
			t.Errorf("%v: %v", d, err)
		}
	}
	if _, err := NewTestKeySet(cookie.Dialect(99)); err == nil {
		t.Error("a set of no dialect")
	}
}
