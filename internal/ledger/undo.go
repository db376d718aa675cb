package ledger

import (
	"context"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/audit"
)

// Run undoes what nobody confirms, until ctx is done.
func (l *Ledger) Run(ctx context.Context) error {
	for {
		var due <-chan time.Time
		u, ok := l.pending.next()
		if ok {
			due = time.After(time.Until(u.due))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-l.pending.wake:
		case <-due:
			l.expire(ctx, u.ID)
		}
	}
}

// expire undoes a change that nobody has confirmed in time.
func (l *Ledger) expire(ctx context.Context, id uint64) {
	ctx, cancel := context.WithTimeout(ctx, undoTimeout)
	defer cancel()
	leave, err := l.enter(ctx, api.Declaration{})
	if err != nil {
		l.pending.putOff(id, false, err.Error())
		return
	}
	defer leave()
	u, err := l.pending.find(id)
	if err != nil { // confirmed meanwhile
		return
	}
	if !u.undone {
		err = l.writeUndo(ctx, u)
	}
	if err == nil {
		err = l.Confirm(id)
	}
	switch {
	case err == nil:
		l.metrics.undone(true)
		l.expired(u, false, nil)
		l.log.Info("a change was undone, because nobody confirmed it", "change", id, "command", u.Command, "caller", u.Caller)
	default:
		l.metrics.undone(false)
		first := l.pending.putOff(id, true, err.Error())
		l.expired(u, first, err)
		if first {
			l.log.Error("a change that nobody confirmed cannot be undone yet, and is tried again", "change", id, "command", u.Command, "undone_by", u.Undo.Command, "error", err)
		}
	}
}

// writeUndo is undo, with records. It is done even if they cannot be written: whoever asked for it relies on it.
func (l *Ledger) writeUndo(ctx context.Context, u unconfirmed) error {
	d, _ := l.table.Find(u.Undo.Command)
	r := record(audit.Undo, api.Caller{Name: "ntptsd", Role: api.Admin}, d, u.Undo.Args, api.How{})
	r.Of, r.Command = u.ID, u.Undo.Command
	r.Summary, r.Before, r.After = text("undo what nobody confirmed: "+u.Plan.Summary), text(u.Plan.After), text(u.Plan.Before)
	head, unwritten := l.audit.Append(r)
	if unwritten != nil {
		l.log.Warn("an unconfirmed change is undone without a record, because the audit log cannot be written", "change", u.ID, "error", unwritten)
	}
	err := l.undo(ctx, u)
	r.Kind, r.Of, r.Args, r.Result, r.Summary, r.Before, r.After = audit.Outcome, head.Sequence, nil, "done", "", "", ""
	if err != nil {
		r.Result, r.Error = string(api.KindOf(err)), text(err.Error())
	}
	if unwritten == nil {
		_, _ = l.audit.Append(r)
	}
	return err
}

// undo does the inverse. What is not there any more is undone.
func (l *Ledger) undo(ctx context.Context, u unconfirmed) error {
	p, err := l.table.Plan(ctx, api.Caller{Name: "ntptsd", Role: api.Admin}, u.Undo.Command, u.Undo.Args)
	if api.KindOf(err) == api.NotFound && err != nil {
		l.pending.markUndone(u.ID)
		return nil
	}
	if err != nil {
		return err
	}
	if _, err = p.Do(ctx); err != nil && api.KindOf(err) != api.NotFound {
		return err
	}
	l.pending.markUndone(u.ID)
	return nil
}
