package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// Declaration is what everybody may know of a command without calling it.
type Declaration struct {
	Name    string // words, as typed: "keys rotate"
	Role    Role   // at least
	Changes bool   // whether it changes anything
	Summary string // a line, lower case, no full stop
	Args    []Arg  // in the order in which they are typed
	Inverse string // the command that undoes what it changes; empty: there is none, and it cannot be confirmed
	Urgent  bool   // root may do it on the control socket even when it cannot be written down
}

// Path is where the command is in HTTP: /v1/keys, /v1/actions/keys-rotate.
func (d Declaration) Path() string {
	path := strings.ReplaceAll(d.Name, " ", "-")
	if d.Changes {
		return "/v1/actions/" + path
	}
	return "/v1/" + path
}

// Permit is a Denied error unless the caller has the role, and is not confined to other things.
func (d Declaration) Permit(who Caller) error {
	if who.Only != nil && !slices.Contains(who.Only, d.Name) {
		return Failf(Denied, "%s may use nothing but: %s", who.Name, strings.Join(who.Only, ", "))
	}
	if who.Role < d.Role {
		return Failf(Denied, "%s needs the role %s, and %s has %s", d.Name, d.Role, who.Name, who.Role)
	}
	return nil
}

// Arg is one argument of a command.
type Arg struct {
	Name    string `json:"name"` // in JSON and on command lines
	Summary string `json:"summary"`
	Number  bool   `json:"number"` // a whole number; else text
	Flag    bool   `json:"flag"`   // true or false; a flag
	Secret  bool   `json:"secret"` // is never shown or written down
}

// Command declares a command that takes an A and answers an R. A is a struct with fields of type string, int and bool, named by
// `json` and described by `help`; the zero value of each means that it was not given. Secrets have the tag `secret:"yes"`.
type Command[A, R any] struct {
	Name    string
	Role    Role
	Changes bool
	Summary string
	Inverse string
	Urgent  bool
}

// Declaration implements Declared.
func (c Command[A, R]) Declaration() Declaration {
	d := Declaration{Name: c.Name, Role: c.Role, Changes: c.Changes, Summary: c.Summary, Inverse: c.Inverse, Urgent: c.Urgent}
	for f := range reflect.TypeFor[A]().Fields() {
		d.Args = append(d.Args, Arg{Name: f.Tag.Get("json"), Summary: f.Tag.Get("help"), Number: f.Type.Kind() == reflect.Int,
			Flag: f.Type.Kind() == reflect.Bool, Secret: f.Tag.Get("secret") != ""})
	}
	return d
}

// Stub binds the command to a handler that answers what fill makes of an empty result, for tests of whoever serves the table.
func (c Command[A, R]) Stub(fill func(result reflect.Value)) Binding {
	answer := func(context.Context, Caller, A) (r R, err error) {
		fill(reflect.ValueOf(&r).Elem())
		return r, nil
	}
	if !c.Changes {
		return Bind(c, answer)
	}
	return BindChange(c, func(ctx context.Context, who Caller, a A) (change Change[R], err error) {
		change.Plan = Plan{Summary: c.Summary, Before: "this", After: "that"}
		if c.Inverse != "" {
			change.Undo = &Step{Command: c.Inverse}
		}
		change.Do = func(context.Context) (R, error) { return answer(ctx, who, a) }
		return change, nil
	})
}

// Declared is any Command.
type Declared interface{ Declaration() Declaration }

// Binding is a command with its handler.
type Binding struct {
	Declaration
	call    func(ctx context.Context, who Caller, args []byte) (any, error)      // nil: it changes something
	plan    func(ctx context.Context, who Caller, args []byte) (*Planned, error) // nil: it only reads
	outcome func(o Outcome[any]) any
	result  reflect.Type
}

// Bind gives a command that only reads its handler. The handler is called for callers with the role alone, with arguments that are well
// formed. It may leave lists of its result nil: callers find them empty, never null.
func Bind[A, R any](c Command[A, R], handle func(context.Context, Caller, A) (R, error)) Binding {
	d := c.Declaration()
	return Binding{Declaration: d, call: func(ctx context.Context, who Caller, args []byte) (any, error) {
		var a A
		if err := d.decode(args, &a); err != nil {
			return nil, Failf(BadArgument, "%s: %w", c.Name, err)
		}
		r, err := handle(ctx, who, a)
		if err != nil {
			return nil, err
		}
		fillLists(reflect.ValueOf(&r).Elem())
		return r, nil
	}, result: reflect.TypeFor[R]()}
}

// decode reads one JSON object without unknown members; nothing at all is the empty object, a member that is null was not
// given.
func decode(b []byte, into any) error {
	b = bytes.TrimSpace(b)
	switch {
	case len(b) == 0:
		return nil
	case b[0] != '{': // null, too, which the decoder would take
		return errors.New("the arguments must be a JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("the arguments must be a JSON object of what the command takes: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the JSON object of the arguments")
	}
	return nil
}

// decode reads arguments. It refuses members that the decoder takes for another's name, in other case: what is written down, and a key
// of idempotency, go by the names as they are declared.
func (d Declaration) decode(args []byte, into any) error {
	if err := decode(args, into); err != nil || len(bytes.TrimSpace(args)) == 0 {
		return err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(args, &members); err != nil {
		return err
	}
	for name := range members {
		if !slices.ContainsFunc(d.Args, func(a Arg) bool { return a.Name == name }) {
			return fmt.Errorf("the arguments must be a JSON object of what the command takes: unknown field %q", name)
		}
	}
	return nil
}

// fillLists makes an empty list of each nil one, so that no reader of the JSON meets null where a list is declared. The
// elements may be part of a snapshot that others read: they are copied first.
func fillLists(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				fillLists(f)
			}
		}
	case reflect.Slice:
		own := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(own, v)
		for i := range own.Len() {
			fillLists(own.Index(i))
		}
		v.Set(own)
	}
}

// Table holds every declared command with exactly one handler.
type Table struct{ bindings []Binding }

// NewTable fails when a declared command has not exactly one handler, or a handler not this declaration.
func NewTable(declared []Declared, bindings ...Binding) (*Table, error) {
	var errs []error
	t := &Table{}
	for _, c := range declared {
		d, n := c.Declaration(), 0
		for _, b := range bindings {
			if b.Name != d.Name {
				continue
			}
			n++
			t.bindings = append(t.bindings, b)
			if !reflect.DeepEqual(b.Declaration, d) { // with a lower role, for instance
				errs = append(errs, fmt.Errorf("api: command %q is bound as something else than it is declared", d.Name))
			}
			if (b.plan != nil) != d.Changes {
				errs = append(errs, fmt.Errorf("api: command %q is bound as one that changes something, or as one that does not, and is the other", d.Name))
			}
		}
		if n != 1 {
			errs = append(errs, fmt.Errorf("api: command %q has %d handlers instead of one", d.Name, n))
		}
		if d.Inverse != "" && !undoes(declared, d) {
			errs = append(errs, fmt.Errorf("api: command %q declares the inverse %q, which is none: it must change something with the same role", d.Name, d.Inverse))
		}
	}
	for _, b := range bindings {
		if !slices.ContainsFunc(declared, func(c Declared) bool { return c.Declaration().Name == b.Name }) {
			errs = append(errs, fmt.Errorf("api: command %q is bound but not declared", b.Name))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return t, nil
}

// Declarations are all commands in their order.
func (t *Table) Declarations() []Declaration {
	all := make([]Declaration, 0, len(t.bindings))
	for _, b := range t.bindings {
		all = append(all, b.Declaration)
	}
	return all
}

// undoes tells whether the inverse that a command declares can be one.
func undoes(declared []Declared, d Declaration) bool {
	return slices.ContainsFunc(declared, func(c Declared) bool {
		i := c.Declaration()
		return i.Name == d.Inverse && i.Changes && i.Role == d.Role
	})
}

// Find is the declaration of a command.
func (t *Table) Find(name string) (d Declaration, ok bool) {
	if b := t.find(name); b != nil {
		return b.Declaration, true
	}
	return d, false
}

func (t *Table) find(name string) *Binding {
	for i := range t.bindings {
		if t.bindings[i].Name == name {
			return &t.bindings[i]
		}
	}
	return nil
}

// Result is the type of what a command answers, for those who describe it; nil: there is no such command.
func (t *Table) Result(name string) reflect.Type {
	if b := t.find(name); b != nil {
		return b.result
	}
	return nil
}

// Call checks the role and the arguments, a JSON object, and calls the handler of a command that only reads. Its error is an
// *Error.
func (t *Table) Call(ctx context.Context, who Caller, name string, args []byte) (any, error) {
	b := t.find(name)
	if b == nil || b.call == nil {
		return nil, Failf(NotFound, "there is no command %q that only reads", name)
	}
	if err := b.Permit(who); err != nil {
		return nil, err
	}
	result, err := b.call(ctx, who, args)
	if err != nil {
		return nil, Fail(KindOf(err), err)
	}
	return result, nil
}
