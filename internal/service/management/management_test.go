package management

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/keyring"
)

// world is everything that the service changes.
type world struct {
	err      error
	bad      error // of the configuration
	done     string
	pages    []string
	draining bool
}

func (w *world) parts() Parts {
	return Parts{Rings: w, Targets: w, Logins: w, Reload: w.reload, Check: w.check, Pages: w.addresses, Ledger: w}
}

func (w *world) addresses() []string { return w.pages }

func (w *world) Link(_ api.Caller, role api.Role) (string, time.Time, error) {
	w.done = "login " + role.String()
	return "once", time.Unix(1_700_000_000, 0), w.err
}

func (w *world) Rotate(_ context.Context, ring string) error {
	w.done = "rotate " + ring
	return w.err
}

func (w *world) Drain(id string, drain bool) error {
	w.done = fmt.Sprint("drain ", id, " ", drain)
	return w.err
}

func (w *world) View() []api.Ring {
	return []api.Ring{{Name: "default", Keys: []api.Key{{ID: "aa", State: api.KeyCurrent}, {ID: "bb", State: api.KeyNext}}}, {Name: "shared"}}
}
func (w *world) Targets() []api.Target { return []api.Target{{ID: "a", Draining: w.draining}} }
func (w *world) check() error          { return w.bad }
func (w *world) reload() error         { w.done = "reload"; return w.err }

// table has what this service binds.
func (w *world) table(t *testing.T) *api.Table {
	t.Helper()
	bindings := New(w.parts()).Bindings()
	var declared []api.Declared
	for _, d := range api.Commands() {
		d := d.Declaration()
		if d.Changes || slices.ContainsFunc(bindings, func(b api.Binding) bool { return b.Name == d.Name }) {
			declared = append(declared, declaration(d))
		}
	}
	table, err := api.NewTable(declared, bindings...)
	if err != nil {
		t.Fatal(err) // there is a handler for each command that changes something
	}
	return table
}

type declaration api.Declaration

func (d declaration) Declaration() api.Declaration { return api.Declaration(d) }

func (w *world) plan(t *testing.T, role api.Role, name, args string) (*api.Planned, error) {
	t.Helper()
	return w.table(t).Plan(t.Context(), api.Caller{Role: role, Name: "test"}, name, []byte(args))
}

// call plans, and does it.
func (w *world) call(t *testing.T, role api.Role, name, args string) error {
	t.Helper()
	p, err := w.plan(t, role, name, args)
	if w.done != "" {
		t.Errorf("%s %s: planning does %q", name, args, w.done)
	}
	if err == nil {
		_, err = p.Do(t.Context())
	}
	return err
}

func TestEveryChangeIsDoneByOperatorsAlone(t *testing.T) {
	for _, c := range []struct{ name, args, want string }{
		{"keys rotate", "", "rotate default"},
		{"keys rotate", `{"ring":"shared"}`, "rotate shared"},
		{"targets drain", `{"target":"a"}`, "drain a true"},
		{"targets undrain", `{"target":"a"}`, "drain a false"},
		{"changes confirm", `{"change":7}`, "confirm 7"},
		{"changes undo", `{"change":7}`, "undo 7"},
		{"reload", "", "reload"},
		{"login", "", "login monitor"},
		{"login", `{"role":"operator"}`, "login operator"},
	} {
		w := &world{pages: []string{"https://localhost:4461/"}, draining: c.name == "targets undrain"}
		if err := w.call(t, api.Monitor, c.name, c.args); api.KindOf(err) != api.Denied || w.done != "" {
			t.Errorf("%s %s as monitor: %v, done %q", c.name, c.args, err, w.done)
		}
		if err := w.call(t, api.Operator, c.name, c.args); err != nil || w.done != c.want {
			t.Errorf("%s %s: %v, done %q, want %q", c.name, c.args, err, w.done, c.want)
		}
	}
}

func TestLogin(t *testing.T) {
	w := &world{pages: []string{"https://localhost:4461/", "https://time.example:4461/"}}
	c, err := New(w.parts()).login(t.Context(), api.Caller{Role: api.Operator}, api.LoginArg{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.Do(t.Context())
	if err != nil || !slices.Equal(l.URLs, []string{"https://localhost:4461/#token=once", "https://time.example:4461/#token=once"}) {
		t.Errorf("%+v, %v", l, err)
	}
	for args, want := range map[string]api.Kind{`{"role":"anonymous"}`: api.BadArgument, `{"role":"root"}`: api.BadArgument, `{"role":"admin"}`: api.Denied} {
		w.done = ""
		if err := w.call(t, api.Operator, "login", args); api.KindOf(err) != want || w.done != "" {
			t.Errorf("%s: %v, done %q", args, err, w.done)
		}
	}
	if err := new(world).call(t, api.Admin, "login", ""); api.KindOf(err) != api.Conflict {
		t.Errorf("without a dashboard: %v", err)
	}
}

func TestErrorsHaveKinds(t *testing.T) {
	for _, c := range []struct {
		name, args string
		err        error
		want       api.Kind
	}{
		{"keys rotate", `{"ring":"other"}`, nil, api.NotFound},
		{"keys rotate", "", keyring.ErrUnpublished, api.Conflict},
		{"keys rotate", "", keyring.ErrUnsynchronised, api.Conflict},
		{"keys rotate", "", keyring.ErrFollowed, api.Conflict},
		{"keys rotate", "", keyring.ErrPromised, api.Conflict},
		{"keys rotate", "", context.DeadlineExceeded, api.Unavailable},
		{"keys rotate", "", errors.New("no space left on device"), api.Internal},
		{"targets drain", `{"target":"b"}`, nil, api.NotFound},
		{"changes confirm", "", nil, api.BadArgument},
		{"changes confirm", `{"change":-1}`, nil, api.BadArgument},
		{"changes confirm", `{"change":8}`, nil, api.NotFound},
		{"changes undo", `{"change":7}`, api.Failf(api.Unavailable, "chronyd does not answer"), api.Unavailable},
		{"targets drain", "", nil, api.BadArgument},
		{"reload", "", errors.New("keyring.file: restart ntptsd"), api.Conflict},
	} {
		w := &world{err: c.err}
		err := w.call(t, api.Admin, c.name, c.args)
		if api.KindOf(err) != c.want || c.err != nil && !strings.Contains(err.Error(), strings.TrimPrefix(c.err.Error(), "keyring: ")) || strings.Contains(err.Error(), "keyring: ") {
			t.Errorf("%s %s with %v: %v of kind %s, want %s", c.name, c.args, c.err, err, api.KindOf(err), c.want)
		}
	}
}

func (w *world) Pending() []api.Unconfirmed {
	return []api.Unconfirmed{{ID: 7, Role: "operator", Plan: api.Plan{Summary: "drain a"}}, {ID: 9, Role: "admin"}}
}

func (w *world) Confirm(id uint64) error {
	w.done = fmt.Sprint("confirm ", id)
	return w.err
}

func (w *world) UndoNow(_ context.Context, id uint64) error {
	w.done = fmt.Sprint("undo ", id)
	return w.err
}

// Who could not have made a change does not decide about it.
func TestSettlingNeedsTheRole(t *testing.T) {
	for _, name := range []string{"changes confirm", "changes undo"} {
		if err := new(world).call(t, api.Operator, name, `{"change":9}`); api.KindOf(err) != api.Denied {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A plan says what would change, and how it is undone.
func TestPlans(t *testing.T) {
	for _, c := range []struct {
		name, args, summary, before, after, undo string
		nothing                                  bool
	}{
		{"keys rotate", "", "make the next key of ring default the current one", "key aa", "key bb", "", false},
		{"targets drain", `{"target":"a"}`, "send no more clients to target a", "serving", "drained", `targets undrain {"target":"a"}`, false},
		{"targets undrain", `{"target":"a"}`, "send clients to target a again", "serving", "serving", `targets drain {"target":"a"}`, true},
		{"changes confirm", `{"change":7}`, "let change 7 stay: drain a", "", "", "", false},
	} {
		p, err := new(world).plan(t, api.Operator, c.name, c.args)
		if err != nil {
			t.Error(err)
			continue
		}
		undo := ""
		if p.Undo != nil {
			undo = p.Undo.Command + " " + string(p.Undo.Args)
		}
		if p.Plan != (api.Plan{Summary: c.summary, Before: c.before, After: c.after}) || undo != c.undo || p.Nothing() != c.nothing {
			t.Errorf("%s %s: %+v, undone by %q, nothing %v", c.name, c.args, p.Plan, undo, p.Nothing())
		}
	}
	w := &world{bad: errors.New("ntptsd.toml: unknown key")}
	if _, err := w.plan(t, api.Operator, "reload", ""); api.KindOf(err) != api.Conflict || w.done != "" {
		t.Errorf("a configuration that is wrong: %v, done %q", err, w.done)
	}
}

// file is a Store.
type file struct {
	kept, running string
	err           error
}

func (f *file) File() string          { return "/state/saved.toml" }
func (f *file) Kept() (string, error) { return f.kept, f.err }
func (f *file) Running() string       { return f.running }
func (f *file) Keep(content string) error {
	f.kept = content
	return f.err
}

// unsettled is a Ledger of changes that wait.
type unsettled struct {
	Ledger
	all []api.Unconfirmed
}

func (u *unsettled) Pending() []api.Unconfirmed { return u.all }

func TestSaving(t *testing.T) {
	same, other := &file{"a\n", "a\n", nil}, &file{"a\nb\n", "a\nc\n", nil}
	waiting := &unsettled{}
	s := New(Parts{Stores: []Store{same, other}, Ledger: waiting})
	waiting.all = []api.Unconfirmed{{ID: 7, Command: "bans add"}}
	if _, err := s.save(t.Context(), api.Caller{}, api.None{}); api.KindOf(err) != api.Conflict || !strings.Contains(err.Error(), "change 7, bans add, waits") {
		t.Errorf("what may be undone yet is saved: %v", err)
	}
	waiting.all = nil
	c, err := s.save(t.Context(), api.Caller{}, api.None{})
	if err != nil || !strings.HasPrefix(c.Diff, "--- ") || !strings.Contains(c.Diff, "\n a\n-b\n+c\n") || other.kept != "a\nb\n" || !strings.Contains(c.Summary, "/state/saved.toml") {
		t.Fatalf("%+v, %v", c, err)
	}
	if k, err := c.Do(t.Context()); err != nil || len(k.Files) != 1 || k.Files[0].Diff != c.Diff || other.kept != other.running {
		t.Errorf("%+v, %v", k, err)
	}
	if c, err := s.save(t.Context(), api.Caller{}, api.None{}); err != nil || c.Do != nil {
		t.Errorf("again: %+v, %v", c, err)
	}
	other.err = errors.New("no space left")
	if _, err := s.save(t.Context(), api.Caller{}, api.None{}); api.KindOf(err) != api.Unavailable {
		t.Error(err)
	}
}
