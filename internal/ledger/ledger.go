// Package ledger carries changes out, whichever way they are asked for: one at a time, each written into the audit log
// before it is made and again with what became of it before anybody is answered; once, however often it is sent; and undone
// unless it is confirmed, where that is asked for. What a change is, and who may, is the table's.
package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/audit"
)

// Auditor writes the audit log. A record is on disk when Append returns. Safe for concurrent use.
type Auditor interface {
	Append(r audit.Record) (audit.Head, error)
}

// maxWritten bounds each text of a record: what a daemon next door says may be part of it.
const maxWritten = 1024

// Ledger is a daemon.Service and a prometheus.Collector. Safe for concurrent use.
type Ledger struct {
	audit   Auditor
	log     *slog.Logger
	metrics *metrics
	turn    chan struct{}   // holds an element while a change is made; one that is urgent does not wait
	frozen  sync.RWMutex    // read-locked while a change is made, locked while a newer process takes over
	leaving atomic.Bool     // one wants to: no other change is begun, however many come
	table   *api.Table      // set by Serve
	events  func(api.Event) // set by Tell; nil: nobody is told

	replays replays
	pending pending
	paces   paces
}

// New reads what waits to be confirmed from a file in the folder. recent are the newest records of the log, of which those
// with an idempotency key are remembered.
func New(folder string, a Auditor, recent []audit.Record, log *slog.Logger) (*Ledger, error) {
	l := &Ledger{audit: a, log: log.With("section", "management"), metrics: newMetrics(), turn: make(chan struct{}, 1)}
	l.replays.recall(recent)
	if err := l.pending.open(folder, time.Now()); err != nil {
		return nil, err
	}
	return l, nil
}

// Serve says which commands there are. It comes before everything else.
func (l *Ledger) Serve(table *api.Table) { l.table = table }

// Refused writes down that somebody who is known may not do it, or did not ask well.
func (l *Ledger) Refused(who api.Caller, d api.Declaration, args []byte, how api.How, why error) {
	r := record(audit.Refused, who, d, args, how)
	r.Result, r.Error = string(api.KindOf(why)), text(why.Error())
	l.metrics.done(r.Result)
	_, _ = l.audit.Append(r) // nothing was changed
}

// Change does a command that changes something, and answers with its Outcome. Its error has an api.Kind.
func (l *Ledger) Change(ctx context.Context, who api.Caller, d api.Declaration, args []byte, how api.How) (any, error) {
	err := l.paced(who, how) // first: each that passes may be a line in the system's log, too
	if err == nil {
		err = checkHow(d, how)
	}
	if err != nil {
		l.Refused(who, d, args, how, err)
		return nil, err
	}
	if how.Key == "" || how.DryRun {
		return l.typed(d, func() (outcome, error) { return l.change(ctx, who, d, args, how) })
	}
	return l.typed(d, func() (outcome, error) {
		return l.replays.once(ctx, replayKey(who, how.Key), request(d, args, how), who.Login, func() (outcome, error) { return l.change(ctx, who, d, args, how) })
	})
}

type outcome = api.Outcome[any]

func (l *Ledger) typed(d api.Declaration, f func() (outcome, error)) (any, error) {
	o, err := f()
	if err != nil {
		return nil, err
	}
	return l.table.Outcome(d.Name, o), nil
}

// checkHow refuses what cannot be asked of a command.
func checkHow(d api.Declaration, how api.How) error {
	switch {
	case how.ConfirmWithin == 0:
	case d.Inverse == "":
		return api.Failf(api.BadArgument, "%s cannot be undone, so there is nothing to confirm: ask without it, or look first with a dry run", d.Name)
	case how.ConfirmWithin < api.MinConfirm || how.ConfirmWithin > api.MaxConfirm:
		return api.Failf(api.BadArgument, "confirm within %v: must be %v to %v", how.ConfirmWithin, api.MinConfirm, api.MaxConfirm)
	}
	if len(how.Key) > api.MaxKey || strings.ContainsFunc(how.Key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return api.Failf(api.BadArgument, "an idempotency key is 1 to %d printable ASCII characters without blanks", api.MaxKey)
	}
	return nil
}

func (l *Ledger) change(ctx context.Context, who api.Caller, d api.Declaration, args []byte, how api.How) (o outcome, err error) {
	leave, err := l.enter(ctx, d)
	if err != nil {
		return o, err
	}
	defer leave()
	p, err := l.table.Plan(ctx, who, d.Name, args)
	if err == nil && how.ConfirmWithin > 0 && p.Undo == nil && !p.Nothing() {
		err = api.Failf(api.Conflict, "%s cannot be undone as things are, so there is nothing to confirm: ask without it", d.Name)
	}
	if err == nil {
		err = l.pending.overlaps(p, d.Redact(args))
	}
	if err != nil {
		l.Refused(who, d, args, how, err)
		return o, err
	}
	o.Plan = p.Plan
	r := record(audit.Attempt, who, d, args, how)
	r.Summary, r.Before, r.After = text(p.Plan.Summary), text(p.Before), text(p.After)
	if how.DryRun {
		r.Kind, r.Result = audit.DryRun, "nothing"
		l.metrics.done("dry-run")
		head, _ := l.audit.Append(r) // nothing was changed
		o.DryRun, o.Audit = true, api.AuditHead(head)
		return o, nil
	}
	return l.carryOut(ctx, who, p, r, how, o)
}

// enter waits for those who change something now. Urgent ones do not: a daemon next door that hangs must not keep a key valid.
func (l *Ledger) enter(ctx context.Context, d api.Declaration) (leave func(), err error) {
	if l.leaving.Load() || !l.frozen.TryRLock() {
		return nil, api.Failf(api.Unavailable, "another ntptsd is taking over, which takes seconds: try again when that is done")
	}
	if d.Urgent {
		return l.frozen.RUnlock, nil
	}
	select {
	case l.turn <- struct{}{}:
		return func() { <-l.turn; l.frozen.RUnlock() }, nil
	case <-ctx.Done():
		l.frozen.RUnlock()
		return nil, api.Failf(api.Unavailable, "another change is being made; try again in a moment")
	}
}

// Freeze waits for the changes that are being made, and lets no other be made: a newer process takes over.
func (l *Ledger) Freeze(ctx context.Context) error {
	l.leaving.Store(true)
	for !l.frozen.TryLock() { // changes end soon, by their own deadlines
		select {
		case <-ctx.Done():
			l.leaving.Store(false)
			return context.Cause(ctx)
		case <-time.After(freezePoll):
		}
	}
	return nil
}

// Thaw ends that.
func (l *Ledger) Thaw() {
	l.frozen.Unlock()
	l.leaving.Store(false)
}

const freezePoll = 10 * time.Millisecond

// carryOut makes a change that is planned.
func (l *Ledger) carryOut(ctx context.Context, who api.Caller, p *api.Planned, r audit.Record, how api.How, o outcome) (outcome, error) {
	head, err := l.audit.Append(r)
	written := err == nil
	if err != nil {
		if !p.Urgent || !who.Root || how.ConfirmWithin > 0 { // the change has no number to be confirmed by
			l.metrics.done("unwritten")
			return o, api.Failf(api.Unavailable, "nothing was changed, because it cannot be written into the audit log: %w; root may still revoke and drain on the control socket, without confirm-within", err)
		}
		l.log.Warn("done without a record, because the audit log cannot be written", "command", p.Name, "caller", who.Name, "arguments", string(r.Args), "error", err)
	}
	o.Change = head.Sequence
	confirm := how.ConfirmWithin > 0 && !p.Nothing()
	if confirm {
		if o.ConfirmBy, err = l.pending.add(o.Change, p, r, how.ConfirmWithin, time.Now()); err != nil { // without a number: the same key may be tried again
			return outcome{}, l.finish(r, o.Change, p, nil, api.Failf(api.Unavailable, "nothing was changed, because how to undo it cannot be written down: %w", err))
		}
	}
	result, err := p.Do(ctx)
	if err != nil {
		if confirm && certainly(err) {
			_ = l.pending.remove(o.Change) // else it is undone in vain
		}
		return o, l.finish(r, o.Change, p, nil, err)
	}
	o.Result = &result
	if err := l.pending.supersede(o.Change, p); err != nil {
		l.log.Error("a change that was undone by hand may be undone once more, with what was made after it: confirm it", "command", p.Name, "change", o.Change, "error", err)
	}
	l.made(who, p, o)
	if !written {
		return o, nil
	}
	return o, l.finish(r, o.Change, p, &o.Audit, nil)
}

// certainly tells that what failed has changed nothing, so that there is nothing to undo. Whoever did not answer may have
// done it all the same.
func certainly(err error) bool {
	k := api.KindOf(err)
	return k != api.Unavailable && k != api.Internal
}

// finish writes down what became of an attempt. It returns its error, or that of the log.
func (l *Ledger) finish(r audit.Record, of uint64, p *api.Planned, head *api.AuditHead, failed error) error {
	r.Kind, r.Of, r.Result, r.Summary, r.Before, r.After, r.Args = audit.Outcome, of, "done", "", "", "", nil
	switch {
	case failed != nil:
		r.Result, r.Error = string(api.KindOf(failed)), text(failed.Error())
	case p.Nothing():
		r.Result = "nothing"
	}
	l.metrics.done(r.Result)
	h, err := l.audit.Append(r)
	switch {
	case failed != nil:
		return failed
	case err != nil:
		return api.Failf(api.Unavailable, "it was done, but that cannot be written into the audit log: %w", err)
	}
	*head = api.AuditHead(h)
	return nil
}

func record(kind string, who api.Caller, d api.Declaration, args []byte, how api.How) audit.Record {
	r := audit.Record{Kind: kind, Caller: text(who.Name), Role: who.Role.String(), Command: d.Name, Args: d.Redact(args),
		DryRun: how.DryRun, Confirm: how.ConfirmWithin.Seconds(), Key: how.Key}
	if who.From.IsValid() {
		r.From = who.From.String()
	}
	if checkHow(d, how) != nil {
		r.Key = "" // it may be anything
	}
	return r
}

// text is what may stand in a record.
func text(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= maxWritten {
		return s
	}
	return strings.ToValidUTF8(s[:maxWritten], "") + fmt.Sprintf(" (and %d octets more)", len(s)-maxWritten)
}
