package keyring

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

// history lets anything happen to a ring, and knows what it has promised. Its own clock counts what the ring may take
// for time that has passed: all time with the daemon on and, at each first look after a start, what the wall clock says
// has passed since the record was saved, up to one interval. Jumps of the wall clock with the daemon on are no time.
type history struct {
	*world
	rng     *rand.Rand
	elapsed time.Duration
	saved   time.Time     // of the record
	savedAt time.Duration // elapsed when it was saved
	started bool          // and no look at a synchronised clock since
	cookies []promise
	ids     []uint32 // current and next, as seen last

	real      time.Duration            // that has truly passed
	lied      time.Duration            // the real time when the wall clock was last wrong about it, or a step was forced
	published map[uint32]time.Duration // real time when a key was first seen as next
	trace     []string

	door *nextDoor // nil: nobody can be asked
}

type promise struct {
	cookie []byte
	end    time.Duration
}

const interval, keep = hour, 2

func TestPromisesHoldWhateverHappens(t *testing.T) {
	t.Parallel()
	runs := uint64(300)
	if raceEnabled {
		runs /= 10
	}
	for seed := range runs {
		k := []config.KeyRing{{Keep: keep}, {Dialect: "chrony"}, {Dialect: "ntpsec", Keep: keep}}[seed%3]
		w := newWorld(t, k)
		var door *nextDoor
		switch {
		case seed%4 == 1 && seed%3 > 0:
			w = beside(t, k, "-")
		case seed%4 == 3 && seed%3 > 0:
			w, door = proving(t, k)
		}
		if (seed%8 == 3 || seed%8 == 5) && k.Dialect == "ntpsec" { // a full file is adopted
			if err := os.WriteFile(w.cfg.KeyRing.NeighbourFile, fullNTPsec(t).text(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.mustStart()
		h := &history{world: w, door: door, rng: rand.New(rand.NewPCG(seed, 1)), saved: w.record().saved, ids: w.ids(), published: map[uint32]time.Duration{}}
		h.published[h.ids[1]] = 0
		if s := w.ring.KeySet(); len(s.keys) > fileKeys(s.dialect) {
			oldest := mint(t, &KeySet{dialect: s.dialect, keys: []key{s.keys[0], s.keys[0]}})
			h.cookies = append(h.cookies, promise{oldest, 24 * hour})
		}
		for range 60 {
			h.happen()
			h.check()
			if t.Failed() {
				t.Fatalf("seed %d: %v", seed, h.trace)
			}
		}
	}
}

func (h *history) duration(most time.Duration) time.Duration {
	return time.Duration(h.rng.Int64N(int64(most))).Round(time.Second)
}

func (h *history) note(format string, args ...any) {
	h.trace = append(h.trace, fmt.Sprintf(format, args...))
}

// happen does one thing at random, then lets the ring look.
func (h *history) happen() {
	h.visit()
	switch n := h.rng.IntN(20); {
	case n < 9:
		d := h.duration(interval / 2)
		h.note("%v pass", d)
		h.wall, h.running = h.wall.Add(d), h.running+d
		h.elapsed, h.real = h.elapsed+d, h.real+d
	case n < 11:
		h.restart()
	case n < 13:
		d := h.duration(10*interval) - 5*interval
		h.note("jump by %v", d)
		h.wall, h.lied = h.wall.Add(d), h.real
	case n < 15:
		h.synchronised = !h.synchronised
		h.note("synchronised: %v", h.synchronised)
	case n < 16:
		if h.full = nil; h.rng.IntN(2) == 0 {
			h.full = syscall.ENOSPC
		}
		h.note("disk: %v", h.full)
	case n < 17:
		err := h.rotate()
		h.note("forced: %v", err)
		h.lied = h.real
	default:
		h.cookies = append(h.cookies, promise{mint(h, h.ring.KeySet()), h.elapsed + keep*interval})
		h.note("cookie until %v", h.elapsed+keep*interval)
	}
	h.ring.tend(h.Context())
}

// visit lets something happen next door now and then.
func (h *history) visit() {
	if h.door == nil {
		return
	}
	switch h.rng.IntN(8) {
	case 0:
		h.door.away = errNAK
		h.note("the neighbour is away")
	case 1, 2:
		h.door.away = nil
		h.door.start()
		h.note("the neighbour starts")
	}
}

func (h *history) restart() {
	h.started = true
	off := h.duration(interval)
	if h.rng.IntN(3) == 0 {
		off *= 10
	}
	h.wall, h.real = h.wall.Add(off), h.real+off
	h.note("off for %v", off)
	if err := h.start(); err != nil {
		h.Fatalf("%v: %v", err, h.trace)
	}
}

func (h *history) check() {
	h.Helper()
	if h.started && h.synchronised {
		h.elapsed = max(h.elapsed, h.savedAt+min(max(h.wall.Sub(h.saved), 0), interval))
		h.started = false
	}
	if saved := h.record().saved; !saved.Equal(h.saved) {
		h.saved, h.savedAt = saved, h.elapsed
	}
	s := h.ring.KeySet()
	sets := map[string]*KeySet{"the ring": s}
	if h.cfg.KeyRing.NeighbourFile != "" {
		sets["the neighbour's file"] = h.file()
	}
	for of, set := range sets {
		for _, c := range h.cookies {
			if err := opens(set, c.cookie); err != nil && h.elapsed < c.end {
				h.Errorf("a cookie promised until %v fails at %v under the keys of %s: %v", c.end, h.elapsed, of, err)
			}
		}
	}
	h.checkStep(s)
	if onDisk := h.record().set; onDisk.find(*s.current()) == nil || onDisk.find(*s.next()) == nil {
		h.Error("a key is in use that is not on disk")
	}
	if len(s.keys) > maxKeys(s.dialect) {
		h.Errorf("%d keys", len(s.keys))
	}
	h.ring.tend(h.Context())
	if !slices.Equal(h.world.ids(), h.ids) {
		h.Error("a second step at once")
	}
}

// checkStep allows for one step, by a key that has been published long enough.
func (h *history) checkStep(s *KeySet) {
	h.Helper()
	now := h.world.ids()
	if now[0] != h.ids[0] {
		if now[0] != h.ids[1] {
			h.Error("more than one step, or a key that nobody knew")
		}
		if h.door != nil && !slices.Contains(h.door.knows, now[0]) {
			h.Errorf("a key mints that the neighbour does not know")
		}
		if since := h.published[now[0]]; since > h.lied && h.real-since < interval-maxDrift {
			h.Errorf("a key mints %v after it was published", h.real-since)
		}
	}
	if _, ok := h.published[now[1]]; !ok {
		h.published[now[1]] = h.real
	}
	h.ids = now
}
