package audit

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ntptsd/ntptsd/protocol/audit"
)

// What one caller may have written of refusals and dry runs: more would only push out what was done.
const (
	refusedBurst = 20
	refusedEvery = 3 * time.Second // in the long run one in so long
	maxCallers   = 256             // that are told apart; they have names, so there are few
	settleAfter  = time.Minute     // of silence it is written how many were left out

	others = "others" // all callers beyond maxCallers
)

// limits bounds what refusals and dry runs can write. Safe for concurrent use.
type limits struct {
	mu      sync.Mutex
	callers map[string]*caller // guarded by mu
}

type caller struct {
	role    string // when last seen
	seen    time.Time
	budget  time.Duration // what is saved of the rate, at most refusedBurst of it
	omitted uint64
}

func newLimits() *limits { return &limits{callers: make(map[string]*caller)} }

// admit tells whether to write a record, and how many were left out before it.
func (l *limits) admit(r *audit.Record, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Kind != audit.Refused && r.Kind != audit.DryRun {
		if c := l.callers[r.Caller]; c != nil {
			r.Omitted, c.omitted = c.omitted, 0
		}
		return true
	}
	c := l.find(r.Caller, now)
	c.budget = min(c.budget+max(now.Sub(c.seen), 0), refusedBurst*refusedEvery)
	c.role, c.seen = r.Role, now
	if c.budget < refusedEvery {
		c.omitted++
		return false
	}
	c.budget -= refusedEvery
	r.Omitted, c.omitted = c.omitted, 0
	return true
}

// find is the account of a caller. Where there are too many, those that are at rest are forgotten.
func (l *limits) find(name string, now time.Time) *caller {
	if c := l.callers[name]; c != nil {
		return c
	}
	if len(l.callers) >= maxCallers {
		maps.DeleteFunc(l.callers, func(_ string, c *caller) bool {
			return c.omitted == 0 && now.Sub(c.seen) >= refusedBurst*refusedEvery
		})
	}
	if len(l.callers) >= maxCallers {
		name = others
	}
	if l.callers[name] == nil {
		l.callers[name] = &caller{budget: refusedBurst * refusedEvery, seen: now}
	}
	return l.callers[name]
}

// settle are records that tell what was left out of those who were silent for a while; of all when now is zero.
func (l *limits) settle(now time.Time) (all []audit.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(l.callers)) {
		c := l.callers[name]
		if c.omitted == 0 || !now.IsZero() && now.Sub(c.seen) < settleAfter {
			continue
		}
		all = append(all, audit.Record{Kind: audit.Refused, Caller: name, Role: c.role, Omitted: c.omitted,
			Summary: fmt.Sprintf("%d attempts and dry runs, too many to be written one by one", c.omitted)})
		c.omitted = 0
	}
	return all
}

// giveBack is for a record of settle that could not be written.
func (l *limits) giveBack(r audit.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.callers[r.Caller]; c != nil {
		c.omitted += r.Omitted
	}
}
