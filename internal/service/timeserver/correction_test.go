package timeserver

import (
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// Beside a chronyd that slews, receive and transmit stamps are in its time, not in that of the system's clock.
func TestStampsAreInTheNeighboursTime(t *testing.T) {
	const correction, waited = 1500 * time.Millisecond, 3 * time.Millisecond
	clock := goodClock()
	clock.state.Corrected, clock.state.Correction = true, correction
	clock.state.ReferenceTime = noon.Add(correction).Add(-time.Second) // in the neighbour's time: not in the future
	keys := newKeySet(t, 1)
	r := NewResponder(&config.TimeServer{}, []Keys{fixedKeys{keys}}, clock)
	r.now = func() time.Time { return noon }
	for name, request := range map[string][]byte{"plain": version4(), "nts": newClient(t, keys, 15).request(0)} {
		answer, v := r.Respond(nil, request, stranger, noon.Add(-waited))
		if len(answer) == 0 {
			t.Fatalf("%s: %v", name, v)
		}
		h := parse(t, answer)
		const noise = 60 * time.Nanosecond
		if d := h.Receive.Time(noon).Sub(noon.Add(correction - waited)).Abs(); d > noise {
			t.Errorf("%s: receive timestamp off by %v", name, d)
		}
		if d := h.Transmit.Time(noon).Sub(noon.Add(correction)).Abs(); d > noise {
			t.Errorf("%s: transmit timestamp off by %v", name, d)
		}
		if want := ntp.TimestampOf(clock.state.ReferenceTime); h.ReferenceTime != want {
			t.Errorf("%s: reference time %v, want %v", name, h.ReferenceTime, want)
		}
	}
}
