package access

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

// Bans are networks that are refused everywhere, whatever else may be allowed. How long one lasts is counted by the monotonic
// clock: a wall clock that jumps neither frees nor keeps anybody. nil bans nobody. Safe for concurrent use.
type Bans struct {
	live   atomic.Pointer[Prefixes] // nil: nobody is banned, so that a request costs no more than to see that
	counts atomic.Uint64            // refused on the services port
	wake   chan struct{}            // there is another end to wait for

	mu         sync.Mutex
	configured []Ban // guarded by mu, as below
	runtime    []Ban
}

// Ban is one of them.
type Ban struct {
	Network netip.Prefix
	Reason  string
	For     time.Duration // as asked for; 0: until it is removed
	ends    time.Time     // with a monotonic reading; zero: never
}

func newBans() *Bans { return &Bans{wake: make(chan struct{}, 1)} }

// Banned tells whether an address is refused. No lock, no allocation.
func (b *Bans) Banned(addr netip.Addr) bool {
	if b == nil {
		return false
	}
	p := b.live.Load()
	return p != nil && addr.IsValid() && !p.Allowed(addr)
}

// Refused counts the connections to the services port that were refused.
func (b *Bans) Refused() uint64 { return b.counts.Load() }

// Add refuses a network from now on. An api.Conflict if there are too many, or it is there already.
func (b *Bans) Add(n Ban) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.drop(now)
	switch {
	case banOf(b.configured, b.runtime, n.Network) != nil:
		return api.Failf(api.Conflict, "%v is banned already; bans lists all", n.Network)
	case len(b.configured)+len(b.runtime) >= config.MaxBans:
		return api.Failf(api.Conflict, "%d networks are banned, which is as many as can be; remove some, or ban a wider network", config.MaxBans)
	}
	if n.For > 0 {
		n.ends = now.Add(n.For)
	}
	b.runtime = append(b.runtime, n)
	b.publish()
	return nil
}

// Remove refuses it no longer. An api.NotFound if it is not banned, an api.Conflict if the configuration bans it.
func (b *Bans) Remove(network netip.Prefix) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(time.Now())
	if banOf(b.configured, nil, network) != nil {
		return InConfiguration(network)
	}
	left := slices.DeleteFunc(slices.Clone(b.runtime), func(n Ban) bool { return n.Network == network })
	if len(left) == len(b.runtime) {
		return api.Failf(api.NotFound, "%v is not banned; bans lists all", network)
	}
	b.runtime = left
	b.publish()
	return nil
}

// InConfiguration is why a ban cannot be removed.
func InConfiguration(network netip.Prefix) error {
	return api.Failf(api.Conflict, "the configuration bans %v: take [access.ban.%q] out of it, then reload", network, network)
}

// Find is the ban of exactly that network, and how much of it is left (0: no end).
func (b *Bans) Find(network netip.Prefix) (n Ban, left time.Duration, configured, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.drop(now)
	found := banOf(b.configured, b.runtime, network)
	if found == nil {
		return n, 0, false, false
	}
	if !found.ends.IsZero() {
		left = found.ends.Sub(now)
	}
	return *found, left, banOf(b.configured, nil, network) != nil, true
}

func banOf(configured, runtime []Ban, network netip.Prefix) *Ban {
	for _, list := range [][]Ban{configured, runtime} {
		if i := slices.IndexFunc(list, func(n Ban) bool { return n.Network == network }); i >= 0 {
			return &list[i]
		}
	}
	return nil
}

// View lists them, those of the configuration first.
func (b *Bans) View() []api.Ban {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.drop(now)
	all := make([]api.Ban, 0, len(b.configured)+len(b.runtime))
	for i, n := range slices.Concat(b.configured, b.runtime) {
		v := api.Ban{Network: n.Network.String(), Reason: n.Reason, From: api.FromConfiguration}
		if i >= len(b.configured) {
			v.From = api.FromRuntime
		}
		if !n.ends.IsZero() {
			left := n.ends.Sub(now)
			v.LeftSeconds, v.Until = new(left.Seconds()), new(now.Add(left).UTC().Truncate(time.Second))
		}
		all = append(all, v)
	}
	return all
}

// configure takes over those of a configuration. Its ends are by the wall clock, and are judged now, once. One of a running
// ntptsd that is in it now was saved.
func (b *Bans) configure(list map[string]config.Ban) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.configured = nil
	for _, name := range slices.Sorted(maps.Keys(list)) {
		p, _ := config.BannedNetwork(name) // config has checked it
		n := Ban{Network: p, Reason: list[name].Reason}
		if ends := list[name].Ends(); !ends.IsZero() {
			n.ends = now.Add(ends.Sub(now.Round(0)))
		}
		b.configured = append(b.configured, n)
		b.runtime = slices.DeleteFunc(slices.Clone(b.runtime), func(r Ban) bool { return r.Network == p })
	}
	b.drop(now)
	b.publish()
}

// drop forgets what has ended. mu is held.
func (b *Bans) drop(now time.Time) (dropped bool) {
	ended := func(n Ban) bool { return !n.ends.IsZero() && !now.Before(n.ends) }
	for _, list := range []*[]Ban{&b.configured, &b.runtime} {
		if slices.ContainsFunc(*list, ended) {
			*list, dropped = slices.DeleteFunc(slices.Clone(*list), ended), true
		}
	}
	return dropped
}

// publish lets requests see the lists. mu is held.
func (b *Bans) publish() {
	var deny []netip.Prefix
	for _, n := range slices.Concat(b.configured, b.runtime) {
		deny = append(deny, n.Network)
	}
	b.live.Store(NewPrefixes(nil, deny))
	select {
	case b.wake <- struct{}{}:
	default: // it is about to look
	}
}

// run ends those whose time has come, until ctx is done.
func (b *Bans) run(ctx context.Context) {
	for {
		var due <-chan time.Time
		if wait, ok := b.wait(); ok {
			due = time.After(wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
		case <-due:
		}
	}
}

// wait drops what has ended, and tells how long until the next one does.
func (b *Bans) wait() (left time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.drop(now) {
		b.publish()
	}
	for _, n := range slices.Concat(b.configured, b.runtime) {
		if d := n.ends.Sub(now); !n.ends.IsZero() && (!ok || d < left) {
			left, ok = d, true
		}
	}
	return max(left, 0), ok
}

// Persist is what a file beside the configuration must say for those that are not in it.
func (b *Bans) Persist() (toml string) {
	for _, n := range b.View() {
		if n.From != api.FromRuntime {
			continue
		}
		toml += fmt.Sprintf("[access.ban.%q]\n", n.Network)
		if n.Reason != "" {
			toml += fmt.Sprintf("reason = %s\n", config.Quote(n.Reason))
		}
		if n.Until != nil {
			toml += fmt.Sprintf("until = %s\n", n.Until.Format(time.RFC3339))
		}
	}
	return toml
}
