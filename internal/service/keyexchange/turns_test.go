package keyexchange

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// knowsAllBut makes the time servers refuse sessions of one AEAD.
func (w *watched) knowsAllBut(bad aead.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad = bad
}

// turns are the AEADs of the probes since the last call.
func (w *watched) turns() []aead.ID {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.aeads
	w.aeads = nil
	return all
}

// TestEachAEADTakesItsTurn: whoever cannot open what some of its clients get is not fit, whatever others get.
func TestEachAEADTakesItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const where = "192.0.2.1:123"
		cfg := targetsOf(config.Target{Name: "a", Probe: where, AEADs: []uint16{15, 17, 30}})
		w := watch(t, cfg, newRing(t, cookie.Native), map[string]outcome{where: well(0)})
		expect := func(c class, want ...aead.ID) {
			t.Helper()
			if got := w.turns(); w.class("a") != c || !slices.Equal(got, want) {
				t.Errorf("%v after probes with %v, want %v after %v", w.class("a"), got, c, want)
			}
		}
		rounds := func(n int) {
			for range n {
				pauseUntilProbed(w, where)
			}
		}
		rounds(6)
		expect(fit, 15, 17, 30, 15, 17, 30, 15)
		w.knowsAllBut(30)
		rounds(3)
		expect(nak, 17, 30, 30)
		if got := w.Targets()[0].Reason; !strings.Contains(got, "AES-128-GCM-SIV") {
			t.Errorf("the reason is %q", got)
		}
		rounds(4)
		expect(nak, 30, 30, 30, 30)
		if lines := w.lines(); len(lines) != 2 {
			t.Errorf("logged is %q, want that it was fit and then was not", lines)
		}
		w.reload(cfg) // which does not make it fit
		synctest.Wait()
		expect(nak, 30)
		w.knowsAllBut(0)
		rounds(3)
		expect(fit, 30, 15, 17)
		w.now(where, lost) // all of it: one good probe is enough
		rounds(9)
		w.now(where, well(0))
		rounds(1)
		if w.class("a") != fit {
			t.Errorf("%v after a good probe", w.class("a"))
		}
		w.stop()
	})
}

// pauseUntilProbed waits for one more probe.
func pauseUntilProbed(w *watched, where string) {
	for n := len(w.times(where)); len(w.times(where)) == n; synctest.Wait() {
		time.Sleep(time.Second / 4)
	}
}
