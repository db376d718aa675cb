package ledger

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Who follows learns of each change at once, and of each that is undone; and of nothing that was not made.
func TestChangesAreEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, t.TempDir(), nil)
		var told []string
		h.Tell(func(e api.Event) {
			if e.Kind != api.EventChange || !e.At.Equal(time.Now()) {
				t.Errorf("%+v", e)
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			told = append(told, e.Severity+" "+e.Text)
		})
		stop := h.running(t)
		confirmIn(t, h, time.Minute)
		for _, how := range []api.How{{}, {DryRun: true}} { // it is off, and is only tried
			if _, err := h.ask(t, alice, "lamp off", `{"lamp":"attic"}`, how); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := h.ask(t, alice, "lamp on", `{}`, api.How{}); err == nil {
			t.Fatal("a lamp without a name")
		}
		h.setFails(api.Failf(api.Unavailable, "no power"))
		if _, err := h.ask(t, alice, "lamp on", `{"lamp":"cellar"}`, api.How{}); err == nil {
			t.Fatal("it failed")
		}
		time.Sleep(2*time.Minute + time.Second)
		h.setFails(nil)
		time.Sleep(10 * time.Minute)
		if _, err := h.ask(t, alice, "lamp on", `{"lamp":"hall"}`, api.How{}); err != nil {
			t.Fatal(err)
		}
		stop()
		want := []string{
			"info alice: turn hall on (1 in the audit log); it undoes itself at 2000-01-01T00:01:00Z unless it is confirmed",
			"warning change 1 of alice, which nobody confirmed, cannot be undone yet, and is tried again: no power",
			"warning change 1 of alice was undone, because nobody confirmed it: turn hall on",
		}
		if len(told) != len(want)+1 || !slices.Equal(told[:len(want)], want) {
			t.Errorf("%q", told)
		}
	})
}

func (h *house) setFails(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fails = err
}
