package management

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/neighbour"
)

// nextDoor is a daemon that does what it is told.
type nextDoor struct {
	outlook neighbour.Outlook
	err     error // of Plan
	failed  error // of Change
	silent  error // of Sources
	planned neighbour.Change
	made    []neighbour.Change
}

func (n *nextDoor) Name() string          { return "chrony" }
func (n *nextDoor) Via() string           { return "a socket" }
func (n *nextDoor) Persistable() []string { return []string{"server a.example nts"} }

func (n *nextDoor) Sources(context.Context) ([]api.Source, error) {
	return []api.Source{{Name: "a.example"}}, n.silent
}

func (n *nextDoor) Plan(_ context.Context, c neighbour.Change) (neighbour.Outlook, error) {
	n.planned = c
	return n.outlook, n.err
}

func (n *nextDoor) Change(_ context.Context, c neighbour.Change) error {
	n.made = append(n.made, c)
	return n.failed
}

// table has what is bound about the daemon next door.
func (n *nextDoor) table(t *testing.T) *api.Table {
	t.Helper()
	bindings := New(Parts{Neighbour: n}).neighbourBindings()
	var declared []api.Declared
	for _, d := range api.Commands() {
		d := d.Declaration()
		if slices.ContainsFunc(bindings, func(b api.Binding) bool { return b.Name == d.Name }) {
			declared = append(declared, declaration(d))
		}
	}
	table, err := api.NewTable(declared, bindings...)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func someone(name string) api.Caller {
	return api.Caller{Role: api.Admin, Name: name, Login: name + "'s"}
}

// rows are the commands with arguments, and what they mean.
func rows() []struct {
	name, args string
	role       api.Role
	want       neighbour.Change
} {
	full := neighbour.NewSource{Name: "a.example", Kind: neighbour.KindPool, Port: 1, NTSPort: 2, MinPoll: neighbour.Log2(0), MaxPoll: neighbour.Log2(-1), Key: 3,
		Version: 4, MaxSources: 5, NTS: true, IBurst: true, Prefer: true, NoSelect: true, Trust: true, Require: true, Interleaved: true}
	return []struct {
		name, args string
		role       api.Role
		want       neighbour.Change
	}{
		{"sources add", `{"source":"a.example"}`, api.Admin, neighbour.Add{NewSource: neighbour.NewSource{Name: "a.example", Kind: neighbour.KindServer}}},
		{"sources add", `{"source":"a.example","kind":"Pool","nts":true,"iburst":true,"prefer":true,"noselect":true,"trust":true,"require":true,"xleave":true,
			"minpoll":"0","maxpoll":"-1","port":1,"ntsport":2,"keyid":3,"version":4,"maxsources":5}`, api.Admin, neighbour.Add{NewSource: full}},
		{"sources delete", `{"source":"a"}`, api.Admin, neighbour.Delete{Source: "a"}},
		{"sources online", `{"source":"a"}`, api.Operator, neighbour.SetOnline{Source: "a", Online: true}},
		{"sources offline", "", api.Operator, neighbour.SetOnline{}},
		{"sources burst", "", api.Operator, neighbour.Burst{Good: 4, Total: 8}},
		{"sources burst", `{"source":"a","good":2,"total":3}`, api.Operator, neighbour.Burst{Source: "a", Good: 2, Total: 3}},
		{"sources minpoll", `{"source":"a","poll":"-3"}`, api.Operator, neighbour.SetPoll{Source: "a", Poll: -3}},
		{"sources maxpoll", `{"source":"a","poll":"10"}`, api.Operator, neighbour.SetPoll{Source: "a", Max: true, Poll: 10}},
		{"sources refresh", "", api.Operator, neighbour.Refresh{}},
		{"sources reload", "", api.Operator, neighbour.ReloadSources{}},
		{"neighbour rekey", "", api.Operator, neighbour.Rekey{}},
		{"neighbour dump", "", api.Operator, neighbour.Dump{}},
		{"neighbour cyclelogs", "", api.Operator, neighbour.CycleLogs{}},
	}
}

func TestNeighbourIsChangedByWhoMay(t *testing.T) {
	for _, c := range rows() {
		n := &nextDoor{outlook: neighbour.Outlook{Summary: "do it", Before: "this", After: "that"}}
		for role := api.Monitor; role < c.role; role++ {
			if _, err := n.table(t).Plan(t.Context(), api.Caller{Role: role, Name: "x"}, c.name, []byte(c.args)); api.KindOf(err) != api.Denied || n.planned != nil {
				t.Errorf("%s as %s: %v, planned %+v", c.name, role, err, n.planned)
			}
		}
		p, err := n.table(t).Plan(t.Context(), api.Caller{Role: c.role, Name: "x"}, c.name, []byte(c.args))
		if err != nil || n.planned != c.want || p.Plan != (api.Plan{Summary: "do it", Before: "this", After: "that"}) || p.Undo != nil {
			t.Errorf("%s %s: %v, planned %+v, want %+v, %+v", c.name, c.args, err, n.planned, c.want, p)
			continue
		}
		if len(n.made) > 0 {
			t.Errorf("%s: the plan makes %+v", c.name, n.made)
		}
		if _, err := p.Do(t.Context()); err != nil || !slices.Equal(n.made, []neighbour.Change{c.want}) {
			t.Errorf("%s %s: %v, made %+v", c.name, c.args, err, n.made)
		}
	}
}

// What is as it would be already is not made again, and answered all the same.
func TestNothingIsDoneTwice(t *testing.T) {
	for _, c := range rows() {
		n := &nextDoor{outlook: neighbour.Outlook{Done: true}}
		p, err := n.table(t).Plan(t.Context(), someone("x"), c.name, []byte(c.args))
		if err != nil || !p.Nothing() {
			t.Fatalf("%s: %v", c.name, err)
		}
		result, err := p.Do(t.Context())
		if s, ok := result.(*api.Sources); err != nil || len(n.made) > 0 || ok && len(s.Sources) != 1 {
			t.Errorf("%s: %+v, %v, made %+v", c.name, result, err, n.made)
		}
	}
}

// The daemon's refusals, and its silence, come as they are.
func TestNeighbourThatRefuses(t *testing.T) {
	for _, c := range rows() {
		for _, kind := range []api.Kind{api.NotFound, api.Conflict, api.Unavailable, api.BadArgument} {
			n := &nextDoor{err: api.Failf(kind, "no")}
			if _, err := n.table(t).Plan(t.Context(), someone("x"), c.name, []byte(c.args)); api.KindOf(err) != kind || err.Error() != "no" {
				t.Errorf("%s: plan %v of kind %s", c.name, err, api.KindOf(err))
			}
			n = &nextDoor{failed: api.Failf(kind, "no")}
			p, err := n.table(t).Plan(t.Context(), someone("x"), c.name, []byte(c.args))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Do(t.Context()); api.KindOf(err) != kind || len(n.made) != 1 {
				t.Errorf("%s: %v of kind %s, made %+v", c.name, err, api.KindOf(err), n.made)
			}
		}
	}
	n := &nextDoor{silent: errors.New("hangs")} // after it was changed
	p, err := n.table(t).Plan(t.Context(), someone("x"), "sources refresh", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Do(t.Context()); api.KindOf(err) != api.Unavailable {
		t.Errorf("%v of kind %s", err, api.KindOf(err))
	}
}

func TestBadArgumentsAboutSources(t *testing.T) {
	for _, c := range []struct{ name, args, want string }{
		{"sources add", "", "name the source"},
		{"sources add", `{"source":"a","nts":"maybe"}`, "of what the command takes"},
		{"sources add", `{"source":"a","minpoll":"6s"}`, "minpoll \"6s\": must be a whole number"},
		{"sources add", `{"source":"a","maxpoll":"99999999999"}`, "must be a whole number"},
		{"sources add", `{"source":"a","line":"server b"}`, "unknown field"},
		{"sources add", `{"source":7}`, "of what the command takes"},
		{"sources delete", "", "name a source"},
		{"sources minpoll", `{"poll":"6"}`, "name a source"},
		{"sources minpoll", `{"source":"a"}`, "say how long"},
		{"sources maxpoll", `{"source":"a","poll":"x"}`, "must be a whole number"},
		{"neighbour settime", `{"time":"noon"}`, "must be as 2027-01-31T12:00:00Z"},
	} {
		n := new(nextDoor)
		if _, err := n.table(t).Plan(t.Context(), someone("x"), c.name, []byte(c.args)); api.KindOf(err) != api.BadArgument || !strings.Contains(err.Error(), c.want) || n.planned != nil {
			t.Errorf("%s %s: %v, planned %+v", c.name, c.args, err, n.planned)
		}
	}
}

// What undoes a change is a command whose arguments mean just that.
func TestUndoIsACommand(t *testing.T) {
	for _, c := range rows() {
		var by string
		for _, d := range api.Commands() {
			if d := d.Declaration(); d.Name == c.name {
				by = d.Inverse
			}
		}
		if by == "" {
			continue
		}
		for _, other := range rows() {
			if other.name != by {
				continue
			}
			n := &nextDoor{outlook: neighbour.Outlook{Undo: other.want}}
			p, err := n.table(t).Plan(t.Context(), someone("x"), c.name, []byte(c.args))
			if err != nil || p.Undo == nil || p.Undo.Command != by {
				t.Errorf("%s: %v, %+v", c.name, err, p)
				continue
			}
			n.outlook.Undo = nil
			if _, err := n.table(t).Plan(t.Context(), someone("x"), by, p.Undo.Args); err != nil || !reflect.DeepEqual(n.planned, other.want) {
				t.Errorf("%s is undone by %s %s: %v, which means %+v, want %+v", c.name, by, p.Undo.Args, err, n.planned, other.want)
			}
		}
	}
}

func TestNeighbourIsShown(t *testing.T) {
	got, err := new(nextDoor).table(t).Call(t.Context(), api.Caller{Role: api.Monitor}, "neighbour", nil)
	want := api.NextDoor{Daemon: "chrony", Via: "a socket", Added: []string{"server a.example nts"}}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) && fmt.Sprint(got) != fmt.Sprint(&want) {
		t.Errorf("%+v, %v", got, err)
	}
}

// confirm calls one of the two that are called twice.
func confirm(t *testing.T, table *api.Table, who api.Caller, name, args string) (api.Confirmation, error) {
	t.Helper()
	p, err := table.Plan(t.Context(), who, name, []byte(args))
	if err != nil {
		return api.Confirmation{}, err
	}
	result, err := p.Do(t.Context())
	if err != nil {
		return api.Confirmation{}, err
	}
	return *result.(*api.Confirmation), nil
}

func TestClockIsSteppedByTheSecondCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &nextDoor{outlook: neighbour.Outlook{Summary: "let chronyd correct the clock at once", Before: "slow", After: "right"}}
		table := n.table(t)
		first, err := confirm(t, table, someone("x"), "neighbour step", "")
		if err != nil || first.Done || first.Token == "" || first.Would != n.outlook.Summary || !first.Until.Equal(time.Now().Add(tokenLives)) || len(n.made) > 0 {
			t.Fatalf("%+v, %v, made %+v", first, err, n.made)
		}
		args := `{"token":"` + first.Token + `"}`
		for name, try := range map[string]func() error{
			"somebody else": func() error { _, err := confirm(t, table, someone("y"), "neighbour step", args); return err },
			"another login": func() error {
				_, err := confirm(t, table, api.Caller{Role: api.Admin, Name: "x", Login: "z"}, "neighbour step", args)
				return err
			},
			"another command": func() error {
				_, err := confirm(t, table, someone("x"), "neighbour settime", `{"time":"2027-01-31T12:00:00Z","token":"`+first.Token+`"}`)
				return err
			},
			"guessed": func() error {
				_, err := confirm(t, table, someone("x"), "neighbour step", `{"token":"guessed"}`)
				return err
			},
		} {
			if err := try(); api.KindOf(err) != api.Conflict || !strings.Contains(err.Error(), "does not confirm it") || len(n.made) > 0 {
				t.Errorf("%s: %v, made %+v", name, err, n.made)
			}
		}
		p, err := table.Plan(t.Context(), someone("x"), "neighbour step", []byte(args)) // a dry run of the second call
		if err != nil || p.Before != "slow" || p.After != "right" || len(n.made) > 0 {
			t.Errorf("%+v, %v", p, err)
		}
		time.Sleep(tokenLives - time.Nanosecond)
		done, err := confirm(t, table, someone("x"), "neighbour step", args)
		if err != nil || !done.Done || done.Token != "" || !slices.Equal(n.made, []neighbour.Change{neighbour.Step{}}) {
			t.Errorf("%+v, %v, made %+v", done, err, n.made)
		}
		for _, do := range []func() error{
			func() error { _, err := confirm(t, table, someone("x"), "neighbour step", args); return err },
			func() error { _, err := p.Do(t.Context()); return err }, // planned before it was used
		} {
			if err := do(); api.KindOf(err) != api.Conflict || len(n.made) != 1 {
				t.Errorf("a second time: %v, made %+v", err, n.made)
			}
		}
	})
}

// The time that is told counts from the first call on.
func TestTimeIsSetFromTheFirstCallOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(nextDoor)
		table := n.table(t)
		at := time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
		first, err := confirm(t, table, someone("x"), "neighbour settime", `{"time":"2027-01-31T12:00:00Z"}`)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		time.Sleep(40 * time.Second)
		if _, err := confirm(t, table, someone("x"), "neighbour settime", `{"time":"2027-01-31T12:00:01Z","token":"`+first.Token+`"}`); api.KindOf(err) != api.Conflict {
			t.Errorf("another time: %v", err)
		}
		if _, err := confirm(t, table, someone("x"), "neighbour settime", `{"time":"2027-01-31T12:00:00Z","token":"`+first.Token+`"}`); err != nil {
			t.Error(err)
		}
		if set, ok := n.made[0].(neighbour.SetTime); !ok || !set.Time.Equal(at) || !set.Since.Equal(began) {
			t.Errorf("%+v", n.made)
		}
	})
}

func TestTokensEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(nextDoor)
		table := n.table(t)
		first, err := confirm(t, table, someone("x"), "neighbour step", "")
		if err != nil {
			t.Fatal(err)
		}
		second, err := confirm(t, table, someone("x"), "neighbour step", "") // the newest counts
		if err != nil || second.Token == first.Token {
			t.Fatal(err)
		}
		if _, err := confirm(t, table, someone("x"), "neighbour step", `{"token":"`+first.Token+`"}`); api.KindOf(err) != api.Conflict {
			t.Errorf("an older one: %v", err)
		}
		time.Sleep(tokenLives)
		if _, err := confirm(t, table, someone("x"), "neighbour step", `{"token":"`+second.Token+`"}`); api.KindOf(err) != api.Conflict || len(n.made) > 0 {
			t.Errorf("a minute later: %v", err)
		}
		for i := range maxTokens {
			if _, err := confirm(t, table, someone(fmt.Sprint(i)), "neighbour step", ""); err != nil {
				t.Error(err)
			}
		}
		if _, err := confirm(t, table, someone("x"), "neighbour step", ""); api.KindOf(err) != api.TooMany {
			t.Errorf("one too many: %v", err)
		}
		time.Sleep(tokenLives)
		if _, err := confirm(t, table, someone("x"), "neighbour step", ""); err != nil {
			t.Errorf("a minute later: %v", err)
		}
	})
}

// Nobody below admin steps the clock, and where it is not allowed not even a token is given.
func TestClockIsOfAdmins(t *testing.T) {
	n := &nextDoor{err: api.Failf(api.Conflict, "not allowed")}
	for _, c := range []struct{ name, args string }{{"neighbour step", ""}, {"neighbour settime", `{"time":"2027-01-31T12:00:00Z"}`}} {
		if _, err := n.table(t).Plan(t.Context(), api.Caller{Role: api.Operator, Name: "x"}, c.name, []byte(c.args)); api.KindOf(err) != api.Denied || n.planned != nil {
			t.Errorf("%s as operator: %v", c.name, err)
		}
		if _, err := confirm(t, n.table(t), someone("x"), c.name, c.args); api.KindOf(err) != api.Conflict || err.Error() != "not allowed" {
			t.Errorf("%s: %v", c.name, err)
		}
		n.planned = nil
	}
	for _, d := range api.Commands() {
		d := d.Declaration()
		for _, a := range d.Args {
			if a.Name == "token" && strings.HasPrefix(d.Name, "neighbour ") && !a.Secret {
				t.Errorf("%s: the token may be written down", d.Name)
			}
		}
	}
}
