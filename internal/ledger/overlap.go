package ledger

import (
	"bytes"
	"slices"

	"github.com/ntptsd/ntptsd/internal/api"
)

// overlaps refuses a change on top of one that waits, where undoing that one would take this one away, too: as with a level of the
// log that was set twice, when the first one goes back to what was before it. So it does where all is as asked for already, but only
// until that one is undone: who shuts a login out for good must not be told that this is done.
func (p *pending) overlaps(plan *api.Planned, args []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.all {
		switch {
		case u.Command != plan.Name || u.undone:
		case plan.Nothing() && (bytes.Equal(u.Args, args) || plan.Undo != nil && u.undoneBy(plan.Undo)):
			return api.Failf(api.Conflict, "it is so already, but change %d, %s, waits to be confirmed, and is undone if nobody does: confirm it to let it stay", u.ID, u.Plan.Summary)
		case !plan.Nothing() && plan.Undo != nil && u.Undo.Command == plan.Name && u.Plan.After == plan.Before:
			return api.Failf(api.Conflict, "change %d, %s, waits to be confirmed, and to undo it would take this away, too: confirm or undo it first", u.ID, u.Plan.Summary)
		}
	}
	return nil
}

func (u *unconfirmed) undoneBy(s *api.Step) bool {
	return u.Undo.Command == s.Command && bytes.Equal(u.Undo.Args, s.Args)
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
		return u.ID != by && u.undoneBy(plan.Undo)
	})
	if len(left) == len(p.all) {
		return nil
	}
	return p.save(left)
}
