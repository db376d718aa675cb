package ledger

import (
	"maps"
	"sync"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// What one caller may attempt, other than root on the control socket. The audit log keeps so many octets and no more: who could
// write as fast as the disk does would push out within minutes what was done before, his own deeds first.
const (
	attemptBurst = 600
	attemptEvery = 6 * time.Second // in the long run one in so long
	maxPaced     = 256             // callers that are told apart; they have names, so there are few

	otherCallers = "others" // all beyond maxPaced
)

// paces are when each caller has made up for what he attempted. Safe for concurrent use.
type paces struct {
	mu   sync.Mutex
	done map[string]time.Time // guarded by mu
}

// admit tells whether a caller may attempt one more, and counts it.
func (p *paces) admit(name string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done == nil {
		p.done = make(map[string]time.Time)
	}
	if _, known := p.done[name]; !known && len(p.done) >= maxPaced {
		maps.DeleteFunc(p.done, func(_ string, done time.Time) bool { return !done.After(now) })
		if len(p.done) >= maxPaced {
			name = otherCallers
		}
	}
	done := p.done[name]
	if done.Before(now) {
		done = now
	}
	if done = done.Add(attemptEvery); done.Sub(now) > attemptBurst*attemptEvery {
		return false
	}
	p.done[name] = done
	return true
}

// paced refuses who attempts too much.
func (l *Ledger) paced(who api.Caller, how api.How) error {
	if who.Root || how.DryRun || l.paces.admit(who.Name, time.Now()) { // of dry runs the audit log itself writes no more than it bears
		return nil
	}
	return api.Failf(api.TooMany, "%s has made %d changes within an hour, and may make one every %v now: what can be written into the audit log is bounded, but for root on the control socket",
		who.Name, attemptBurst, attemptEvery)
}
