package keyexchange

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/probe"
)

// outcome is what one probe brought.
type outcome struct {
	e   probe.Exchange
	err error
}

// well is a good answer with that root dispersion.
func well(rootDispersion float64) outcome {
	return outcome{e: probe.Exchange{Authenticated: true, Synchronised: true, Stratum: 2, RootDispersion: rootDispersion}}
}

var (
	lost      = outcome{err: fmt.Errorf("%w (%w)", probe.ErrNoAnswer, context.DeadlineExceeded)}
	strange   = outcome{err: fmt.Errorf("wrapped: %w", probe.ErrNAK)}
	notSynced = outcome{e: probe.Exchange{Authenticated: true, Leap: 3, ReferenceID: "INIT"}}
	noKey     = outcome{err: errNoKey}
)

// TestHealth: two bad probes in a row make a target unfit, of the kind of the last one; a good one makes it fit.
func TestHealth(t *testing.T) {
	far := well(1.5)
	slow := well(0.9)
	slow.e.RootDelay = 0.3
	for _, test := range []struct {
		name     string
		outcomes []outcome
		classes  []class
	}{
		{"a good start", []outcome{well(0)}, []class{fit}},
		{"as far off as allowed", []outcome{well(1)}, []class{fit}},
		{"the round trip to us does not count", []outcome{{e: probe.Exchange{Synchronised: true, RootDispersion: 0.9, RootDistance: 1.1}}}, []class{fit}},
		{"a bad start", []outcome{lost, lost}, []class{unknown, silent}},
		{"one lost datagram", []outcome{well(0), lost, well(0), lost, well(0)}, []class{fit, fit, fit, fit, fit}},
		{"silence", []outcome{well(0), lost, lost, lost, well(0)}, []class{fit, fit, silent, silent, fit}},
		{"not synchronised", []outcome{well(0), notSynced, notSynced}, []class{fit, fit, unsynchronised}},
		{"far off", []outcome{well(0), far, far}, []class{fit, fit, distant}},
		{"far off by its delay", []outcome{slow, slow}, []class{unknown, distant}},
		{"a strange key", []outcome{well(0), strange, strange}, []class{fit, fit, nak}},
		{"first one, then the other", []outcome{well(0), notSynced, lost, strange}, []class{fit, fit, silent, nak}},
		{"better, but not good", []outcome{lost, lost, notSynced}, []class{unknown, silent, unsynchronised}},
		{"no key yet", []outcome{noKey, noKey, lost, lost}, []class{unknown, unknown, unknown, silent}},
	} {
		h := health{class: unknown}
		for i, o := range test.outcomes {
			h = h.after(o.e, o.err, time.Second, time.Unix(int64(i), 0))
			if h.class != test.classes[i] {
				t.Errorf("%s: after %d probes %v, want %v", test.name, i+1, h.class, test.classes[i])
			}
			if (h.reason == "") != (h.class == fit) {
				t.Errorf("%s: %v with the reason %q", test.name, h.class, h.reason)
			}
		}
		var total uint64
		for _, n := range h.probes {
			total += n
		}
		if total != uint64(len(test.outcomes)) || h.probed != time.Unix(int64(len(test.outcomes))-1, 0) {
			t.Errorf("%s: %d probes are counted, the last at %v", test.name, total, h.probed)
		}
	}
}

// What is told of a server that went silent must not be taken for its state now.
func TestAnOldAnswerIsNotShown(t *testing.T) {
	var h health
	for i, shown := range []bool{true, true, false} {
		o := []outcome{well(0), lost, lost}[i]
		if h = h.after(o.e, o.err, time.Second, time.Now()); h.hasAnswer != shown {
			t.Errorf("after %d probes the answer is shown: %v", i+1, h.hasAnswer)
		}
	}
}

func TestReasonsTellWhatIsWrong(t *testing.T) {
	for want, o := range map[string]outcome{
		"reference id INIT":    notSynced,
		"max-root-distance":    well(2),
		"no such host":         {err: errors.New("probe: lookup a: no such host")},
		"has no key":           noKey,
		"answered NTSN":        strange,
		"is its UDP port open": lost,
	} {
		if _, reason := judge(o.e, o.err, time.Second); !strings.Contains(reason, want) || strings.HasPrefix(reason, "probe: ") {
			t.Errorf("%q, want one that says %q", reason, want)
		}
	}
}
