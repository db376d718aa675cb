package clockstate

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// fakeDoor leads to a daemon whose answers a test sets.
type fakeDoor struct {
	mu   sync.Mutex
	name string
	told api.Tracking
	err  error
	slew func() float64 // the correction of now, if it changes
}

func (f *fakeDoor) set(t api.Tracking, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told, f.err = t, err
}

func (f *fakeDoor) Name() string { return f.name }

func (f *fakeDoor) Tracking(context.Context) (api.Tracking, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.told
	t.ReadAt = time.Now()
	if f.slew != nil {
		t.CorrectionSeconds = f.slew()
	}
	return t, f.err
}

func following(source string) api.Tracking {
	return api.Tracking{Source: source, Synchronised: true, Leap: api.LeapInsert, Stratum: 3, RefID: [4]byte{192, 0, 2, 1},
		RootDelaySeconds: 0.010, RootDispersionSeconds: 0.002, OffsetSeconds: new(0.25), ReferenceTime: new(time.Now().Add(-time.Minute))}
}

func clockFrom(source string) *config.Config {
	return &config.Config{Clock: config.Clock{Source: source}}
}

func besides(t *testing.T, source string, f *fakeDoor, out io.Writer) *Clock {
	t.Helper()
	c, err := New(clockFrom(source), f, slog.New(slog.NewTextHandler(out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNeighboursWordIsOurs(t *testing.T) {
	for _, source := range []string{"chrony", "ntpd", "auto"} {
		f := &fakeDoor{name: source, told: following(source)}
		s := besides(t, source, f, io.Discard).State()
		if !s.Synchronised || s.Leap != ntp.LeapInsert || s.Stratum != 3 || s.ReferenceID != (ntp.ReferenceID{192, 0, 2, 1}) ||
			s.RootDelay != 10*time.Millisecond || s.RootDispersion != 2*time.Millisecond || s.ReferenceTime.IsZero() {
			t.Errorf("%s: %+v", source, s)
		}
	}
}

func TestWhatTheNeighbourExaggeratesIsBounded(t *testing.T) {
	told := following("chrony")
	told.RootDelaySeconds, told.RootDispersionSeconds, told.CorrectionSeconds = -1, math.MaxFloat64, -math.MaxFloat64
	s := stateOf(told, time.Millisecond)
	if s.RootDelay != 0 || s.RootDispersion < time.Hour || s.Correction > -time.Hour {
		t.Errorf("%+v", s)
	}
	var h ntp.Header
	s.Fill(&h, time.Now())
	if h.RootDispersion != math.MaxUint32 {
		t.Errorf("root dispersion %v", h.RootDispersion.Duration())
	}
	told.RootDispersionSeconds = 0
	if s := stateOf(told, time.Millisecond); s.RootDispersion != time.Millisecond {
		t.Errorf("below the floor: %v", s.RootDispersion)
	}
}

// Beside a daemon that smears a leap second, nobody is told another time.
func TestSmearingIsNotSynchronised(t *testing.T) {
	told := following("ntpd")
	told.Smearing = true
	var out lines
	c := besides(t, "ntpd", &fakeDoor{name: "ntpd", told: told}, &out)
	if s := c.State(); s.Synchronised || s.Leap != ntp.LeapUnknown {
		t.Errorf("%+v", s)
	}
	if why := c.Why(); !strings.Contains(why, "smears") || !strings.Contains(out.String(), "smears") {
		t.Errorf("why: %s; log: %s", why, &out)
	}
}

// auto is the kernel only where nobody was found, and a daemon that was found stays the source when it goes away.
func TestAutoNeverSwaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeDoor{name: "chrony", told: following("chrony")}
		c := besides(t, "auto", f, io.Discard)
		defer run(t, c)()
		f.set(api.Tracking{}, errors.New("it hangs"))
		time.Sleep(2 * staleAfter)
		synctest.Wait()
		if s := c.State(); s.Synchronised || s.Source != "chrony" {
			t.Errorf("%+v", s)
		}
		if why := c.Why(); why != "it cannot be read: it hangs" {
			t.Errorf("why: %s", why)
		}
		f.set(following("chrony"), nil)
		time.Sleep(2 * readEvery)
		synctest.Wait()
		if !c.Synchronised() || c.Problem() != "" || c.Why() != "" {
			t.Errorf("%+v, problem %q", c.State(), c.Problem())
		}
	})
	if c := besides(t, "auto", &fakeDoor{}, io.Discard); c.State().Source != "kernel" {
		t.Errorf("nobody found: %+v", c.State())
	}
}

func TestSilentNeighbourAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeDoor{name: "chrony", told: following("chrony")}
		var out lines
		c := besides(t, "chrony", f, &out)
		defer run(t, c)()
		f.set(api.Tracking{}, errors.New("no answer"))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		told := c.Tracking()
		if want := 0.002 + 20*15e-6; !told.Synchronised || math.Abs(told.RootDispersionSeconds-want) > 1e-6 || math.Abs(told.AgeSeconds-20) > 0.1 {
			t.Errorf("%+v, want root dispersion %v", told, want)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if told := c.Tracking(); told.Synchronised || told.Leap != api.LeapUnsynchronised || told.Stratum != 0 || math.Abs(told.AgeSeconds-31) > 0.1 {
			t.Errorf("%+v", told)
		}
		f.set(following("chrony"), nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for _, line := range []string{"clock cannot be read: what", "clock is not synchronised", "clock can be read again"} {
			if strings.Count(out.String(), line) != 1 {
				t.Errorf("log lacks %q, or repeats it:\n%s", line, &out)
			}
		}
	})
}

// chronyd's correction is added to every reading of the system's clock, as chronyd does itself.
func TestCorrectionIsAdded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		slewed := func() float64 { return 1 - 0.05*time.Since(began).Seconds() } // 1 s is slewed away at 5 %
		c := besides(t, "chrony", &fakeDoor{name: "chrony", told: following("chrony"), slew: slewed}, io.Discard)
		defer run(t, c)()
		time.Sleep(3 * readEvery)
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		s, now := c.State(), time.Now()
		want := now.Add(time.Second - now.Sub(began)/20)
		if d := s.Time(now).Sub(want).Abs(); d > time.Millisecond {
			t.Errorf("off by %v, rate %v", d, s.Rate)
		}
		if d := s.RootDispersionAt(now) - s.RootDispersion; d < now.Sub(s.At)/20 || d > now.Sub(s.At)/19 {
			t.Errorf("the error bound grew by %v", d)
		}
	})
}
