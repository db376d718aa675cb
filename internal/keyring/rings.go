package keyring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/prometheus/client_golang/prometheus"
)

// ErrUnknownRing tells that no ring has that name.
var ErrUnknownRing = errors.New("keyring: no such ring")

// Neighbour is the daemon that reads a ring's key file. Safe for concurrent use; every call ends with ctx.
type Neighbour interface {
	// Rekey lets it read its key file now. errors.ErrUnsupported: it reads it at its start only.
	Rekey(ctx context.Context) error
	// Prove is nil if it has answered a cookie under k.
	Prove(ctx context.Context, k *cookie.Key) error
}

// Rings are all rings by name. A daemon.Service, daemon.Reloader and prometheus.Collector.
type Rings struct {
	names []string // config.DefaultRing first
	rings map[string]*Ring
}

// OpenAll opens every ring of the configuration; see Ring.open. neighbour makes who reads the file of a ring: nil, of
// itself or what it returns, if nobody can be asked.
func OpenAll(cfg *config.Config, clock Clock, neighbour func(c *config.KeyRing) Neighbour, log *slog.Logger) (*Rings, error) {
	all := &Rings{names: ringNames(cfg), rings: make(map[string]*Ring)}
	var errs []error
	for _, name := range all.names {
		r := newRing(name, clock)
		if c, _ := cfg.Ring(name); neighbour != nil {
			r.reader = neighbour(&c)
		}
		errs = append(errs, r.open(cfg, log))
		all.rings[name] = r
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return all, nil
}

func ringNames(cfg *config.Config) []string {
	return append([]string{config.DefaultRing}, slices.Sorted(maps.Keys(cfg.Rings))...)
}

// All are the rings, config.DefaultRing first.
func (a *Rings) All() []*Ring {
	all := make([]*Ring, 0, len(a.names))
	for _, name := range a.names {
		all = append(all, a.rings[name])
	}
	return all
}

// KeySet is the set of that ring to use for one request: nil if there is no such ring, or it has no keys yet.
func (a *Rings) KeySet(ring string) *KeySet {
	if r := a.rings[ring]; r != nil {
		return r.KeySet()
	}
	return nil
}

// View tells about all rings, never a secret.
func (a *Rings) View() []api.Ring {
	all := make([]api.Ring, 0, len(a.names))
	for _, r := range a.All() {
		all = append(all, r.View())
	}
	return all
}

// Rotate rotates a ring now: see Ring.Rotate. ErrUnknownRing.
func (a *Rings) Rotate(ctx context.Context, ring string) error {
	r := a.rings[ring]
	if r == nil {
		return fmt.Errorf("%w: %q is none of %s", ErrUnknownRing, ring, strings.Join(a.names, ", "))
	}
	return r.Rotate(ctx)
}

// Run tends all rings until ctx is done.
func (a *Rings) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, r := range a.rings {
		running.Go(func() { r.Run(ctx) })
	}
	running.Wait()
	return nil
}

// Prepare checks a new configuration for every ring. Rings come and go by a restart only: who is served by them is settled
// at the start.
func (a *Rings) Prepare(cfg *config.Config) (commit func(), err error) {
	names := ringNames(cfg)
	var errs []error
	for _, name := range names {
		if a.rings[name] == nil {
			errs = append(errs, fmt.Errorf("%s: restart ntptsd to add this ring", section(name)))
		}
	}
	var commits []func()
	for _, name := range a.names {
		if !slices.Contains(names, name) {
			errs = append(errs, fmt.Errorf("%s: restart ntptsd to remove this ring", section(name)))
			continue
		}
		commit, err := a.rings[name].Prepare(cfg)
		commits, errs = append(commits, commit), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return func() {
		for _, commit := range commits {
			commit()
		}
	}, nil
}

// section is where a ring stands in the configuration.
func section(ring string) string {
	if ring == config.DefaultRing {
		return "keyring"
	}
	return "rings." + ring
}

// Describe implements prometheus.Collector.
func (a *Rings) Describe(ch chan<- *prometheus.Desc) {
	for _, r := range a.rings {
		r.metrics.describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (a *Rings) Collect(ch chan<- prometheus.Metric) {
	for _, r := range a.rings {
		r.metrics.collect(ch)
	}
}
