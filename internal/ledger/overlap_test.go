package ledger

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

type dimArgs struct {
	To string `json:"to" help:"how bright"`
}

var dim = api.Command[dimArgs, lamps]{Name: "lamp dim", Role: api.Operator, Changes: true, Summary: "dim all", Inverse: "lamp dim"}

// A change that was undone by hand and made once more is not undone, though the first one is due.
func TestWhatIsMadeAgainStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		h := newHouse(t, folder, nil)
		defer h.running(t)()
		confirmIn(t, h, time.Minute)
		for _, command := range []string{"lamp off", "lamp on"} {
			if _, err := h.ask(t, alice, command, `{"lamp":"hall"}`, api.How{}); err != nil {
				t.Fatal(err)
			}
		}
		if p := h.Pending(); len(p) > 0 {
			t.Errorf("%+v", p)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if !h.lit("hall") {
			t.Error("it is undone by what nobody confirmed before")
		}
		if h = newHouse(t, folder, h); len(h.Pending()) > 0 {
			t.Error("it comes back with a restart")
		}
	})
}

// What is made again with a time of its own waits for that alone.
func TestWhatIsMadeAgainWaitsOnce(t *testing.T) {
	h := newHouse(t, t.TempDir(), nil)
	for i, command := range []string{"lamp on", "lamp off", "lamp on"} {
		how := api.How{}
		if i != 1 {
			how.ConfirmWithin = time.Minute
		}
		if _, err := h.ask(t, alice, command, `{"lamp":"hall"}`, how); err != nil {
			t.Fatal(err)
		}
	}
	if p := h.Pending(); len(p) != 1 || p[0].ID != 5 {
		t.Errorf("%+v", p)
	}
}

// Two on top of each other: the first to be undone would take the second away.
func TestOneOnTopOfAnotherIsRefused(t *testing.T) {
	h := newHouse(t, t.TempDir(), nil)
	level := "low"
	table, err := api.NewTable([]api.Declared{dim}, api.BindChange(dim, func(_ context.Context, _ api.Caller, a dimArgs) (c api.Change[lamps], err error) {
		c.Summary, c.Before, c.After, c.Undo = "dim to "+a.To, level, a.To, api.StepOf(dim, dimArgs{level})
		if level != a.To {
			c.Do = func(context.Context) (lamps, error) {
				level = a.To
				return lamps{}, nil
			}
		}
		return c, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	h.Serve(table)
	first, err := h.ask(t, alice, "lamp dim", `{"to":"high"}`, api.How{ConfirmWithin: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range []api.How{{}, {DryRun: true}, {ConfirmWithin: time.Hour}} {
		for _, args := range []string{`{"to":"off"}`, `{"to":"high"}`} { // what is so already is undone with the first, too
			if _, err := h.ask(t, alice, "lamp dim", args, how); api.KindOf(err) != api.Conflict || level != "high" {
				t.Errorf("%s, %+v: %v, %s", args, how, err, level)
			}
		}
	}
	if err := h.Confirm(first.Change); err != nil {
		t.Fatal(err)
	}
	if _, err := h.ask(t, alice, "lamp dim", `{"to":"off"}`, api.How{}); err != nil || level != "off" {
		t.Errorf("afterwards: %v, %s", err, level)
	}
}

// Who wants what waits to be undone must not be told that all is well: it would end without a word.
func TestWhatWaitsIsNotSoForGood(t *testing.T) {
	h := newHouse(t, t.TempDir(), nil)
	first, err := h.ask(t, alice, "lamp on", `{"lamp":"hall"}`, api.How{ConfirmWithin: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range []api.How{{}, {DryRun: true}, {ConfirmWithin: time.Minute}} {
		if _, err := h.ask(t, root, "lamp on", `{"lamp":"hall"}`, how); api.KindOf(err) != api.Conflict || !strings.Contains(err.Error(), "change 1, turn hall on, waits") {
			t.Errorf("%+v: %v", how, err)
		}
	}
	if _, err := h.ask(t, root, "lamp on", `{"lamp":"attic"}`, api.How{}); err != nil {
		t.Errorf("another one: %v", err)
	}
	if err := h.Confirm(first.Change); err != nil {
		t.Fatal(err)
	}
	if _, err := h.ask(t, root, "lamp on", `{"lamp":"hall"}`, api.How{}); err != nil {
		t.Errorf("confirmed: %v", err)
	}
}

// What is undone, while the file cannot take it, is not undone again: somebody may have made it once more.
func TestUndoneOnceThoughTheDiskIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, t.TempDir(), nil)
		defer h.running(t)()
		confirmIn(t, h, time.Minute)
		write := h.pending.write
		h.pending.mu.Lock()
		h.pending.write = func(string, []byte, fs.FileMode) error { return errors.New("no space left") }
		h.pending.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if h.lit("hall") || len(h.Pending()) != 1 {
			t.Fatalf("%+v", h.Pending())
		}
		h.let(func() { h.on["hall"] = true })
		time.Sleep(time.Hour)
		synctest.Wait()
		h.pending.mu.Lock()
		h.pending.write = write
		h.pending.mu.Unlock()
		time.Sleep(slowestRetry)
		synctest.Wait()
		if !h.lit("hall") || len(h.Pending()) > 0 {
			t.Errorf("lit %v, %+v", h.lit("hall"), h.Pending())
		}
	})
}

// A clock that was set back, as that of a board without a battery, leaves a file that can be read again.
func TestAClockThatIsSetBack(t *testing.T) {
	folder := t.TempDir()
	h := newHouse(t, folder, nil)
	if _, err := h.ask(t, alice, "lamp on", `{"lamp":"hall"}`, api.How{ConfirmWithin: time.Minute}); err != nil {
		t.Fatal(err)
	}
	p := pending{}
	back := time.Unix(1000, 0)
	if err := p.open(folder, back); err != nil {
		t.Fatal(err)
	}
	if err := p.save(p.all); err != nil {
		t.Fatal(err)
	}
	again := pending{}
	if err := again.open(folder, back.Add(30*time.Second)); err != nil {
		t.Fatal(err)
	}
	if left := again.all[0].By.Sub(back); left != time.Minute {
		t.Errorf("%v to confirm it", left)
	}
	if _, err := New(folder, h, nil, slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
}
