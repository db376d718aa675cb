package ledger

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

	"github.com/ntptsd/ntptsd/internal/api"
)

// running runs the ledger, until the function that it gives.
func (h *house) running(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func confirmIn(t *testing.T, h *house, within time.Duration) uint64 {
	t.Helper()
	o, err := h.ask(t, alice, "lamp on", `{"lamp":"hall"}`, api.How{ConfirmWithin: within})
	if err != nil || o.ConfirmBy == nil || !o.ConfirmBy.Equal(time.Now().Add(within)) || o.Change != 1 {
		t.Fatalf("%+v, %v", o, err)
	}
	if got := h.events(); got != "attempt 1, turn hall on, outcome 2" {
		t.Fatal(got)
	}
	return o.Change
}

func TestAnUnconfirmedChangeIsUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		h := newHouse(t, folder, nil)
		defer h.running(t)()
		id := confirmIn(t, h, time.Minute)
		if p := h.Pending(); len(p) != 1 || p[0].ID != id || p[0].Summary != "turn hall on" || p[0].Undo != "lamp off" || p[0].Caller != "alice" || p[0].Role != "operator" {
			t.Errorf("%+v", p)
		}
		time.Sleep(time.Minute - 1)
		synctest.Wait()
		if !h.lit("hall") {
			t.Fatal("undone too early")
		}
		time.Sleep(1 * time.Nanosecond)
		synctest.Wait()
		if got := h.events(); got != "undo 3, turn hall off, outcome 4" || h.lit("hall") || len(h.Pending()) > 0 || h.record(2).Of != id {
			t.Errorf("%s, %+v", got, h.Pending())
		}
		if b, err := os.ReadFile(filepath.Join(folder, pendingFile)); err != nil || strings.TrimSpace(string(b)) != "[]" {
			t.Errorf("%s, %v", b, err)
		}
	})
}

func TestAConfirmedChangeStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		h := newHouse(t, folder, nil)
		defer h.running(t)()
		id := confirmIn(t, h, time.Minute)
		if err := h.Confirm(id + 1); api.KindOf(err) != api.NotFound {
			t.Error(err)
		}
		if err := h.Confirm(id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if h.events() != "" || !h.lit("hall") {
			t.Error("undone all the same")
		}
		if err := h.Confirm(id); api.KindOf(err) != api.NotFound {
			t.Errorf("twice: %v", err)
		}
		h = newHouse(t, folder, h)
		if len(h.Pending()) > 0 {
			t.Error("it comes back with a restart")
		}
	})
}

func TestUndoneAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, t.TempDir(), nil)
		id := confirmIn(t, h, time.Minute)
		if err := h.UndoNow(t.Context(), id); err != nil || h.lit("hall") || len(h.Pending()) > 0 {
			t.Errorf("%v, %+v", err, h.Pending())
		}
	})
}

// A restart gives nobody more time than was asked for, whatever the clock did, and loses no undoing.
func TestAnUnconfirmedChangeOverARestart(t *testing.T) {
	for name, c := range map[string]struct {
		away time.Duration // by the wall clock
		left time.Duration // afterwards
	}{
		"at once":            {0, time.Minute},
		"half":               {30 * time.Second, 30 * time.Second},
		"too long":           {time.Hour, 0},
		"the clock was back": {-time.Hour, time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			folder := t.TempDir()
			h := newHouse(t, folder, nil)
			confirmIn(t, h, time.Minute)
			p := filepath.Join(folder, pendingFile)
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range []time.Time{time.Now().UTC(), time.Now().Add(time.Minute).UTC()} { // as if it had been made then
				b = []byte(strings.ReplaceAll(string(b), at.Format(time.RFC3339), at.Add(-c.away).Format(time.RFC3339)))
			}
			if err := os.WriteFile(p, b, 0o600); err != nil {
				t.Fatal(err)
			}
			h = newHouse(t, folder, h)
			if by := h.Pending()[0].ConfirmBy; !by.Equal(time.Now().Add(c.left)) {
				t.Errorf("%s: until %v, it is %v", name, by, time.Now())
			}
			defer h.running(t)()
			time.Sleep(c.left)
			synctest.Wait()
			if h.lit("hall") || len(h.Pending()) > 0 {
				t.Errorf("%s: it stays", name)
			}
		})
	}
}

// What cannot be undone yet is tried again, ever more seldom, also without an audit log.
func TestUndoingIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, t.TempDir(), nil)
		defer h.running(t)()
		id := confirmIn(t, h, time.Minute)
		h.let(func() { h.fails, h.full = api.Failf(api.Unavailable, "fuse"), true })
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if p := h.Pending(); len(p) != 1 || p[0].Problem != "fuse" {
			t.Fatalf("%+v", p)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := strings.Count(h.events(), "turn hall off"); n < 10 || n > 20 {
			t.Errorf("tried %d times in an hour", n)
		}
		h.let(func() { h.fails = nil })
		time.Sleep(slowestRetry)
		synctest.Wait()
		if h.lit("hall") || len(h.Pending()) > 0 {
			t.Errorf("change %d is not undone: %+v", id, h.Pending())
		}
	})
}

func TestWhatIsGoneIsUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, t.TempDir(), nil)
		defer h.running(t)()
		confirmIn(t, h, time.Minute)
		h.let(func() { h.gone = true })
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(h.Pending()) > 0 {
			t.Errorf("%+v", h.Pending())
		}
	})
}

// What fails for certain leaves nothing to undo; what may have been done all the same does.
func TestAFailedChangeWaits(t *testing.T) {
	for kind, waits := range map[api.Kind]int{api.Conflict: 0, api.NotFound: 0, api.Unavailable: 1, api.Internal: 1} {
		h := newHouse(t, t.TempDir(), nil)
		h.fails = api.Failf(kind, "no")
		if _, err := h.ask(t, alice, "lamp on", `{"lamp":"hall"}`, api.How{ConfirmWithin: time.Minute}); api.KindOf(err) != kind || len(h.Pending()) != waits {
			t.Errorf("%s: %v, %+v", kind, err, h.Pending())
		}
	}
}

// A change whose undoing is not on disk is not made.
func TestAFullDisk(t *testing.T) {
	h := newHouse(t, t.TempDir(), nil)
	write := h.pending.write
	h.pending.write = func(string, []byte, fs.FileMode) error { return errors.New("no space left") }
	if _, err := h.ask(t, alice, "lamp on", `{"lamp":"hall"}`, api.How{ConfirmWithin: time.Minute}); api.KindOf(err) != api.Unavailable || h.lit("hall") {
		t.Errorf("%v", err)
	}
	if got := h.events(); got != "attempt 1, outcome 2" {
		t.Error(got)
	}
	h.pending.write = write
	id := uint64(3)
	if _, err := h.ask(t, alice, "lamp on", `{"lamp":"hall"}`, api.How{ConfirmWithin: time.Minute}); err != nil {
		t.Fatal(err)
	}
	h.pending.write = func(string, []byte, fs.FileMode) error { return errors.New("no space left") }
	if err := h.Confirm(id); api.KindOf(err) != api.Unavailable || len(h.Pending()) != 1 {
		t.Errorf("a confirmation that is not on disk counts: %v", err)
	}
}

func TestTooManyWait(t *testing.T) {
	h := newHouse(t, t.TempDir(), nil)
	for i := range maxPending + 1 {
		_, err := h.ask(t, alice, "lamp on", `{"lamp":"`+strings.Repeat("l", i+1)+`"}`, api.How{ConfirmWithin: time.Minute})
		if (err != nil) != (i == maxPending) {
			t.Fatalf("%d: %v", i, err)
		}
	}
}

// Who can write the file has his own changes made, of any command.
func TestAForeignFileIsNotBelieved(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := filepath.Join(t.TempDir(), pendingFile)
	if err := errors.Join(os.WriteFile(path, []byte("[]"), 0o600), os.Chown(path, 4711, -1)); err != nil {
		t.Fatal(err)
	}
	if _, err := New(filepath.Dir(path), nil, nil, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "belongs to user 4711") {
		t.Error(err)
	}
}

func TestABrokenFileIsNotIgnored(t *testing.T) {
	for _, content := range []string{"", "{", "null,", `[null]`, `[{}]`, `[{"change":1}]`, strings.Repeat(" ", maxPendingFile+1)} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, pendingFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(folder, nil, nil, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), pendingFile) {
			t.Errorf("%.20q: %v", content, err)
		}
	}
}

func FuzzPending(f *testing.F) {
	f.Add([]byte(`[{"change":1,"command":"a","undo":{"command":"b","args":{}},"made":"2026-01-01T00:00:00Z","confirm_by":"2026-01-01T00:01:00Z"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := parsePending(b)
		if err != nil {
			return
		}
		for _, u := range all {
			if u.Undo.Command == "" || u.ID == 0 || u.By.Before(u.Made) {
				t.Errorf("%+v is taken", u)
			}
		}
		again, err := parsePending([]byte(asJSON(all)))
		if err != nil || asJSON(again) != asJSON(all) {
			t.Errorf("%s becomes %s, %v", asJSON(all), asJSON(again), err)
		}
	})
}
