package keyring

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

var epoch = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

const hour = time.Hour

// world is what surrounds a ring: a wall clock that anybody may set, time that passes, a disk that may be full.
type world struct {
	testing.TB
	cfg          *config.Config
	wall         time.Time
	running      time.Duration
	synchronised bool
	full         error // what writing answers
	ring         *Ring
	reader       Neighbour
	log          *bytes.Buffer
}

func newWorld(t testing.TB, k config.KeyRing) *world {
	dir := t.TempDir()
	k = filled(k)
	if k.File == "" {
		k.File = filepath.Join(dir, "keys")
	}
	return &world{TB: t, wall: epoch, synchronised: true, log: new(bytes.Buffer),
		cfg: &config.Config{StateDirectory: dir, KeyRing: k}}
}

// filled has the defaults that package config fills in, but a shorter interval.
func filled(k config.KeyRing) config.KeyRing {
	keep, format, alg := 7, "", uint16(15)
	switch k.Dialect {
	case "chrony":
		keep, format = 2, nks0
	case "ntpsec":
		format = ntpsecKeys
	case "ntpdrs":
		alg = 17
	}
	if k.NeighbourFile != "" {
		k.NeighbourFormat = cmp.Or(k.NeighbourFormat, format)
	}
	k.Dialect, k.Owner = cmp.Or(k.Dialect, "native"), cmp.Or(k.Owner, ownerNtptsd)
	k.Keep, k.AEAD = cmp.Or(k.Keep, keep), cmp.Or(k.AEAD, alg)
	k.RotateEvery = cmp.Or(k.RotateEvery, config.Duration(hour))
	return k
}

func (w *world) Synchronised() bool { return w.synchronised }

// start is a new process: the running time begins anew.
func (w *world) start() error {
	w.running = 0
	r := &Ring{name: config.DefaultRing, clock: w, save: w.write, replace: w.write, reader: w.reader}
	r.now = func() (time.Time, time.Duration) { return w.wall, w.running }
	if err := r.open(w.cfg, slog.New(slog.NewTextHandler(w.log, nil))); err != nil {
		return err
	}
	w.ring = r
	return nil
}

// mustStart does as main does: Run looks at once.
func (w *world) mustStart() {
	w.Helper()
	if err := w.start(); err != nil {
		w.Fatal(err)
	}
	w.ring.tend(w.Context())
}

// rotate is the operator's.
func (w *world) rotate() error { return w.ring.Rotate(w.Context()) }

// write stands for package durable, which has its own tests, without its syncs.
func (w *world) write(path string, data []byte, mode fs.FileMode) error {
	if w.full != nil {
		return w.full
	}
	return os.WriteFile(path, data, mode)
}

// pass lets time go by with the daemon on.
func (w *world) pass(d time.Duration) {
	w.wall, w.running = w.wall.Add(d), w.running+d
	w.ring.tend(w.Context())
}

// live lets time go by in looks as often as Run has them.
func (w *world) live(d time.Duration) {
	for step := min(lookEvery, d); d > 0; d -= step {
		w.pass(step)
	}
}

// record is what the disk has.
func (w *world) record() record {
	w.Helper()
	r, err := loadRecord(w.cfg.KeyRing.File, nil)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

func (w *world) current() uint32 { return w.ring.KeySet().current().id }

func (w *world) ids() []uint32 {
	s := w.ring.KeySet()
	return []uint32{s.current().id, s.next().id}
}

// wantSteps checks how often the ring has rotated since it had these ids.
func (w *world) wantSteps(ids []uint32, want int) []uint32 {
	w.Helper()
	now, got := w.ids(), -1
	switch {
	case now[0] == ids[0]:
		got = 0
	case now[0] == ids[1]:
		got = 1
	}
	if got != want {
		w.Errorf("%d steps (-1: more than one), want %d", got, want)
	}
	return now
}

func (w *world) logged(text string) int { return strings.Count(w.log.String(), text) }

func testSession(t testing.TB, alg aead.ID) *cookie.Session {
	t.Helper()
	var s cookie.Session
	if err := s.Set(alg, random(alg.KeyLen()), random(alg.KeyLen())); err != nil {
		t.Fatal(err)
	}
	return &s
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func mint(t testing.TB, s *KeySet) []byte {
	t.Helper()
	c, err := s.Seal(nil, random(s.NonceLen()), testSession(t, aead.AESSIVCMAC256))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func opens(s *KeySet, c []byte) error { return s.Open(new(cookie.Session), c) }

// usual is the AEAD of the dialect's keys unless somebody wants another one.
func usual(d cookie.Dialect) aead.ID {
	if d == cookie.NTPDRS {
		return aead.AESSIVCMAC512
	}
	return aead.AESSIVCMAC256
}

// mustSet is a set of the dialect that has rotated n times.
func mustSet(t testing.TB, d cookie.Dialect, n int) *KeySet {
	t.Helper()
	p := policy{dialect: d, alg: usual(d), interval: hour, keep: maxKeep(cookie.Chrony)}
	s, err := newKeySet(p, epoch)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		s = mustStep(t, s, s.next().mintFrom)
	}
	return s
}

func mustStep(t testing.TB, s *KeySet, at time.Time) *KeySet {
	t.Helper()
	fresh, err := s.freshKey(s.next().alg, at)
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.step(at, fresh, true)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
