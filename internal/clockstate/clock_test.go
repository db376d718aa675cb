package clockstate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// fakeKernel is a kernel source whose readings a test sets, while Run reads them.
type fakeKernel struct {
	mu  sync.Mutex
	now timex
	err error
}

func (f *fakeKernel) set(now timex, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now, f.err = now, err
}

func (f *fakeKernel) source() *kernel {
	id := identity{stratum: 10, referenceID: ntp.ReferenceID{127, 127, 1, 1}}
	return &kernel{identity: id, floor: time.Millisecond, read: func() (timex, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.now, f.err
	}}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// run starts Run inside a synctest bubble and returns what ends it.
func run(t *testing.T, c *Clock) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func TestNewReadsBeforeItReturns(t *testing.T) {
	f := &fakeKernel{now: timex{maxError: 5 * time.Millisecond}}
	s := newClock(f.source(), quiet()).State()
	if !s.Synchronised || s.Stratum != 10 || s.ReferenceID != (ntp.ReferenceID{127, 127, 1, 1}) ||
		s.RootDispersion != 5*time.Millisecond || s.RootDelay != 0 || s.Leap != ntp.LeapNone || s.At.IsZero() {
		t.Errorf("%+v", s)
	}
}

func TestKernelErrorOfZeroIsRaisedToTheFloor(t *testing.T) {
	s := newClock((&fakeKernel{}).source(), quiet()).State()
	if s.RootDispersion != time.Millisecond {
		t.Errorf("root dispersion %v", s.RootDispersion)
	}
}

func TestRunFollowsTheKernel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeKernel{now: timex{unsynchronised: true, maxError: 16 * time.Second, leap: ntp.LeapInsert}}
		var out lines
		c := newClock(f.source(), slog.New(slog.NewTextHandler(&out, nil)))
		if s := c.State(); s.Synchronised || s.Leap != ntp.LeapUnknown {
			t.Errorf("at the start: %+v", s)
		}
		defer run(t, c)()

		f.set(timex{maxError: time.Millisecond, leap: ntp.LeapInsert}, nil)
		time.Sleep(readEvery + 1)
		synctest.Wait()
		if s := c.State(); !s.Synchronised || s.Leap != ntp.LeapInsert {
			t.Errorf("synchronised: %+v", s)
		}
		f.set(timex{unsynchronised: true}, nil)
		time.Sleep(2 * readEvery)
		synctest.Wait()
		if c.Synchronised() {
			t.Error("synchronised, though the kernel says no")
		}
		for _, line := range []string{"level=WARN msg=\"clock is not synchronised", "level=INFO msg=\"clock is synchronised\"", "leap second announced"} {
			if !strings.Contains(out.String(), line) {
				t.Errorf("log lacks %q:\n%s", line, &out)
			}
		}
		if n := strings.Count(out.String(), "\n"); n != 4 {
			t.Errorf("%d lines instead of one for each of 4 changes:\n%s", n, &out)
		}
	})
}

func TestReferenceTimeIsTheLastUpdate(t *testing.T) {
	f := &fakeKernel{now: timex{maxError: 10 * time.Millisecond}}
	k := f.source()
	read := func(at time.Time, maxError time.Duration) time.Time {
		f.set(timex{maxError: maxError}, nil)
		s, err := k.Read(context.Background(), at)
		if err != nil {
			t.Fatal(err)
		}
		return s.ReferenceTime
	}
	read(noon, 10*time.Millisecond)
	if got := read(noon.Add(time.Second), 10500*time.Microsecond); !got.Equal(noon) {
		t.Errorf("error grew by itself, reference time is %v", got)
	}
	if got := read(noon.Add(2*time.Second), time.Millisecond); !got.Equal(noon.Add(2 * time.Second)) {
		t.Errorf("daemon made the error smaller, reference time is %v", got)
	}
}

func TestUnreadableClockAgesAndThenIsUnsynchronised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeKernel{now: timex{maxError: time.Millisecond}}
		var out lines
		c := newClock(f.source(), slog.New(slog.NewTextHandler(&out, nil)))
		defer run(t, c)()
		f.set(timex{}, errors.New("no such call"))

		time.Sleep(staleAfter - time.Second)
		synctest.Wait()
		s := c.State()
		if !s.Synchronised || s.RootDispersionAt(time.Now()) <= s.RootDispersion {
			t.Errorf("after a short failure: %+v", s)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if c.Synchronised() {
			t.Error("synchronised, though unreadable for long")
		}
		if n := strings.Count(out.String(), "msg=\"clock cannot be read: "); n != 1 {
			t.Errorf("failure logged %d times:\n%s", n, &out)
		}
		f.set(timex{}, nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !c.Synchronised() {
			t.Error("not synchronised, though readable again")
		}
	})
}

func TestUnreadableClockAtStartIsUnsynchronised(t *testing.T) {
	c := newClock((&fakeKernel{err: errors.New("no such call")}).source(), quiet())
	if s := c.State(); s.Synchronised || s.Leap != ntp.LeapUnknown {
		t.Errorf("%+v", s)
	}
}

func TestPrepareChangesNothingBeforeCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(&config.Config{Clock: config.Clock{Source: "fixed", Stratum: 3, ReferenceID: "TEST"}}, nil, quiet())
		if err != nil {
			t.Fatal(err)
		}
		defer run(t, c)()
		commit, err := c.Prepare(&config.Config{Clock: config.Clock{Source: "fixed", Stratum: 4, ReferenceID: "192.0.2.7"}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * readEvery)
		synctest.Wait()
		if s := c.State(); s.Stratum != 3 || s.ReferenceID != (ntp.ReferenceID{'T', 'E', 'S', 'T'}) {
			t.Errorf("before commit: %+v", s)
		}
		commit()
		time.Sleep(2 * readEvery)
		synctest.Wait()
		if s := c.State(); s.Stratum != 4 || s.ReferenceID != (ntp.ReferenceID{192, 0, 2, 7}) || !s.Synchronised {
			t.Errorf("after commit: %+v", s)
		}
	})
}

func TestFixedWarnsAtStart(t *testing.T) {
	var out lines
	if _, err := New(&config.Config{Clock: config.Clock{Source: "fixed"}}, nil, slog.New(slog.NewTextHandler(&out, nil))); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "level=WARN msg=\"clock.source = fixed") {
		t.Errorf("log:\n%s", &out)
	}
}

func TestWrongConfigurationIsNamed(t *testing.T) {
	for key, c := range map[string]config.Clock{
		"clock.source":       {Source: "sundial"},
		"clock.stratum":      {Stratum: 16},
		"clock.reference-id": {ReferenceID: "TOOLONG"},
	} {
		if _, err := New(&config.Config{Clock: c}, nil, quiet()); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%+v: %v, want an error that names %s", c, err, key)
		}
	}
}

func TestPrecisionIsTheSmallestStep(t *testing.T) {
	now, steps := noon, 0
	clock := func() time.Time { // stands still at every other reading
		if steps++; steps%2 == 0 {
			now = now.Add(100 * time.Nanosecond)
		}
		return now
	}
	if got := measurePrecision(clock); got != -23 { // 2^-23 s = 119 ns
		t.Errorf("precision %d, want -23", got)
	}
}

func TestMetrics(t *testing.T) {
	c := newClock((&fakeKernel{now: timex{maxError: time.Second}}).source(), quiet())
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	const want = `
# HELP ntptsd_clock_leap Leap indicator: 0 none, 1 insert, 2 delete, 3 not synchronised.
# TYPE ntptsd_clock_leap gauge
ntptsd_clock_leap 0
# HELP ntptsd_clock_stratum Stratum told to clients; 0 while not synchronised.
# TYPE ntptsd_clock_stratum gauge
ntptsd_clock_stratum 10
# HELP ntptsd_clock_synchronised 1 while the clock is synchronised, else 0.
# TYPE ntptsd_clock_synchronised gauge
ntptsd_clock_synchronised 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "ntptsd_clock_leap", "ntptsd_clock_stratum", "ntptsd_clock_synchronised"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(registry); err != nil || n != 6 {
		t.Errorf("%d metrics, %v", n, err)
	}
}
