package frontdoor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Changes carries out what changes something, and writes down who wanted what. Safe for concurrent use. Errors have an
// api.Kind.
type Changes interface {
	Change(ctx context.Context, who api.Caller, d api.Declaration, args []byte, how api.How) (any, error)
	// Refused is told of those who are known and may not, or did not ask well.
	Refused(who api.Caller, d api.Declaration, args []byte, how api.How, why error)
}

// Desk does the commands of the table, within bounds, and writes down what was changed, whichever way somebody asks.
type Desk struct {
	table   *api.Table
	changes Changes
	admins  chan struct{} // places of admins,
	others  chan struct{} // of everybody else,
	kept    chan struct{} // and of operators beside those
	log     *slog.Logger
	faults  *faults
}

// NewDesk makes one with places of its own.
func NewDesk(table *api.Table, changes Changes, log *slog.Logger) *Desk {
	log = log.With("section", "monitoring")
	return newDesk(table, changes, log, &faults{log: log})
}

func newDesk(table *api.Table, changes Changes, log *slog.Logger, faults *faults) *Desk {
	return &Desk{table: table, changes: changes, log: log, faults: faults,
		admins: make(chan struct{}, commandsOfAdmins), kept: make(chan struct{}, keptForOperators),
		others: make(chan struct{}, maxCommands-commandsOfAdmins-keptForOperators)}
}

// Declarations are all commands in their order.
func (d *Desk) Declarations() []api.Declaration { return d.table.Declarations() }

// Call does a command. Its error has an api.Kind. how is for those that change something.
func (d *Desk) Call(ctx context.Context, who api.Caller, name string, args []byte, how api.How) (any, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandTimeout, fmt.Errorf("it was not done within %v", commandTimeout))
	defer cancel()
	c, ok := d.table.Find(name)
	if !ok {
		return nil, api.Failf(api.NotFound, "there is no command %q", name)
	}
	if err := d.permit(who, c, args, how); err != nil { // who may not takes no place
		return nil, err
	}
	leave, err := d.enter(ctx, who)
	if err != nil {
		return nil, err
	}
	defer leave()
	return d.do(ctx, who, c, args, how)
}

// permit is Declaration.Permit, and has it written down that somebody who is known tried.
func (d *Desk) permit(who api.Caller, c api.Declaration, args []byte, how api.How) error {
	err := c.Permit(who)
	if err == nil && !c.Changes && how != (api.How{}) {
		return api.Failf(api.BadArgument, "%s changes nothing: there is nothing to try, to confirm or to repeat", c.Name)
	}
	if err != nil {
		d.refused(who, c, args, how, err)
	}
	return err
}

// refused has it written down that a change was not even looked at. Strangers are not written down: anybody is one.
func (d *Desk) refused(who api.Caller, c api.Declaration, args []byte, how api.How, why error) {
	if c.Changes && who.Role > api.Anonymous && d.changes != nil {
		d.changes.Refused(who, c, args, how, why)
	}
}

// enter takes a place, which leave gives back.
func (d *Desk) enter(ctx context.Context, who api.Caller) (leave func(), err error) {
	places, kept := d.others, (chan struct{})(nil)
	switch who.Role { // what the others have asked for must not lock an admin out, nor an operator what those below have
	case api.Admin:
		places = d.admins
	case api.Operator:
		kept = d.kept
	}
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case kept <- struct{}{}:
		return func() { <-kept }, nil
	case <-ctx.Done():
		return nil, api.Failf(api.Unavailable, "%d commands run already; try again later", cap(places)+cap(kept))
	}
}

// do does a command that the caller may.
func (d *Desk) do(ctx context.Context, who api.Caller, c api.Declaration, args []byte, how api.How) (any, error) {
	result, err := d.call(ctx, who, c, args, how)
	if k := api.KindOf(err); !(how.DryRun || k == api.TooMany) || err != nil && k == api.Internal { // nothing bounds these, but in the audit log
		d.note(who, c, args, err)
	}
	return result, err
}

func (d *Desk) call(ctx context.Context, who api.Caller, c api.Declaration, args []byte, how api.How) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			result, err = nil, api.Failf(api.Internal, "panic: %v\n%s", p, debug.Stack())
		}
	}()
	switch {
	case !c.Changes:
		result, err = d.table.Call(ctx, who, c.Name, args)
	case d.changes == nil:
		err = api.Failf(api.Internal, "nobody carries changes out here")
	default:
		result, err = d.changes.Change(ctx, who, c, args, how)
	}
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) && api.KindOf(err) == api.Internal { // it says no more than that it was told to give up
		return nil, api.Failf(api.Unavailable, "%s was given up: %w", c.Name, context.Cause(ctx))
	}
	return result, err
}

// note writes what was changed, or tried to, by whom. Of what only reads it tells what is our own fault.
func (d *Desk) note(who api.Caller, c api.Declaration, args []byte, err error) {
	about := []any{"command", c.Name, "caller", who.Name, "arguments", string(c.Redact(args))}
	ours := err != nil && api.KindOf(err) == api.Internal
	if err != nil {
		about = append(about, "error", err)
	}
	switch {
	case ours && c.Changes:
		d.log.Error("command failed", about...)
	case ours:
		d.faults.tell("command failed", about...)
	case !c.Changes:
	case err != nil:
		d.log.Info("command refused", about...)
	default:
		d.log.Info("command done", about...)
	}
}
