package daemon

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/ntptsd/ntptsd/internal/config"
)

// frozen is a service that changes files.
type frozen struct {
	*fake
	cannot error
	waits  chan struct{} // until it is closed, there is something under way; nil: there is nothing
}

func (f *frozen) Freeze(context.Context) error {
	if f.waits != nil {
		<-f.waits
	}
	if f.cannot != nil {
		return f.cannot
	}
	f.diary.note(f.name + " freezes")
	return nil
}

func (f *frozen) Thaw() { f.diary.note(f.name + " thaws") }

// frozenHouse has the services a, b, which changes no file, and c.
func frozenHouse(d *diary) (*Daemon, []*frozen) {
	daemon, all := house(d)
	a, c := &frozen{fake: all[0]}, &frozen{fake: all[2]}
	daemon.services[0].service, daemon.services[2].service = a, c
	return daemon, []*frozen{a, c}
}

func TestFreezeEndsWithWhatOthersUse(t *testing.T) {
	var d diary
	daemon, _ := frozenHouse(&d)
	if err := daemon.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := daemon.Reload(&config.Config{}); !errors.Is(err, ErrFrozen) {
		t.Errorf("a reload: %v", err)
	}
	daemon.Thaw()
	expect(t, &d, "c freezes", "a freezes", "a thaws", "c thaws")
	if err := daemon.Reload(&config.Config{}); err != nil {
		t.Errorf("a reload afterwards: %v", err)
	}
}

func TestFreezeIsAllOrNothing(t *testing.T) {
	var d diary
	daemon, all := frozenHouse(&d)
	all[0].cannot = errors.New("no space left on device")
	if err := daemon.Freeze(t.Context()); !errors.Is(err, all[0].cannot) || err.Error() != "a: no space left on device" {
		t.Errorf("%v", err)
	}
	expect(t, &d, "c freezes", "c thaws")
	if err := daemon.Reload(&config.Config{}); err != nil {
		t.Errorf("a reload: %v", err)
	}
}

// A reload writes nothing that a newer process may half read.
func TestFreezeWaitsForAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		daemon, _ := frozenHouse(&d)
		loaded, reloaded := make(chan struct{}), make(chan error)
		go func() {
			reloaded <- daemon.ReloadFrom(func() (*config.Config, error) {
				<-loaded
				return &config.Config{}, nil
			})
		}()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := daemon.Freeze(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("for as long as is patience: %v", err)
		}
		done := make(chan error)
		go func() { done <- daemon.Freeze(t.Context()) }()
		synctest.Wait()
		close(loaded)
		if err := <-reloaded; err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		expect(t, &d, "a prepares", "b prepares", "c prepares", "a commits", "b commits", "c commits", "c freezes", "a freezes")
	})
}

// A command that reloads is a change that the ledger waits for: it must not wait for the ledger.
func TestAReloadThatAServiceWaitsForIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		daemon, all := frozenHouse(&d)
		all[1].waits = make(chan struct{})
		done := make(chan error)
		go func() { done <- daemon.Freeze(t.Context()) }()
		synctest.Wait()
		err := daemon.Reload(&config.Config{})
		close(all[1].waits)
		if !errors.Is(err, ErrFrozen) {
			t.Errorf("the reload: %v", err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		expect(t, &d, "c freezes", "a freezes")
	})
}

// Nobody is told that we are ready before we have proved it.
func TestBeforeIsReady(t *testing.T) {
	wrong := errors.New("no certificate")
	for _, c := range []struct {
		name string
		err  error
	}{{"proved", nil}, {"not proved", wrong}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var d diary
				daemon, _ := house(&d)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				daemon.Before(func(context.Context) error {
					d.note("proves")
					if c.err == nil {
						cancel()
					}
					return c.err
				})
				if err := daemon.Run(ctx); !errors.Is(err, c.err) {
					t.Errorf("%v", err)
				}
				if lines := d.read(); len(lines) == 0 || lines[0] != "proves" {
					t.Errorf("%v", lines)
				}
			})
		})
	}
}

// A service that fails, or the end, ends the proof, too.
func TestProofEndsWithTheDaemon(t *testing.T) {
	for _, how := range []string{"told to end", "a service fails"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var d diary
				daemon, all := house(&d)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				daemon.Before(func(ctx context.Context) error {
					<-ctx.Done()
					d.note("proof ends")
					return ctx.Err()
				})
				done := make(chan error)
				go func() { done <- daemon.Run(ctx) }()
				synctest.Wait()
				broken := errors.New("broken")
				if how == "told to end" {
					broken = nil
					cancel()
				} else {
					all[1].fail <- broken
				}
				if err := <-done; !errors.Is(err, broken) {
					t.Errorf("%v", err)
				}
				if lines := d.read(); len(lines) < 2 || lines[0] != "proof ends" && lines[1] != "proof ends" {
					t.Errorf("%v", lines)
				}
			})
		})
	}
}
