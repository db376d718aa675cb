package keyring

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

// A step beside a neighbour writes three times: the record, the neighbour's file, that it is published. The daemon dies
// at any of them, with the file written or not.
func TestCrashAtEveryWrite(t *testing.T) {
	for _, k := range neighbours {
		for writes := range 4 {
			for _, half := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %d %v", k.Dialect, writes, half), func(t *testing.T) {
					w := beside(t, k, "-")
					w.mustStart()
					w.live(3*hour - time.Minute)
					before := w.ring.KeySet()
					cookies := [][]byte{mint(t, before)}
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
					w.live(time.Minute)
					cookies = append(cookies, mint(t, w.ring.KeySet()))
					w.mustStart()
					w.wantNeighbour()
					for range 2 {
						for i, c := range cookies {
							if err := opens(w.ring.KeySet(), c); err != nil {
								t.Errorf("cookie %d: %v", i, err)
							}
						}
						w.live(hour)
					}
				})
			}
		}
	}
}

// A write can fail after the file is there: when the sync of its folder does. The record then runs ahead of the ring.
func TestFailedSaveThatSucceeded(t *testing.T) {
	w := newWorld(t, config.KeyRing{})
	w.mustStart()
	w.ring.save = func(path string, data []byte, mode fs.FileMode) error {
		if err := w.write(path, data, mode); err != nil {
			t.Error(err)
		}
		return syscall.EIO
	}
	ids := w.ids()
	if err := w.rotate(); err == nil {
		t.Fatal("no error")
	}
	w.wantSteps(ids, 0)
	if w.record().set.current().id != ids[1] {
		t.Fatal("the record is not ahead")
	}
	w.ring.save = w.write
	w.live(time.Minute)
	if w.wantSteps(ids, 0); w.record().set.current().id != ids[0] {
		t.Error("the record stays ahead")
	}
}

// A neighbour that comes later, or whose file was lost, gets it at the start; the next key then waits for it.
func TestNeighbourThatComesLater(t *testing.T) {
	for _, dialect := range []string{"chrony", "ntpsec"} {
		w := beside(t, config.KeyRing{Dialect: dialect}, "-")
		path := w.cfg.KeyRing.NeighbourFile
		w.cfg.KeyRing.NeighbourFile = ""
		w.mustStart()
		w.live(30 * time.Minute)
		ids := w.ids()
		w.cfg.KeyRing.NeighbourFile = path
		w.mustStart()
		w.wantNeighbour()
		w.live(59 * time.Minute)
		w.wantSteps(ids, 0)
		w.live(time.Minute)
		ids = w.wantSteps(ids, 1)
		w.wantNeighbour()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		w.wall = w.wall.Add(10 * time.Minute) // off
		w.mustStart()
		w.wantNeighbour()
		w.live(59 * time.Minute)
		w.wantSteps(ids, 0)
		w.live(time.Minute)
		w.wantSteps(ids, 1)
	}
}

// The record knows that a file is new before it is: else the next start, which finds it as it should be, would let the
// next key mint at once.
func TestNewNeighbourIsNotForgotten(t *testing.T) {
	w := beside(t, config.KeyRing{Dialect: "chrony"}, "-")
	path := w.cfg.KeyRing.NeighbourFile
	w.cfg.KeyRing.NeighbourFile = ""
	w.mustStart()
	w.live(59 * time.Minute)
	ids := w.ids()
	w.synchronised, w.cfg.KeyRing.NeighbourFile = false, path
	w.mustStart()
	w.wantNeighbour()
	w.wall = w.wall.Add(time.Minute)
	w.synchronised = true
	w.mustStart()
	w.live(59 * time.Minute)
	w.wantSteps(ids, 0)
	w.live(time.Minute)
	w.wantSteps(ids, 1)
}

// The neighbour gets its file as soon as there is room, even if the clock never is synchronised.
func TestNeighbourIsWrittenWhateverTheTime(t *testing.T) {
	w := beside(t, config.KeyRing{Dialect: "chrony"}, "-")
	w.synchronised = false
	w.mustStart()
	if err := os.Remove(w.cfg.KeyRing.NeighbourFile); err != nil {
		t.Fatal(err)
	}
	w.full = syscall.ENOSPC
	w.mustStart()
	ids := w.ids()
	w.live(hour)
	wantMetric(t, w.ring, "ntptsd_keyring_neighbour_failing", 1)
	w.full = nil
	w.live(time.Minute)
	w.wantNeighbour()
	wantMetric(t, w.ring, "ntptsd_keyring_neighbour_failing", 0)
	w.live(30 * hour)
	w.wantSteps(ids, 0)
}

// A neighbour that goes leaves nothing to wait for.
func TestNeighbourThatGoes(t *testing.T) {
	w := beside(t, config.KeyRing{Dialect: "ntpsec"}, "-")
	w.mustStart()
	w.ring.replace = func(string, []byte, fs.FileMode) error { return syscall.EIO }
	w.live(hour)
	ids := w.ids()
	w.cfg.KeyRing.NeighbourFile = ""
	w.mustStart()
	w.live(hour)
	w.wantSteps(ids, 1)
}

// What fails at a start with a good record is a state, and tried again: a full disk, or a folder that is not there.
func TestNeighbourFailsAtTheStart(t *testing.T) {
	w := beside(t, config.KeyRing{Dialect: "chrony"}, "-")
	w.mustStart()
	w.live(hour)
	if err := os.Remove(w.cfg.KeyRing.NeighbourFile); err != nil {
		t.Fatal(err)
	}
	w.full = syscall.ENOSPC
	w.mustStart()
	wantMetric(t, w.ring, "ntptsd_keyring_neighbour_failing", 1)
	if err := opens(w.ring.KeySet(), mint(t, w.ring.KeySet())); err != nil {
		t.Error(err)
	}
	w.full = nil
	w.live(time.Minute)
	w.wantNeighbour()
	wantMetric(t, w.ring, "ntptsd_keyring_neighbour_failing", 0)

	w.cfg.KeyRing.NeighbourFile = filepath.Join(t.TempDir(), "missing", "file")
	w.mustStart()
	ids := w.ids()
	w.live(3 * hour)
	w.wantSteps(ids, 0)
	if v := w.ring.View(); !strings.Contains(v.Problem, "no such file or directory") || v.NextRotation != nil {
		t.Errorf("it is said: %+v", v)
	}
	if err := os.Mkdir(filepath.Dir(w.cfg.KeyRing.NeighbourFile), 0o700); err != nil {
		t.Fatal(err)
	}
	w.live(time.Minute)
	w.wantNeighbour()
	w.live(hour)
	w.wantSteps(ids, 1)
}

func TestLogTellsNoSecret(t *testing.T) {
	w := beside(t, config.KeyRing{Dialect: "chrony"}, "-")
	w.mustStart()
	w.live(3 * hour)
	for _, k := range w.ring.KeySet().keys {
		if w.logged(k.secret.hex()) > 0 {
			t.Error("the log tells a secret")
		}
	}
	for _, k := range w.ring.KeySet().keys[1:] { // the first one is older than the log's first line of rotation
		if w.logged(k.fingerprint()) == 0 {
			t.Errorf("no fingerprint of %v: %s", k, w.log)
		}
	}
}
