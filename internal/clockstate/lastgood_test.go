package clockstate

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// machine has a clock that is set at will, and a LastGood.
type machine struct {
	*LastGood
	moment
	synchronised bool
}

func (m *machine) Synchronised() bool { return m.synchronised }

var (
	release = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	today   = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
)

// start is a machine that shows this time.
func start(folder string, wall time.Time) *machine {
	m := &machine{moment: moment{wall: wall}}
	m.LastGood = OpenLastGood(folder, release, m, slog.New(slog.DiscardHandler))
	m.LastGood.now = func() moment { return m.moment }
	return m
}

// passes lets time pass, with its looks.
func (m *machine) passes(d time.Duration) {
	for range d / lookEvery {
		m.wall, m.elapsed = m.wall.Add(lookEvery), m.elapsed+lookEvery
		m.look(false)
	}
}

// steady is a machine that was synchronised for two hours, and then stopped.
func steady(t *testing.T, folder string) {
	t.Helper()
	m := start(folder, today.Add(-2*time.Hour))
	m.synchronised = true
	m.passes(2 * time.Hour)
	m.look(true)
	if got := stored(t, folder); !got.Equal(today) {
		t.Fatalf("stored %v, want %v", got, today)
	}
}

func stored(t *testing.T, folder string) time.Time {
	t.Helper()
	got, err := readLastGood(filepath.Join(folder, lastGoodFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	return got
}

func TestAClockOf1970IsNotBelieved(t *testing.T) {
	folder := t.TempDir()
	m := start(folder, time.Unix(100, 0))
	if at, sure := m.Judge(); sure || !at.Equal(release) {
		t.Errorf("with no file: %v, %v", at, sure)
	}
	steady(t, folder)
	m = start(folder, time.Unix(100, 0))
	m.passes(10 * time.Minute)
	if at, sure := m.Judge(); sure || !at.Equal(today.Add(10*time.Minute)) {
		t.Errorf("ten minutes later: %v, %v", at, sure)
	}
	m = start(folder, today.Add(time.Hour)) // a clock that ran on
	if at, sure := m.Judge(); sure || !at.Equal(today.Add(time.Hour)) {
		t.Errorf("a clock that may be right: %v, %v", at, sure)
	}
	m.synchronised, m.wall = true, time.Unix(100, 0)
	if at, sure := m.Judge(); !sure || !at.Equal(m.wall) {
		t.Errorf("synchronised: %v, %v", at, sure)
	}
	if !stored(t, folder).Equal(today) {
		t.Error("a clock that is not synchronised moved the last good time")
	}
}

func TestOneJumpMovesNothing(t *testing.T) {
	for name, far := range map[string]time.Duration{"into the future": 12 * 365 * 24 * time.Hour, "into the past": -24 * time.Hour} {
		folder := t.TempDir()
		steady(t, folder)
		m := start(folder, today)
		m.synchronised = true
		m.passes(30 * time.Minute)
		m.wall = m.wall.Add(far)
		m.passes(believeAfter - 2*lookEvery)
		m.look(true)
		if got := stored(t, folder); got.After(today.Add(30*time.Minute)) || got.Before(today) {
			t.Errorf("%s: %v", name, got)
		}
		m.wall = m.wall.Add(-far) // and back
		m.passes(2 * lookEvery)
		m.look(true)
		if got := stored(t, folder); !got.Equal(m.wall) {
			t.Errorf("%s and back: %v, want %v", name, got, m.wall)
		}
	}
}

// A clock that is elsewhere and stays there is right: the machine was off, or the bound was wrong.
func TestASteadyClockIsBelieved(t *testing.T) {
	for name, far := range map[string]time.Duration{"off for a year": 365 * 24 * time.Hour, "a bound in the future": -24 * time.Hour} {
		folder := t.TempDir()
		steady(t, folder)
		m := start(folder, today.Add(far))
		m.synchronised = true
		m.passes(believeAfter + 2*lookEvery)
		if got := stored(t, folder); got.Before(today.Add(far)) || got.After(m.wall) {
			t.Errorf("%s: %v", name, got)
		}
	}
	folder := t.TempDir()
	steady(t, folder)
	m := start(folder, today.Add(24*time.Hour))
	for range 5 * believeAfter / lookEvery { // synchronised half of the time
		m.synchronised = !m.synchronised
		m.passes(lookEvery)
	}
	if !stored(t, folder).Equal(today) {
		t.Error("a clock that is not steady is believed")
	}
}

func TestAFullDiskIsTriedAgain(t *testing.T) {
	m := start(t.TempDir(), today)
	m.synchronised = true
	write, tries := m.write, 0
	m.write = func(string, []byte, fs.FileMode) error { tries++; return errors.New("no space left") }
	m.passes(2 * believeAfter)
	if tries < 10 {
		t.Errorf("tried %d times", tries)
	}
	m.write = write
	m.passes(lookEvery)
	if got := stored(t, filepath.Dir(m.path)); !got.Equal(m.wall) {
		t.Errorf("%v, want %v", got, m.wall)
	}
}

func TestAFileThatIsNoTime(t *testing.T) {
	for _, content := range []string{"", "soon", strings.Repeat("x", 100)} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, lastGoodFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if at, sure := start(folder, time.Unix(0, 0)).Judge(); sure || !at.Equal(release) {
			t.Errorf("%q: %v, %v", content, at, sure)
		}
	}
}

func TestTheTimeIsKeptAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		m := start(folder, today)
		m.LastGood.now, m.synchronised = sinceStart(), true
		stop := runIt(t, m.LastGood)
		time.Sleep(believeAfter + 5*time.Minute)
		now := time.Now()
		stop()
		if got := stored(t, folder); !got.Equal(now.UTC()) {
			t.Errorf("%v, want %v", got, now.UTC())
		}
	})
}

func FuzzLastGood(f *testing.F) {
	f.Add([]byte("2026-11-25T12:00:00Z\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		at, err := parseLastGood(b)
		if err != nil {
			return
		}
		if again, err := parseLastGood([]byte(at.Format(time.RFC3339Nano))); err != nil || !again.Equal(at) {
			t.Errorf("%q: %v, then %v, %v", b, at, again, err)
		}
	})
}

func runIt(t *testing.T, g *LastGood) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
