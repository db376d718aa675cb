package keyring

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// hexID is a key as an operator names it.
func hexID(id uint32) string { return fmt.Sprintf("%08x", id) }

// secretsOf are the files that a ring writes.
func (w *world) onDisk() string {
	w.Helper()
	var all []byte
	for _, path := range []string{w.cfg.KeyRing.File, w.cfg.KeyRing.File + revokedSuffix, w.cfg.KeyRing.NeighbourFile} {
		b, err := os.ReadFile(path)
		if err != nil && path != "" && !errors.Is(err, fs.ErrNotExist) {
			w.Fatal(err)
		}
		all = append(all, b...)
	}
	return strings.ToLower(string(all))
}

// wantGone checks that nothing opens cookies under the key, and no file has its secret, now and after a restart.
func (w *world) wantGone(k key, c []byte) {
	w.Helper()
	for _, when := range []string{"at once", "after a restart"} {
		var r *Revoked
		if err := opens(w.ring.KeySet(), c); !errors.As(err, &r) || r.id != k.id {
			w.Errorf("%s: a cookie under the revoked key: %v", when, err)
		}
		if strings.Contains(w.onDisk(), k.secret.hex()) {
			w.Errorf("%s: the secret is on disk", when)
		}
		if err := w.ring.KeySet().check(); err != nil {
			w.Errorf("%s: the set %v", when, err)
		}
		w.mustStart()
	}
}

func under(t testing.TB, s *KeySet, i int) []byte {
	t.Helper()
	c, err := s.keys[i].sealer.Seal(nil, random(s.NonceLen()), testSession(t, 15))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var revocable = append([]config.KeyRing{{Dialect: "native"}}, neighbours...)

func newRevocable(t *testing.T, k config.KeyRing) *world {
	w := newWorld(t, k)
	if k.Dialect != "native" {
		w = beside(t, k, "-")
	}
	w.mustStart()
	w.live(5 * hour)
	return w
}

// Whichever key is revoked, it is gone everywhere, the others count on, and the ring rotates on.
func TestRevoke(t *testing.T) {
	for _, k := range revocable {
		for back := -1; back <= 2; back++ {
			t.Run(fmt.Sprintf("%s %d %d", k.Dialect, k.AEAD, back), func(t *testing.T) {
				w := newRevocable(t, k)
				before := w.ring.KeySet()
				i := before.mints() - back
				gone, c := before.keys[i], under(t, before, i)
				plan, err := w.ring.Revocable(hexID(gone.id))
				if err != nil || plan.Rotations != back || !plan.PromisedUntil.Equal(gone.acceptUntil) {
					t.Fatalf("%+v, %v", plan, err)
				}
				if w.ring.KeySet() != before {
					t.Error("the plan has changed something")
				}
				v, err := w.ring.Revoke(t.Context(), gone.fingerprint(), 100)
				if err != nil {
					t.Fatal(err)
				}
				now := w.ring.KeySet()
				switch {
				case back == 0 && now.current().id != before.next().id:
					t.Error("the next key does not mint")
				case back != 0 && now.current().id != before.current().id:
					t.Error("another key mints, though the current one is good")
				case now.next().id == before.next().id && back <= 0:
					t.Error("there is no new next key")
				case v.Current != hexID(now.current().id) || v.Next != hexID(now.next().id):
					t.Errorf("it tells %+v", v)
				}
				for j := range before.keys {
					if j == i || slices.Contains(plan.Also, hexID(before.keys[j].id)) {
						continue
					}
					if err := opens(now, under(t, before, j)); err != nil && before.keys[j].acceptUntil.After(w.ring.at) {
						t.Errorf("key %d of %d: %v", j, len(before.keys), err)
					}
				}
				w.wantGone(gone, c)
				if k.Dialect != "native" {
					w.wantNeighbour()
				}
				ids := w.ids()
				w.live(hour)
				if k.Dialect == "chrony" && back == 0 { // the older of the two old keys is promised for an hour more
					w.wantSteps(ids, 0)
					w.live(hour)
				}
				w.wantSteps(ids, 1)
				wantMetric(t, w.ring, "ntptsd_keyring_revocations_total", 0) // of this process
			})
		}
	}
}

// Only a revocation breaks a promise, and of no more keys than its plan tells.
func TestRevokeEvictsWhereThereAreFourSlots(t *testing.T) {
	w := newRevocable(t, config.KeyRing{Dialect: "chrony"})
	set := w.ring.KeySet()
	v, err := w.ring.Revocable(hexID(set.current().id))
	if err != nil || !slices.Equal(v.Also, []string{hexID(set.keys[0].id)}) {
		t.Fatalf("%+v, %v", v, err)
	}
	if v, err = w.ring.Revocable(hexID(set.keys[1].id)); err != nil || len(v.Also) != 0 {
		t.Errorf("an old key: %+v, %v", v, err)
	}
}

func TestRevokeIsRefused(t *testing.T) {
	w := newRevocable(t, config.KeyRing{Dialect: "native"})
	if _, err := w.ring.Revoke(t.Context(), "00000000", 1); !errors.Is(err, ErrUnknownKeyName) {
		t.Error(err)
	}
	id := hexID(w.current())
	if _, err := w.ring.Revoke(t.Context(), id, 1); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := w.ring.Revoke(t.Context(), id, 1); !errors.Is(err, ErrRevoked) {
			t.Error(err)
		}
		w.mustStart()
	}
	f := beside(t, config.KeyRing{Dialect: "chrony", Owner: ownerNeighbour}, string(appendFormat(nil, nks0, mustSet(t, cookie.Chrony, 0).keys)))
	f.mustStart()
	if _, err := f.ring.Revoke(t.Context(), hexID(f.current()), 1); !errors.Is(err, ErrFollowed) {
		t.Error(err)
	}
}

// Nobody waits for the clock with a stolen key; and when it is known, the ring goes on as it should.
func TestRevokeWhileUnsynchronised(t *testing.T) {
	w := newRevocable(t, config.KeyRing{Dialect: "native"})
	w.synchronised = false
	w.mustStart()
	set := w.ring.KeySet()
	c := mint(t, set)
	if _, err := w.ring.Revoke(t.Context(), hexID(set.current().id), 1); err != nil {
		t.Fatal(err)
	}
	w.wantGone(*set.current(), c)
	w.synchronised = true
	w.live(time.Minute)
	ids := w.ids()
	w.live(hour - time.Minute)
	w.wantSteps(ids, 1)
}

// What memory knows counts at once, even if no disk takes it; it is written as soon as one does.
func TestRevokeOnAFullDisk(t *testing.T) {
	for _, k := range revocable {
		w := newRevocable(t, k)
		set := w.ring.KeySet()
		c := mint(t, set)
		w.full = syscall.ENOSPC
		v, err := w.ring.Revoke(t.Context(), hexID(set.current().id), 1)
		if err == nil || v.Key == "" || opens(w.ring.KeySet(), c) == nil {
			t.Errorf("%s: %+v, %v", k.Dialect, v, err)
		}
		w.full = nil
		w.live(time.Minute)
		w.wantGone(*set.current(), c)
	}
}

// The daemon dies at any write: what was begun is finished by the next start, or was never begun.
func TestCrashInRevocation(t *testing.T) {
	for _, k := range revocable {
		for writes := range 5 {
			for _, half := range []bool{false, true} {
				w := newRevocable(t, k)
				set := w.ring.KeySet()
				c := mint(t, set)
				left := writes
				dying := func(path string, data []byte, mode fs.FileMode) error {
					if left--; left >= 0 {
						return w.write(path, data, mode)
					}
					if half && left == -1 {
						_ = w.write(path, data, mode)
					}
					return syscall.EIO
				}
				w.ring.save, w.ring.replace = dying, dying
				_, _ = w.ring.Revoke(t.Context(), hexID(set.current().id), 1)
				w.mustStart()
				err := opens(w.ring.KeySet(), c)
				if begun := writes > 0 || half; begun != (err != nil) {
					t.Errorf("%s, %d writes, half %v: the cookie: %v", k.Dialect, writes, half, err)
				}
				if k.Dialect != "native" {
					w.wantNeighbour()
				}
				w.live(2 * hour)
				if err := w.ring.KeySet().check(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// What was to end anyway is forgotten: then its cookies are those of any unknown key.
func TestRevokedIsForgottenAtItsEnd(t *testing.T) {
	w := newRevocable(t, config.KeyRing{Dialect: "native", Keep: 2})
	set := w.ring.KeySet()
	c := mint(t, set)
	if _, err := w.ring.Revoke(t.Context(), hexID(set.current().id), 1); err != nil {
		t.Fatal(err)
	}
	w.live(4 * hour)
	if err := opens(w.ring.KeySet(), c); !errors.Is(err, ErrUnknownKey) {
		t.Error(err)
	}
	if b, _ := os.ReadFile(w.cfg.KeyRing.File + revokedSuffix); string(b) != "[]\n" {
		t.Errorf("%s", b)
	}
}

func TestAllowKeepsItsRate(t *testing.T) {
	r := newRevoked(1, "x", epoch, epoch, 10)
	allowed := func(at time.Duration, asked int) (n int) {
		var mu sync.Mutex
		var all sync.WaitGroup
		for range asked {
			all.Go(func() {
				if r.Allow(r.start.Add(at)) {
					mu.Lock()
					n++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		return n
	}
	for _, c := range []struct {
		at          time.Duration
		asked, want int
	}{{0, 1000, 10}, {50 * time.Millisecond, 100, 0}, {100 * time.Millisecond, 100, 1}, {time.Second, 1000, 9}, {hour, 5, 5}, {hour, 1000, 5}} {
		if n := allowed(c.at, c.asked); n != c.want {
			t.Errorf("at %v of %d: %d, want %d", c.at, c.asked, n, c.want)
		}
	}
}

func TestRevokedListIsBounded(t *testing.T) {
	s := &KeySet{}
	for i := range maxRevoked + 5 {
		s.revoked = s.withRevoked(newRevoked(uint32(i), "x", epoch, epoch.Add(time.Duration(i)*hour), 1))
	}
	if len(s.revoked) != maxRevoked || s.revocation(4) != nil || s.revocation(maxRevoked+4) == nil {
		t.Errorf("%d are kept", len(s.revoked))
	}
	if len(appendRevoked(s.revoked)) > maxRevokedFile {
		t.Error("they are too long for their file")
	}
}

func FuzzParseRevoked(f *testing.F) {
	f.Add(appendRevoked([]*Revoked{newRevoked(7, "0badcafe", epoch, epoch.Add(hour), 100)}))
	f.Add([]byte(`[{"id":"x"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := parseRevoked(b)
		if err != nil {
			return
		}
		again, err := parseRevoked(appendRevoked(all))
		if err != nil || len(again) != len(all) {
			t.Fatalf("%v, %d of %d", err, len(again), len(all))
		}
		for i := range all {
			if again[i].id != all[i].id || again[i].naks != all[i].naks || !again[i].until.Equal(all[i].until) {
				t.Fatalf("%+v became %+v", all[i], again[i])
			}
		}
	})
}

func TestRingsRevokeByName(t *testing.T) {
	w := newRevocable(t, config.KeyRing{Dialect: "native"})
	all := &Rings{names: []string{"default"}, rings: map[string]*Ring{"default": w.ring}}
	if _, err := all.Revocable("other", "x"); !errors.Is(err, ErrUnknownRing) {
		t.Error(err)
	}
	if _, err := all.Revoke(t.Context(), "other", "x", 1); !errors.Is(err, ErrUnknownRing) {
		t.Error(err)
	}
	if v, err := all.Revocable("default", hexID(w.current())); err != nil || v.State != api.KeyCurrent {
		t.Errorf("%+v, %v", v, err)
	}
}
