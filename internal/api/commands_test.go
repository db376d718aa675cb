package api

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
)

// types are the argument and result types of a command, which only tests want to know.
func (Command[A, R]) types() (args, result reflect.Type) {
	return reflect.TypeFor[A](), reflect.TypeFor[R]()
}

func typesOf(t *testing.T, c Declared) (args, result reflect.Type) {
	t.Helper()
	typed, ok := c.(interface {
		types() (args, result reflect.Type)
	})
	if !ok {
		t.Fatalf("%s is no Command", c.Declaration().Name)
	}
	return typed.types()
}

func TestEveryCommandIsWellDeclared(t *testing.T) {
	name := regexp.MustCompile(`^[a-z]+( [a-z]+)?$`)
	names, paths := map[string]bool{}, map[string]bool{}
	for _, c := range Commands() {
		d := c.Declaration()
		if !name.MatchString(d.Name) || names[d.Name] || paths[d.Path()] {
			t.Errorf("%q, %s: want one or two words, and no second of either", d.Name, d.Path())
		}
		names[d.Name], paths[d.Path()] = true, true
		if first, _, two := strings.Cut(d.Name, " "); two && !names[first] {
			t.Errorf("%q comes before %q", d.Name, first)
		}
		if !isSummary(d.Summary) {
			t.Errorf("%s: summary %q: want a line, lower case, without a full stop", d.Name, d.Summary)
		}
		if d.Role == Anonymous || d.Changes && d.Role < Operator {
			t.Errorf("%s: the role %s is too low", d.Name, d.Role)
		}
	}
}

func isSummary(s string) bool {
	return s != "" && unicode.IsLower(rune(s[0])) && !strings.ContainsAny(s, "\n\t") && !strings.HasSuffix(s, ".")
}

// Arguments must be what queries, JSON and command lines can all say.
func TestArgumentsAreTextsNumbersAndFlags(t *testing.T) {
	word := regexp.MustCompile(`^[a-z]+$`)
	for _, c := range Commands() {
		args, _ := typesOf(t, c)
		d := c.Declaration()
		seen := map[string]bool{}
		for f := range args.Fields() {
			name := f.Tag.Get("json")
			if k := f.Type.Kind(); k != reflect.String && k != reflect.Int && k != reflect.Bool || !f.IsExported() {
				t.Errorf("%s: %s is a %v", d.Name, f.Name, f.Type)
			}
			if !word.MatchString(name) || seen[name] || !isSummary(f.Tag.Get("help")) {
				t.Errorf("%s: %s: json %q, help %q", d.Name, f.Name, name, f.Tag.Get("help"))
			}
			seen[name] = true
		}
		if len(seen) != len(d.Args) {
			t.Errorf("%s: %d arguments, declared are %+v", d.Name, len(seen), d.Args)
		}
	}
}

// Results are objects of named members; a list with nothing in it is [], whatever the handler left nil.
func TestShapesOfResults(t *testing.T) {
	for _, c := range Commands() {
		_, result := typesOf(t, c)
		v := reflect.New(result).Elem()
		fillLists(v)
		b, err := json.Marshal(v.Interface())
		if err != nil {
			t.Fatal(err)
		}
		var object map[string]any
		if err := json.Unmarshal(b, &object); err != nil || object == nil {
			t.Errorf("%s answers %s, which is no object", c.Declaration().Name, b)
		}
		checkShape(t, c.Declaration().Name, result, object)
	}
}

func checkShape(t *testing.T, path string, typ reflect.Type, object map[string]any) {
	t.Helper()
	member := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	for _, f := range reflect.VisibleFields(typ) {
		name := f.Tag.Get("json")
		if name == "-" || f.Anonymous && name == "" { // whose members are among ours
			continue
		}
		if !member.MatchString(name) {
			t.Errorf("%s: %s has the name %q in JSON", path, f.Name, name)
		}
		inner, value := f.Type, object[name]
		switch kind := inner.Kind(); {
		case kind == reflect.Slice:
			if list, ok := value.([]any); !ok || len(list) != 0 {
				t.Errorf("%s.%s is %v, want []", path, name, value)
			}
			if inner = inner.Elem(); inner.Kind() == reflect.Struct && inner != reflect.TypeFor[time.Time]() {
				v := reflect.New(inner).Elem()
				fillLists(v)
				checkShape(t, path+"."+name, inner, asObject(t, v.Interface()))
			}
		case kind == reflect.Pointer: // null: unknown
			if k := inner.Elem().Kind(); value != nil || k == reflect.Slice || k == reflect.Struct && inner.Elem() != reflect.TypeFor[time.Time]() {
				t.Errorf("%s.%s is %v of %v, want null of a number or a time", path, name, value, inner)
			}
		case inner == reflect.TypeFor[time.Time]():
		case kind == reflect.Struct:
			checkShape(t, path+"."+name, inner, value.(map[string]any))
		case value == nil:
			t.Errorf("%s.%s is null", path, name)
		}
	}
}

func asObject(t *testing.T, v any) map[string]any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(b, &object); err != nil {
		t.Fatal(err)
	}
	return object
}
