package monitoring

import (
	"sync"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

const (
	historyStep    = 30 * time.Second
	historySeconds = 24 * 60 * 60
	historyRows    = historySeconds / int(historyStep/time.Second)
)

// row is one step of the past.
type row struct {
	at                       time.Time
	offset, bound, frequency *float64
	handshakes, answered     uint64 // within the step
}

// history is a day, a row every step, in fixed memory. Safe for concurrent use.
type history struct {
	mu                   sync.Mutex
	rows                 []row // a circle; guarded by mu, as all below
	first                int   // the oldest row, when the circle is full
	handshakes, answered uint64
	begun                bool // handshakes and answered are those of the newest row
}

func newHistory() *history { return &history{rows: make([]row, 0, historyRows)} }

// add takes a row if the last one is old enough. Steps are measured by the monotonic clock: a wall clock that jumps makes no
// rows.
func (h *history) add(m moment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	served := sum(m.handshakes.Responses)
	if !h.begun {
		h.handshakes, h.answered, h.begun = served, m.answered, true
	}
	if n := len(h.rows); n > 0 && m.at.Sub(h.rows[(h.first+n-1)%n].at) < historyStep-lookEvery/2 {
		return
	}
	r := row{at: m.at, offset: m.status.Clock.OffsetSeconds, frequency: m.status.Clock.FrequencyPPM,
		handshakes: served - h.handshakes, answered: m.answered - h.answered}
	if m.status.Clock.Synchronised {
		r.bound = new(m.status.Clock.ErrorBoundSeconds)
	}
	h.handshakes, h.answered = served, m.answered
	if len(h.rows) < historyRows {
		h.rows = append(h.rows, r)
		return
	}
	h.rows[h.first] = r
	h.first = (h.first + 1) % historyRows
}

// last is what lies at most so far back; 0: everything.
func (h *history) last(back time.Duration) api.History {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := api.History{StepSeconds: historyStep.Seconds()}
	now := time.Now()
	for i := range h.rows {
		r := &h.rows[(h.first+i)%len(h.rows)]
		if back > 0 && now.Sub(r.at) > back {
			continue
		}
		a.At = append(a.At, r.at.UTC())
		a.OffsetSeconds = append(a.OffsetSeconds, r.offset)
		a.ErrorBoundSeconds = append(a.ErrorBoundSeconds, r.bound)
		a.FrequencyPPM = append(a.FrequencyPPM, r.frequency)
		a.Handshakes = append(a.Handshakes, r.handshakes)
		a.TimeRequests = append(a.TimeRequests, r.answered)
	}
	return a
}

func sum(counts []api.Count) (n uint64) {
	for _, c := range counts {
		n += c.Count
	}
	return n
}
