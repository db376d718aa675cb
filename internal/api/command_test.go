package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
)

type fooArgs struct {
	Name  string `json:"name" help:"a name"`
	Count int    `json:"count" help:"a number"`
}

type fooResult struct {
	Said   string `json:"said"`
	Items  []item `json:"items"`
	Nested struct {
		Words []string `json:"words"`
	} `json:"nested"`
}

type item struct {
	Numbers []int `json:"numbers"`
}

var (
	foo = Command[fooArgs, fooResult]{Name: "foo", Role: Monitor, Summary: "say it"}
	bar = Command[None, None]{Name: "bar baz", Role: Operator, Changes: true, Summary: "change it"}
)

func nothing(context.Context, Caller, None) (Change[None], error) { return Change[None]{}, nil }

func silent(context.Context, Caller, fooArgs) (fooResult, error) { return fooResult{}, nil }

func TestDeclaration(t *testing.T) {
	got := foo.Declaration()
	want := Declaration{Name: "foo", Role: Monitor, Summary: "say it", Args: []Arg{
		{Name: "name", Summary: "a name"},
		{Name: "count", Summary: "a number", Number: true},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := foo.Declaration().Path(); got != "/v1/foo" {
		t.Errorf("path %s", got)
	}
	if got := bar.Declaration().Path(); got != "/v1/actions/bar-baz" {
		t.Errorf("path %s", got)
	}
}

func TestTableHasExactlyOneHandlerForEachDeclaration(t *testing.T) {
	all := []Declared{foo, bar}
	lower := bar
	lower.Role = Anonymous
	for _, c := range []struct {
		name     string
		bindings []Binding
		wants    []string
	}{
		{"none", nil, []string{`"foo" has 0 handlers`, `"bar baz" has 0 handlers`}},
		{"missing", []Binding{Bind(foo, silent)}, []string{`"bar baz" has 0 handlers`}},
		{"twice", []Binding{Bind(foo, silent), BindChange(bar, nothing), Bind(foo, silent)}, []string{`"foo" has 2 handlers`}},
		{"undeclared", []Binding{Bind(foo, silent), BindChange(bar, nothing), BindChange(Command[None, None]{Name: "other", Changes: true}, nothing)},
			[]string{`"other" is bound but not declared`}},
		{"for a lower role", []Binding{Bind(foo, silent), BindChange(lower, nothing)}, []string{`"bar baz" is bound as something else`}},
		{"with other arguments", []Binding{BindChange(bar, nothing), BindChange(Command[None, None]{Name: "foo", Role: Monitor, Changes: true, Summary: "say it"}, nothing)},
			[]string{`"foo" is bound as something else`}},
	} {
		table, err := NewTable(all, c.bindings...)
		if err == nil || table != nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		for _, want := range c.wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not say %s", c.name, err, want)
			}
		}
	}
	table, err := NewTable(all, BindChange(bar, nothing), Bind(foo, silent))
	if err != nil {
		t.Fatal(err)
	}
	if d := table.Declarations(); len(d) != 2 || d[0].Name != "foo" || d[1].Name != "bar baz" {
		t.Errorf("%+v are not in the order of the declarations", d)
	}
}

func TestRoles(t *testing.T) {
	called := 0
	table, err := NewTable([]Declared{foo, bar}, Bind(foo, silent),
		BindChange(bar, func(context.Context, Caller, None) (Change[None], error) { called++; return Change[None]{}, nil }))
	if err != nil {
		t.Fatal(err)
	}
	for role := Anonymous; role <= Admin; role++ {
		called = 0
		_, err := table.Plan(t.Context(), Caller{Role: role, Name: "uid 7"}, "bar baz", []byte("not even JSON"))
		if may := role >= Operator; may && KindOf(err) != BadArgument || !may && KindOf(err) != Denied {
			t.Errorf("%v: %v", role, err)
		}
		_, err = table.Plan(t.Context(), Caller{Role: role, Name: "uid 7"}, "bar baz", nil)
		if may := role >= Operator; may != (err == nil) || may != (called == 1) {
			t.Errorf("%v: %v, called %d times", role, err, called)
		}
	}
	_, err = table.Plan(t.Context(), Caller{Role: Monitor, Name: "uid 7"}, "bar baz", nil)
	if want := "bar baz needs the role operator, and uid 7 has monitor"; err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestArguments(t *testing.T) {
	var got fooArgs
	table, err := NewTable([]Declared{foo}, Bind(foo, func(_ context.Context, who Caller, a fooArgs) (fooResult, error) {
		got = a
		return fooResult{Said: who.Name}, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		in   string
		want fooArgs
		bad  string // in the error
	}{
		{in: ""},
		{in: " \n"},
		{in: "{}"},
		{in: ` {"name": "a", "count": -3} ` + "\n", want: fooArgs{"a", -3}},
		{in: `{"name": null}`},
		{in: "null", bad: "must be a JSON object"},
		{in: "nullx", bad: "must be a JSON object"},
		{in: "[]", bad: "must be a JSON object"},
		{in: `"a"`, bad: "must be a JSON object"},
		{in: "7", bad: "must be a JSON object"},
		{in: `{"nme": "a"}`, bad: `unknown field "nme"`},
		{in: `{"name": 7}`, bad: "number"},
		{in: `{"count": "7"}`, bad: "string"},
		{in: `{"count": 1.5}`, bad: "1.5"},
		{in: `{"count": 99999999999999999999}`, bad: "99999999999999999999"},
		{in: `{"name": "a"`, bad: "unexpected EOF"},
		{in: `{"name": "a"}}`, bad: "something follows"},
		{in: `{"name": "a"} {"name": "b"}`, bad: "something follows"},
		{in: `{"name": "a"} x`, bad: "something follows"},
	} {
		got = fooArgs{}
		_, err := table.Call(t.Context(), Caller{Role: Admin}, "foo", []byte(c.in))
		switch {
		case c.bad == "" && (err != nil || got != c.want):
			t.Errorf("%s: %+v, %v; want %+v", c.in, got, err, c.want)
		case c.bad != "" && (KindOf(err) != BadArgument || !strings.HasPrefix(err.Error(), "foo: ") || !strings.Contains(err.Error(), c.bad)):
			t.Errorf("%s: %v, want %s with %q", c.in, err, BadArgument, c.bad)
		}
	}
}

func TestErrorsHaveAKind(t *testing.T) {
	var answer error
	table, err := NewTable([]Declared{bar}, BindChange(bar, func(context.Context, Caller, None) (Change[None], error) { return Change[None]{}, answer }))
	if err != nil {
		t.Fatal(err)
	}
	wrapped := errors.Join(errors.New("first"), Fail(Conflict, io.ErrClosedPipe))
	for _, c := range []struct {
		err  error
		kind Kind
	}{
		{io.ErrUnexpectedEOF, Internal},
		{Failf(NotFound, "no ring %q", "x"), NotFound},
		{Fail(Unavailable, io.ErrUnexpectedEOF), Unavailable},
		{wrapped, Conflict},
	} {
		answer = c.err
		result, err := table.Plan(t.Context(), Caller{Role: Admin}, "bar baz", nil)
		if _, ok := err.(*Error); !ok || result != nil || KindOf(err) != c.kind || !errors.Is(err, c.err) || err.Error() != c.err.Error() {
			t.Errorf("%v, %v (%s); want nil, %v of kind %s", result, err, KindOf(err), c.err, c.kind)
		}
	}
	if _, err := table.Call(t.Context(), Caller{Role: Admin}, "rm", nil); KindOf(err) != NotFound {
		t.Errorf("%v, want %s", err, NotFound)
	}
	if Fail(Conflict, nil) != nil {
		t.Error("Fail makes an error of nil")
	}
}

// A result may be made of snapshots that others read: nil lists become empty ones without touching what was handed over.
func TestListsAreNeverNull(t *testing.T) {
	shared := []item{{}, {Numbers: []int{1}}}
	var answer fooResult
	table, err := NewTable([]Declared{foo}, Bind(foo, func(context.Context, Caller, fooArgs) (fooResult, error) { return answer, nil }))
	if err != nil {
		t.Fatal(err)
	}
	for want, given := range map[string]fooResult{
		`{"said":"","items":[],"nested":{"words":[]}}`:                               {},
		`{"said":"","items":[{"numbers":[]},{"numbers":[1]}],"nested":{"words":[]}}`: {Items: shared},
	} {
		answer = given
		result, err := table.Call(t.Context(), Caller{Role: Admin}, "foo", nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := json.Marshal(result); err != nil || string(b) != want {
			t.Errorf("%s %v, want %s", b, err, want)
		}
	}
	if shared[0].Numbers != nil {
		t.Error("what the handler shares was written to")
	}
}

func TestRoleNames(t *testing.T) {
	var got []string
	for r := Anonymous; r <= Admin+1; r++ {
		got = append(got, r.String())
	}
	if want := []string{"anonymous", "monitor", "operator", "admin", "role(4)"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// What is done must be what is written down, which goes by the names as they are declared: a decoder of JSON takes others for them.
func TestArgumentsAreSpelledAsDeclared(t *testing.T) {
	type keyArgs struct {
		Task string `json:"task" help:"which"`
	}
	cmd := Command[keyArgs, None]{Name: "end task", Role: Operator, Changes: true, Summary: "end it"}
	done := ""
	table, err := NewTable([]Declared{cmd}, BindChange(cmd, func(_ context.Context, _ Caller, a keyArgs) (c Change[None], err error) {
		done = a.Task
		return c, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{`{"Task":"evil"}`, `{"task":"good","TASK":"evil"}`, "{\"task\":\"good\",\"tas\u212a\":\"evil\"}", "{\"task\":\"good\",\"ta\u017fk\":\"evil\"}"} {
		args, _, err := SplitHow([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		done = ""
		if _, err := table.Plan(t.Context(), Caller{Role: Operator}, cmd.Name, args); KindOf(err) != BadArgument || done != "" {
			t.Errorf("%s: %v, planned with %q, written down as %s", body, err, done, cmd.Declaration().Redact(args))
		}
	}
}
