package monitoring

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// A day and an hour leave exactly a day, in order, with what happened within each step.
func TestHistoryIsADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory()
		var m moment
		for second := range historySeconds + 3600 {
			m.at = time.Now()
			m.answered += 2
			m.handshakes.Responses = []api.Count{{Count: uint64(second)}}
			m.status.Clock = api.Tracking{Synchronised: second%2 == 0, OffsetSeconds: new(float64(second)), ErrorBoundSeconds: 1}
			h.add(m)
			time.Sleep(lookEvery)
		}
		all := h.last(0)
		if len(all.At) != historyRows || len(all.OffsetSeconds) != historyRows || len(all.TimeRequests) != historyRows {
			t.Fatalf("%d rows", len(all.At))
		}
		for i := 1; i < len(all.At); i++ {
			if d := all.At[i].Sub(all.At[i-1]); d != historyStep {
				t.Fatalf("row %d is %v after the one before", i, d)
			}
			if all.TimeRequests[i] != 60 || all.Handshakes[i] != 30 {
				t.Fatalf("row %d: %d requests, %d handshakes", i, all.TimeRequests[i], all.Handshakes[i])
			}
		}
		if last := all.OffsetSeconds[historyRows-1]; *last < historySeconds+3600-historyStep.Seconds() {
			t.Errorf("the last row is of second %v", *last)
		}
		if hour := h.last(time.Hour); len(hour.At) < 119 || len(hour.At) > 121 {
			t.Errorf("%d rows of the last hour", len(hour.At))
		}
		if cap(h.rows) != historyRows {
			t.Errorf("room for %d rows", cap(h.rows))
		}
	})
}

func TestHistoryKnowsWhatIsNotKnown(t *testing.T) {
	h := newHistory()
	h.add(moment{at: time.Now()})
	if a := h.last(0); a.OffsetSeconds[0] != nil || a.ErrorBoundSeconds[0] != nil {
		t.Errorf("%+v", a)
	}
}
