package daemon

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ntptsd/ntptsd/internal/config"
)

// diary notes what happened in which order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

// fake is a service that takes some time to drain, and a reloader.
type fake struct {
	name    string
	diary   *diary
	drain   time.Duration
	fail    chan error // what Run returns at once
	atEnd   error      // what Run returns after draining
	refusal error      // what Prepare returns
}

func (f *fake) Run(ctx context.Context) error {
	select {
	case err := <-f.fail:
		f.diary.note(f.name + " fails")
		return err
	case <-ctx.Done():
	}
	f.diary.note(f.name + " stops")
	time.Sleep(f.drain)
	f.diary.note(f.name + " stopped")
	return f.atEnd
}

func (f *fake) Prepare(*config.Config) (func(), error) {
	f.diary.note(f.name + " prepares")
	if f.refusal != nil {
		return nil, f.refusal
	}
	return func() { f.diary.note(f.name + " commits") }, nil
}

// house is a daemon with the services a, b and c.
func house(d *diary) (*Daemon, []*fake) {
	daemon := New(slog.New(slog.DiscardHandler))
	var all []*fake
	for i, name := range []string{"a", "b", "c"} {
		f := &fake{name: name, diary: d, drain: time.Duration(i+1) * time.Second, fail: make(chan error, 1)}
		all = append(all, f)
		daemon.Add(name, f)
	}
	return daemon, all
}

func expect(t *testing.T, d *diary, want ...string) {
	t.Helper()
	if got := d.read(); !slices.Equal(got, want) {
		t.Errorf("happened: %v\nwant:     %v", got, want)
	}
}

func run(ctx context.Context, d *Daemon) <-chan error {
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	return done
}

// Each service has stopped before the one that was added before it hears of the end.
func TestStopsInReverseOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var happened diary
		d, _ := house(&happened)
		ctx, cancel := context.WithCancel(t.Context())
		done := run(ctx, d)
		synctest.Wait()
		expect(t, &happened)
		begin := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		expect(t, &happened, "c stops", "c stopped", "b stops", "b stopped", "a stops", "a stopped")
		if took := time.Since(begin); took != 6*time.Second {
			t.Errorf("took %v, but the services need 1s, 2s and 3s one after the other", took)
		}
	})
}

func TestFirstFailureEndsAll(t *testing.T) {
	broken, late := errors.New("broken listener"), errors.New("cannot save")
	synctest.Test(t, func(t *testing.T) {
		var happened diary
		d, services := house(&happened)
		services[0].atEnd = late
		done := run(t.Context(), d)
		services[1].fail <- broken
		err := <-done
		if !errors.Is(err, broken) || !errors.Is(err, late) || !strings.HasPrefix(err.Error(), "b: broken listener") {
			t.Errorf("Run = %v, want the first failure first and the later one, too", err)
		}
		expect(t, &happened, "b fails", "c stops", "c stopped", "a stops", "a stopped")
	})
}

func TestEarlyEndIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, services := house(&diary{})
		done := run(t.Context(), d)
		services[2].fail <- nil
		if err := <-done; !errors.Is(err, ErrEnded) {
			t.Errorf("Run = %v, want %v", err, ErrEnded)
		}
	})
}

func TestReloadPreparesAllThenCommitsAll(t *testing.T) {
	var happened diary
	d, _ := house(&happened)
	d.Add("plain", plain{})
	if err := d.Reload(config.Default()); err != nil {
		t.Fatal(err)
	}
	expect(t, &happened, "a prepares", "b prepares", "c prepares", "a commits", "b commits", "c commits")
	metricsAre(t, d, 1, 0, 1)
}

// plain is no Reloader.
type plain struct{}

func (plain) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func TestReloadCommitsNoneIfOneRefuses(t *testing.T) {
	var happened diary
	d, services := house(&happened)
	first, second := errors.New("keyexchange.listen changed"), errors.New("keyring.file changed")
	services[0].refusal, services[1].refusal = first, second
	err := d.Reload(config.Default())
	if !errors.Is(err, first) || !errors.Is(err, second) {
		t.Errorf("Reload = %v, want every refusal", err)
	}
	expect(t, &happened, "a prepares", "b prepares", "c prepares")
	metricsAre(t, d, 0, 1, 0)

	services[0].refusal, services[1].refusal = nil, nil
	if err := d.Reload(config.Default()); err != nil {
		t.Fatal(err)
	}
	metricsAre(t, d, 1, 1, 1)
}

func TestFailedLoadIsAFailedReload(t *testing.T) {
	var happened diary
	d, _ := house(&happened)
	broken := errors.New("ntptsd.toml:1:1: no")
	if err := d.ReloadFrom(func() (*config.Config, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("ReloadFrom = %v", err)
	}
	expect(t, &happened)
	metricsAre(t, d, 0, 1, 0)
}

func TestReloadsAreSerial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var happened diary
		d, _ := house(&happened)
		for _, name := range []string{"1", "2"} {
			go func() {
				_ = d.ReloadFrom(func() (*config.Config, error) {
					happened.note("load")
					time.Sleep(time.Second)
					happened.note("loaded")
					return nil, errors.New(name)
				})
			}()
		}
		time.Sleep(3 * time.Second)
		expect(t, &happened, "load", "loaded", "load", "loaded")
	})
}

func metricsAre(t *testing.T, d *Daemon, success, failure, last float64) {
	t.Helper()
	m := d.metrics
	if got := testutil.ToFloat64(m.reloads.WithLabelValues("success")); got != success {
		t.Errorf("%v successes, want %v", got, success)
	}
	if got := testutil.ToFloat64(m.reloads.WithLabelValues("failure")); got != failure {
		t.Errorf("%v failures, want %v", got, failure)
	}
	if got := testutil.ToFloat64(m.successful); got != last {
		t.Errorf("last reload successful = %v, want %v", got, last)
	}
	if problems, err := testutil.CollectAndLint(d); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
