package ledger

import (
	"bytes"
	"slices"

	"github.com/ntptsd/ntptsd/internal/api"
)

// overlaps refuses a change on top of one that waits, where undoing that one would take this one away, too: as with a level of the
// log that was set twice, when the first one goes back to what was before it.
func (p *pending) overlaps(plan *api.Planned) error {
	if plan.Undo == nil || plan.Nothing() {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.all {
		if u.Command == plan.Name && u.Undo.Command == plan.Name && u.Plan.After == plan.Before && !u.undone {
			return api.Failf(api.Conflict, "change %d, %s, waits to be confirmed, and to undo it would take this away, too: confirm or undo it first", u.ID, u.Plan.Summary)
		}
	}
	return nil
}

// supersede forgets changes that wait to be undone by the same step as one that was just made: somebody else has undone them
// meanwhile, or there would have been nothing to do; and the step is no longer theirs.
func (p *pending) supersede(by uint64, plan *api.Planned) error {
	if plan.Undo == nil || plan.Nothing() {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(p.all), func(u *unconfirmed) bool {
		return u.ID != by && u.Undo.Command == plan.Undo.Command && bytes.Equal(u.Undo.Args, plan.Undo.Args)
	})
	if len(left) == len(p.all) {
		return nil
	}
	return p.save(left)
}
