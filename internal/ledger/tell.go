package ledger

import (
	"fmt"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Tell says who is told at once of changes that were made or undone. It comes before everything else.
func (l *Ledger) Tell(events func(api.Event)) { l.events = events }

func (l *Ledger) event(severity, format string, args ...any) {
	if l.events != nil {
		l.events(api.Event{At: time.Now(), Kind: api.EventChange, Severity: severity, Text: fmt.Sprintf(format, args...)})
	}
}

// made tells of a change that was made, and whether it waits to be confirmed.
func (l *Ledger) made(who api.Caller, p *api.Planned, o outcome) {
	switch {
	case p.Nothing():
	case o.ConfirmBy == nil:
		l.event(api.Info, "%s: %s (%d in the audit log)", who.Name, p.Plan.Summary, o.Change)
	default:
		l.event(api.Info, "%s: %s (%d in the audit log); it undoes itself at %s unless it is confirmed", who.Name, p.Plan.Summary, o.Change,
			o.ConfirmBy.UTC().Format(time.RFC3339))
	}
}

// expired tells what became of a change that nobody confirmed in time; first is whether its problem is new.
func (l *Ledger) expired(u unconfirmed, first bool, err error) {
	switch {
	case err == nil:
		l.event(api.Warning, "change %d of %s was undone, because nobody confirmed it: %s", u.ID, u.Caller, u.Plan.Summary)
	case first:
		l.event(api.Warning, "change %d of %s, which nobody confirmed, cannot be undone yet, and is tried again: %v", u.ID, u.Caller, err)
	}
}
