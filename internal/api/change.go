package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

// Plan is what a change would do, in words, worked out without doing it. It names secrets and never shows one.
type Plan struct {
	Summary string `json:"summary"` // one line
	Before  string `json:"before"`  // how it is; empty: it is not there
	After   string `json:"after"`   // how it will be; empty: it will not be there
	Diff    string `json:"diff"`    // of a file that is written, unified; empty: none is
}

// Step is a command with its arguments, a JSON object.
type Step struct {
	Command string          `json:"command"`
	Args    json.RawMessage `json:"args"`
}

// StepOf is the step of a command with these arguments.
func StepOf[A, R any](c Command[A, R], args A) *Step {
	b, err := json.Marshal(args)
	if err != nil {
		panic(err) // arguments are structs of texts and numbers
	}
	return &Step{c.Name, b}
}

// Change is a Plan with what carries it out.
type Change[R any] struct {
	Plan
	// Undo is what undoes it: the command that is declared as the inverse, with its arguments. Nil: nothing does.
	Undo *Step
	// Do carries it out, once, and answers. Nil: there is nothing to do, since all is as it would be already; then the
	// answer is Result.
	Do func(ctx context.Context) (R, error)
	// Result is the answer where there is nothing to do.
	Result R
}

// How says in which way a change is asked for.
type How struct {
	DryRun        bool          // answer with the plan alone
	ConfirmWithin time.Duration // undo it unless it is confirmed by then; zero: it stays
	Key           string        // of idempotency: the same change is done once, however often it is sent; empty: each time
}

// The bounds of How.
const (
	MinConfirm = 10 * time.Second
	MaxConfirm = 24 * time.Hour
	MaxKey     = 64 // printable ASCII characters
)

// AuditHead is the end of the audit log, as protocol/audit has it: who keeps one can tell later that nothing before it was
// changed or cut off.
type AuditHead struct {
	Sequence  uint64 `json:"seq"`
	Hash      string `json:"hash"`
	Signature string `json:"signature"` // Ed25519 over both, base64; empty: nothing is written
}

// Outcome is what a command answers that changes something.
type Outcome[R any] struct {
	Plan
	DryRun    bool       `json:"dry_run"`
	Replayed  bool       `json:"replayed"`   // it was done before, under the same idempotency key
	Change    uint64     `json:"change"`     // number in the audit log, by which it is confirmed; 0 in a dry run
	ConfirmBy *time.Time `json:"confirm_by"` // when it undoes itself; null: never
	Audit     AuditHead  `json:"audit"`      // the end of the audit log behind it
	Result    *R         `json:"result"`     // null in a dry run, and where it was replayed over a restart
}

// Planned is a Change of any command.
type Planned struct {
	Declaration
	Plan
	Undo    *Step
	nothing bool
	do      func(ctx context.Context) (any, error)
}

// Nothing tells that all is as it would be already.
func (p *Planned) Nothing() bool { return p.nothing }

// Do carries the plan out. Its error is an *Error.
func (p *Planned) Do(ctx context.Context) (any, error) {
	result, err := p.do(ctx)
	if err != nil {
		return nil, Fail(KindOf(err), err)
	}
	return result, nil
}

// BindChange gives a command that changes something its planner. That is called for callers with the role alone, with
// arguments that are well formed; it changes nothing and says all that can be said against the change.
func BindChange[A, R any](c Command[A, R], plan func(context.Context, Caller, A) (Change[R], error)) Binding {
	b := Binding{Declaration: c.Declaration(), result: reflect.TypeFor[Outcome[R]]()}
	b.outcome = typed[R]
	b.plan = func(ctx context.Context, who Caller, args []byte) (*Planned, error) {
		var a A
		if err := b.decode(args, &a); err != nil {
			return nil, Failf(BadArgument, "%s: %w", c.Name, err)
		}
		change, err := plan(ctx, who, a)
		if err != nil {
			return nil, err
		}
		return planned(b.Declaration, change)
	}
	return b
}

func planned[R any](d Declaration, c Change[R]) (*Planned, error) {
	if c.Undo != nil && c.Undo.Command != d.Inverse {
		return nil, Failf(Internal, "%s is to be undone by %q, which is not what it declares: %q", d.Name, c.Undo.Command, d.Inverse)
	}
	p := &Planned{Declaration: d, Plan: c.Plan, Undo: c.Undo, nothing: c.Do == nil}
	p.do = func(ctx context.Context) (any, error) {
		r, err := c.Result, error(nil)
		if c.Do != nil {
			r, err = c.Do(ctx)
		}
		if err != nil {
			return nil, err
		}
		fillLists(reflect.ValueOf(&r).Elem())
		return &r, nil
	}
	return p, nil
}

// typed gives an outcome the type of its command.
func typed[R any](o Outcome[any]) any {
	t := Outcome[R]{Plan: o.Plan, DryRun: o.DryRun, Replayed: o.Replayed, Change: o.Change, ConfirmBy: o.ConfirmBy, Audit: o.Audit}
	if o.Result != nil {
		t.Result = (*o.Result).(*R)
	}
	return t
}

// Outcome gives an outcome the type that a command's has, for whoever answers it. What is in it must be of that command.
func (t *Table) Outcome(name string, o Outcome[any]) any {
	if b := t.find(name); b != nil && b.outcome != nil {
		return b.outcome(o)
	}
	return o
}

// Plan checks the role and the arguments, a JSON object, and plans. Its error is an *Error.
func (t *Table) Plan(ctx context.Context, who Caller, name string, args []byte) (*Planned, error) {
	b := t.find(name)
	if b == nil || b.plan == nil {
		return nil, Failf(NotFound, "there is no command %q that changes anything", name)
	}
	if err := b.Permit(who); err != nil {
		return nil, err
	}
	p, err := b.plan(ctx, who, args)
	if err != nil {
		return nil, Fail(KindOf(err), err)
	}
	return p, nil
}

// Redact is a JSON object of arguments as it may be written down: what is declared as secret is named alone. What is no
// object of what the command takes is not written at all.
func (d Declaration) Redact(args []byte) json.RawMessage {
	members := make(map[string]json.RawMessage)
	if len(args) > 0 {
		if err := json.Unmarshal(args, &members); err != nil {
			return json.RawMessage(`{}`)
		}
	}
	kept := make(map[string]json.RawMessage)
	for _, a := range d.Args {
		v, given := members[a.Name]
		switch {
		case !given:
		case a.Secret:
			kept[a.Name] = json.RawMessage(`"(secret)"`)
		case len(v) > maxWritten:
			kept[a.Name] = json.RawMessage(fmt.Sprintf(`"(%d octets)"`, len(v)))
		default:
			kept[a.Name] = v
		}
	}
	b, err := json.Marshal(kept)
	if err != nil {
		return json.RawMessage(`{}`)
	}
	return b
}

// maxWritten bounds an argument in what is written down: anybody with a role may send up to the longest body.
const maxWritten = 1024

// SplitHow takes what says how off the arguments of a change: its members stand beside them in one JSON object. The key of
// idempotency comes another way.
func SplitHow(body []byte) (args []byte, how How, err error) {
	if body = bytes.TrimSpace(body); len(body) == 0 || body[0] != '{' {
		return body, how, nil // which whoever decodes it complains about, if it is not empty
	}
	var members map[string]json.RawMessage
	if err := decode(body, &members); err != nil {
		return nil, how, Fail(BadArgument, err)
	}
	var seconds float64
	for name, into := range map[string]any{"dry_run": &how.DryRun, "confirm_within_seconds": &seconds} {
		if v, given := members[name]; given {
			if err := json.Unmarshal(v, into); err != nil {
				return nil, how, Failf(BadArgument, "%s: %w", name, err)
			}
			delete(members, name)
		}
	}
	if seconds < 0 || seconds > MaxConfirm.Seconds() {
		return nil, how, Failf(BadArgument, "confirm_within_seconds: must be %v to %v, or left out", MinConfirm.Seconds(), MaxConfirm.Seconds())
	}
	how.ConfirmWithin = time.Duration(seconds * float64(time.Second))
	args, err = json.Marshal(members)
	return args, how, err
}
