package frontdoor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Desk does the commands of the table, within bounds, and writes down what was changed, whichever way somebody asks.
type Desk struct {
	table  *api.Table
	admins chan struct{} // places of admins, and
	others chan struct{} // of everybody else
	log    *slog.Logger
	faults *faults
}

// NewDesk makes one with places of its own.
func NewDesk(table *api.Table, log *slog.Logger) *Desk {
	log = log.With("section", "monitoring")
	return newDesk(table, log, &faults{log: log})
}

func newDesk(table *api.Table, log *slog.Logger, faults *faults) *Desk {
	return &Desk{table: table, log: log, faults: faults,
		admins: make(chan struct{}, commandsOfAdmins), others: make(chan struct{}, maxCommands-commandsOfAdmins)}
}

// Declarations are all commands in their order.
func (d *Desk) Declarations() []api.Declaration { return d.table.Declarations() }

// Call does a command. Its error has an api.Kind.
func (d *Desk) Call(ctx context.Context, who api.Caller, name string, args []byte) (any, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandTimeout, fmt.Errorf("it was not done within %v", commandTimeout))
	defer cancel()
	for _, c := range d.table.Declarations() {
		if c.Name != name {
			continue
		}
		if err := c.Permit(who); err != nil { // who may not takes no place
			return nil, err
		}
		leave, err := d.enter(ctx, who)
		if err != nil {
			return nil, err
		}
		defer leave()
		return d.do(ctx, who, c, args)
	}
	return nil, api.Failf(api.NotFound, "there is no command %q", name)
}

// enter takes a place, which leave gives back.
func (d *Desk) enter(ctx context.Context, who api.Caller) (leave func(), err error) {
	places := d.others
	if who.Role == api.Admin { // what the others have asked for must not lock an admin out
		places = d.admins
	}
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, api.Failf(api.Unavailable, "%d commands run already; try again later", cap(places))
	}
}

// do does a command that the caller may.
func (d *Desk) do(ctx context.Context, who api.Caller, c api.Declaration, args []byte) (any, error) {
	result, err := d.call(ctx, who, c, args)
	d.note(who, c, args, err)
	return result, err
}

func (d *Desk) call(ctx context.Context, who api.Caller, c api.Declaration, args []byte) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			result, err = nil, api.Failf(api.Internal, "panic: %v\n%s", p, debug.Stack())
		}
	}()
	result, err = d.table.Call(ctx, who, c.Name, args)
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) && api.KindOf(err) == api.Internal { // it says no more than that it was told to give up
		return nil, api.Failf(api.Unavailable, "%s was given up: %w", c.Name, context.Cause(ctx))
	}
	return result, err
}

// note writes what was changed, or tried to, by whom. Of what only reads it tells what is our own fault.
func (d *Desk) note(who api.Caller, c api.Declaration, args []byte, err error) {
	about := []any{"command", c.Name, "caller", who.Name, "arguments", string(args)}
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
