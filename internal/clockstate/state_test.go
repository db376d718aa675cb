package clockstate

import (
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/protocol/ntp"
)

var noon = time.Date(2026, 12, 31, 12, 0, 0, 0, time.UTC)

func good() State {
	return State{
		Synchronised:   true,
		Stratum:        2,
		ReferenceID:    ntp.ReferenceID{192, 0, 2, 1},
		RootDelay:      10 * time.Millisecond,
		RootDispersion: 2 * time.Millisecond,
		ReferenceTime:  noon.Add(-time.Minute),
		Precision:      -24,
		At:             noon,
	}
}

func TestFillTellsAgedState(t *testing.T) {
	s := good()
	var h ntp.Header
	s.Fill(&h, noon.Add(1000*time.Second))
	want := ntp.Header{
		Stratum:        2,
		ReferenceID:    ntp.ReferenceID{192, 0, 2, 1},
		RootDelay:      ntp.ShortOf(10 * time.Millisecond),
		RootDispersion: ntp.ShortOf(17 * time.Millisecond), // 2 ms and 1000 s at 15 ppm
		ReferenceTime:  ntp.TimestampOf(noon.Add(-time.Minute)),
		Precision:      -24,
	}
	if h != want {
		t.Errorf("got  %+v\nwant %+v", h, want)
	}
}

func TestFillOfClockSetBackDoesNotShrinkDispersion(t *testing.T) {
	s := good()
	var h ntp.Header
	s.Fill(&h, noon.Add(-time.Hour))
	if h.ReferenceTime != ntp.TimestampOf(noon.Add(-time.Hour)) {
		t.Error("reference time in the future")
	}
	if want := ntp.ShortOf(2 * time.Millisecond); h.RootDispersion != want {
		t.Errorf("root dispersion %v, want %v", h.RootDispersion.Duration(), want.Duration())
	}
}

func TestFillOfUnsynchronisedClockIsNeverGoodTime(t *testing.T) {
	s := good()
	s.Synchronised, s.Leap = false, ntp.LeapUnknown
	h := ntp.Header{Leap: ntp.LeapNone, Stratum: 1, ReferenceID: ntp.ReferenceID{'G', 'P', 'S'}}
	s.Fill(&h, noon)
	if h.Leap != ntp.LeapUnknown || h.Stratum != 0 || h.ReferenceID != (ntp.ReferenceID{}) {
		t.Errorf("leap %d, stratum %d, refid %v", h.Leap, h.Stratum, h.ReferenceID)
	}
}

func TestFillOfUnknownReferenceTimeIsZero(t *testing.T) {
	s := State{At: noon}
	h := ntp.Header{ReferenceTime: 7}
	s.Fill(&h, noon)
	if h.ReferenceTime != 0 {
		t.Errorf("reference time %d", h.ReferenceTime)
	}
}

func TestFillClampsRootDelay(t *testing.T) {
	s := good()
	s.RootDelay = 50000 * time.Second
	var h ntp.Header
	s.Fill(&h, noon)
	if h.RootDelay != ntp.MaxRootDelay {
		t.Errorf("root delay %#x: readers take the field as signed", h.RootDelay)
	}
}

func TestLeapAnnouncementEndsAtMidnight(t *testing.T) {
	midnight := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	s := good()
	s.Leap, s.At = ntp.LeapInsert, midnight.Add(-time.Second)
	for now, want := range map[time.Time]ntp.Leap{
		midnight.Add(-time.Nanosecond): ntp.LeapInsert,
		midnight:                       ntp.LeapNone,
	} {
		var h ntp.Header
		s.Fill(&h, now)
		if h.Leap != want {
			t.Errorf("at %v: leap %d, want %d", now, h.Leap, want)
		}
	}
}

func TestFillDoesNotAllocate(t *testing.T) {
	s := good()
	var h ntp.Header
	if n := testing.AllocsPerRun(100, func() { s.Fill(&h, noon) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
