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
	err   error
	done  string
	pages []string
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

func (w *world) View() []api.Ring      { return []api.Ring{{Name: "default"}} }
func (w *world) Targets() []api.Target { return []api.Target{{ID: "a"}} }
func (w *world) reload() error         { w.done = "reload"; return w.err }

func (w *world) call(t *testing.T, role api.Role, name, args string) error {
	t.Helper()
	var declared []api.Declared
	for _, d := range api.Commands() {
		if d.Declaration().Changes {
			declared = append(declared, d)
		}
	}
	table, err := api.NewTable(declared, New(w, w, w, w.reload, w.addresses).Bindings()...)
	if err != nil {
		t.Fatal(err) // there is a handler for each command that changes something, and no other
	}
	_, err = table.Call(t.Context(), api.Caller{Role: role, Name: "test"}, name, []byte(args))
	return err
}

func TestEveryChangeIsDoneByOperatorsAlone(t *testing.T) {
	for _, c := range []struct{ name, args, want string }{
		{"keys rotate", "", "rotate default"},
		{"keys rotate", `{"ring":"shared"}`, "rotate shared"},
		{"targets drain", `{"target":"a"}`, "drain a true"},
		{"targets undrain", `{"target":"a"}`, "drain a false"},
		{"reload", "", "reload"},
		{"login", "", "login monitor"},
		{"login", `{"role":"admin"}`, "login admin"}, // whether that is too much, who makes the token knows
	} {
		w := &world{pages: []string{"https://localhost:4461/"}}
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
	l, err := New(w, w, w, w.reload, w.addresses).login(t.Context(), api.Caller{}, api.LoginArg{})
	if err != nil || !slices.Equal(l.URLs, []string{"https://localhost:4461/#token=once", "https://time.example:4461/#token=once"}) {
		t.Errorf("%+v, %v", l, err)
	}
	for args, want := range map[string]api.Kind{`{"role":"anonymous"}`: api.BadArgument, `{"role":"root"}`: api.BadArgument} {
		w.done = ""
		if err := w.call(t, api.Admin, "login", args); api.KindOf(err) != want || w.done != "" {
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
		{"keys rotate", "", keyring.ErrUnknownRing, api.NotFound},
		{"keys rotate", "", keyring.ErrUnpublished, api.Conflict},
		{"keys rotate", "", keyring.ErrUnsynchronised, api.Conflict},
		{"keys rotate", "", keyring.ErrFollowed, api.Conflict},
		{"keys rotate", "", keyring.ErrPromised, api.Conflict},
		{"keys rotate", "", context.DeadlineExceeded, api.Unavailable},
		{"keys rotate", "", errors.New("no space left on device"), api.Internal},
		{"targets drain", `{"target":"b"}`, api.Failf(api.NotFound, "there is no target"), api.NotFound},
		{"targets drain", "", nil, api.BadArgument},
		{"reload", "", errors.New("keyring.file: restart ntptsd"), api.Conflict},
	} {
		w := &world{err: c.err}
		err := w.call(t, api.Admin, c.name, c.args)
		if api.KindOf(err) != c.want || c.err != nil && !strings.Contains(err.Error(), c.err.Error()) {
			t.Errorf("%s %s with %v: %v of kind %s, want %s", c.name, c.args, c.err, err, api.KindOf(err), c.want)
		}
	}
}
