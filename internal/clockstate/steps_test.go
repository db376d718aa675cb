package clockstate

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// set is t on a system's clock that was set forward by d before t was read: its monotonic reading lags behind.
func set(t time.Time, d time.Duration) time.Time {
	inside := (*struct {
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&t))
	if inside.wall>>63 == 0 {
		panic("no monotonic reading")
	}
	t = t.Add(d)
	inside.ext -= int64(d)
	return t
}

func TestSetLeavesWhatHasPassed(t *testing.T) {
	now := time.Now()
	if later := set(now.Add(time.Second), time.Hour); later.Sub(now) != time.Second || later.Round(0).Sub(now.Round(0)) != time.Hour+time.Second {
		t.Errorf("%v by the monotonic clock, %v by the wall clock", later.Sub(now), later.Round(0).Sub(now.Round(0)))
	}
}

// A correction that turns into a step of the system's clock changes nothing: elapsed time counts.
func TestStepOfTheClockIsNoStepOfTime(t *testing.T) {
	now := time.Now()
	s := State{Synchronised: true, Corrected: true, Correction: time.Second, At: now}
	later := set(now.Add(time.Second), time.Second) // the correction was made
	if got, want := s.Time(later), now.Add(2*time.Second); !got.Equal(want.Round(0)) || !s.SynchronisedAt(later) {
		t.Errorf("%v, want %v; synchronised %v", got, want, s.SynchronisedAt(later))
	}
	next := State{Synchronised: true, Corrected: true, At: later}
	if next.follow(&s); next.change != 0 || !next.seen {
		t.Errorf("rate %v", next.change)
	}
	if plain := (&State{Correction: time.Second, At: now}); !plain.Time(later).Equal(later) {
		t.Error("corrected, though its daemon does not")
	}
}

// Whatever was known before a machine slept, or before its clock was set, is not told as good time.
func TestSleepIsNotGoodTime(t *testing.T) {
	now := time.Now()
	for _, d := range []time.Duration{8 * time.Hour, 2 * time.Second, -2 * time.Second, -time.Hour} {
		s := good()
		s.At = now
		later := set(now.Add(300*time.Millisecond), d)
		var h ntp.Header
		if s.Fill(&h, later); h.Leap != ntp.LeapUnknown || h.Stratum != 0 || s.SynchronisedAt(later) {
			t.Errorf("set by %v: %+v", d, h)
		}
	}
	if s := good(); !s.SynchronisedAt(s.At.Add(time.Hour)) {
		t.Error("time that passes is no step")
	}
}

// In the leap second the kernel sets the clock back, and chronyd follows the kernel.
func TestLeapSecondIsFollowed(t *testing.T) {
	now := time.Now()
	midnight := now.Truncate(24 * time.Hour).Add(24 * time.Hour)
	at := now.Add(midnight.Sub(now) - 200*time.Millisecond)
	s := State{Synchronised: true, Leap: ntp.LeapInsert, Stratum: 2, Corrected: true, Correction: time.Millisecond, At: at}
	after := set(at.Add(1400*time.Millisecond), -time.Second) // 00:00:00.2 after 23:59:60
	if got := s.Time(after); !got.Equal(after.Add(time.Millisecond)) {
		t.Errorf("%v, want %v", got, after)
	}
	var h ntp.Header
	if s.Fill(&h, after); h.Leap != ntp.LeapNone || h.Stratum != 2 {
		t.Errorf("%+v", h)
	}
}

// A new estimate of the daemon's is no rate: it is not carried on, not even if the daemon hangs just then.
func TestJumpIsNotCarriedOn(t *testing.T) {
	for _, jump := range []time.Duration{20 * time.Millisecond, 90 * time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			jumped := 0.0
			f := &fakeDoor{name: "chrony", told: following("chrony"), slew: func() float64 { return jumped }}
			c := besides(t, "chrony", f, io.Discard)
			defer run(t, c)()
			time.Sleep(3*readEvery + readEvery/10)
			f.mu.Lock()
			jumped = jump.Seconds()
			f.mu.Unlock()
			time.Sleep(readEvery)
			synctest.Wait()
			f.set(api.Tracking{}, errors.New("it hangs"))
			for range 28 {
				time.Sleep(readEvery)
				synctest.Wait()
				s, now := c.State(), time.Now()
				if !s.Synchronised || !s.Time(now).Equal(now.Add(jump).Round(0)) {
					t.Fatalf("%v after a jump of %v: off by %v, rate %v", now.Sub(s.At), jump, s.Time(now).Sub(now.Add(jump)), s.Rate)
				}
			}
		})
	}
}

// The error bound covers a slew of which no two intervals were seen yet, and one that goes on while the daemon hangs.
func TestErrorBoundOfASlew(t *testing.T) {
	at := time.Now()
	truth := func(elapsed time.Duration) time.Time { // chronyd slews 5 s away at 1/12: the system's clock runs too fast
		return at.Round(0).Add(5*time.Second + elapsed*12/13)
	}
	for name, s := range map[string]State{
		"first reading": {Corrected: true, Correction: 5 * time.Second, At: at},
		"steady":        {Corrected: true, Correction: 5 * time.Second, At: at, Rate: -1.0 / 13, Steady: true},
	} {
		for _, elapsed := range []time.Duration{time.Millisecond, 990 * time.Millisecond, 3 * time.Second, 29 * time.Second} {
			now := at.Add(elapsed)
			if off, bound := s.Time(now).Sub(truth(elapsed)).Abs(), s.RootDispersionAt(now); off > bound {
				t.Errorf("%s, %v: off by %v, root dispersion %v", name, elapsed, off, bound)
			}
		}
	}
	still := State{Corrected: true, Correction: time.Hour, At: at, Steady: true} // chronyd -x: nothing is slewed
	if got := still.RootDispersionAt(at.Add(time.Second)); got > 20*time.Microsecond {
		t.Errorf("a correction that stands: root dispersion %v", got)
	}
}

// After a reload to another source, what the old one said counts no longer than until the new one is asked.
func TestAnotherSourceIsNotTheOldOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeDoor{name: "chrony", told: following("chrony")}
		c := besides(t, "fixed", f, io.Discard)
		defer run(t, c)()
		f.set(api.Tracking{}, errors.New("it is away"))
		next := clockFrom("chrony")
		commit, err := c.Prepare(next)
		if err != nil {
			t.Fatal(err)
		}
		commit()
		time.Sleep(readEvery + time.Millisecond)
		synctest.Wait()
		if s := c.State(); s.Synchronised || s.Source != "" || c.Why() != "it cannot be read: it is away" {
			t.Errorf("%+v, why %q", s, c.Why())
		}
		f.set(following("chrony"), nil)
		time.Sleep(readEvery)
		synctest.Wait()
		if s := c.State(); !s.Synchronised || s.Source != "chrony" {
			t.Errorf("%+v", s)
		}
		f.set(api.Tracking{}, errors.New("it is away"))
		if commit, err = c.Prepare(next); err != nil {
			t.Fatal(err)
		}
		commit() // changes nothing
		time.Sleep(2 * readEvery)
		synctest.Wait()
		if !c.Synchronised() {
			t.Error("a reload without a change forgot what was known")
		}
	})
}
