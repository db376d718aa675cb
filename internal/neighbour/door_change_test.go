package neighbour

import (
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

// door leads to the daemon behind a socket, by a configuration.
func door(t *testing.T, socket string, allowStep bool) *Door {
	t.Helper()
	cfg := config.Default()
	cfg.Clock.Source, cfg.Clock.ChronySocket, cfg.Clock.ChronyAddress = "chrony", socket, netip.AddrPort{}
	cfg.Management = &config.Management{Steps: config.Steps{AllowStep: allowStep}}
	return NewDoor(cfg, slog.New(slog.DiscardHandler))
}

// The clock is stepped where the file allows it alone, whoever asks.
func TestStepNeedsTheFile(t *testing.T) {
	d := newChangeable(t)
	for _, allow := range []bool{false, true} {
		there := door(t, d.socket, allow)
		for _, c := range []Change{Step{}, SetTime{}} {
			err := there.Change(t.Context(), c)
			if allow != (err == nil) || !allow && (!errors.Is(err, errNoStep) || api.KindOf(err) != api.Conflict || !strings.Contains(err.Error(), "allow-step = true")) {
				t.Errorf("%s, allowed %v: %v", c.what(), allow, err)
			}
			if _, err := there.Plan(t.Context(), c); errors.Is(err, errNoStep) == allow {
				t.Errorf("plan of %s, allowed %v: %v", c.what(), allow, err)
			}
		}
	}
	if told := d.tellings(); told != "makestep,settime" {
		t.Errorf("told %s", told)
	}
	cfg := config.Default() // a reload takes it back
	there := door(t, d.socket, true)
	commit, err := there.Prepare(cfg)
	if err != nil {
		t.Fatal(err)
	}
	commit()
	if err := there.Change(t.Context(), Step{}); !errors.Is(err, errNoStep) {
		t.Errorf("after a reload: %v", err)
	}
}

func TestChangesAreCounted(t *testing.T) {
	d := newChangeable(t, "a.example=192.0.2.1")
	there := door(t, d.socket, false)
	if _, err := there.Plan(t.Context(), Rekey{}); err != nil || there.Changes() != 0 {
		t.Errorf("a plan counts: %d, %v", there.Changes(), err)
	}
	_ = there.Change(t.Context(), Rekey{})
	_ = there.Change(t.Context(), Delete{"nobody"}) // which may have done something
	if there.Changes() != 2 {
		t.Errorf("%d changes", there.Changes())
	}
}

// What was added is remembered over a reload that leads to the same daemon.
func TestReloadForgetsNothing(t *testing.T) {
	d := newChangeable(t)
	there := door(t, d.socket, false)
	if err := there.Change(t.Context(), Add{server("a.example")}); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Clock.Source, cfg.Clock.ChronySocket, cfg.Clock.ChronyAddress = "chrony", d.socket, netip.AddrPort{}
	commit, err := there.Prepare(cfg)
	if err != nil {
		t.Fatal(err)
	}
	commit()
	if got := there.Persistable(); len(got) != 1 || got[0] != "server a.example" {
		t.Errorf("%q", got)
	}
}

// Changes go over the command socket alone: that others are told by UDP is none.
func TestNothingIsChangedOverUDP(t *testing.T) {
	r := newReplay(t, "4.3")
	c := NewChrony(filepath.Join(t.TempDir(), "none"), r.address().AddrPort())
	for _, change := range []Change{Rekey{}, Add{server("a.example")}, Delete{"a"}, SetOnline{}} {
		_, planned := c.Plan(t.Context(), change)
		made := c.Change(t.Context(), change)
		if api.KindOf(planned) != api.Unavailable || api.KindOf(made) != api.Unavailable || r.asked.Load() != 0 {
			t.Errorf("%s: %v, %v, %d asked", change.what(), planned, made, r.asked.Load())
		}
	}
}

func TestNobodyNextDoorIsNotChanged(t *testing.T) {
	d := NewDoor(config.Default(), slog.New(slog.DiscardHandler))
	if _, err := d.Plan(t.Context(), Rekey{}); !errors.Is(err, ErrNone) || api.KindOf(err) != api.Conflict {
		t.Errorf("%v", err)
	}
	if err := d.Change(t.Context(), Rekey{}); !errors.Is(err, ErrNone) {
		t.Errorf("%v", err)
	}
}
