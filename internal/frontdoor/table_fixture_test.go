package frontdoor

import (
	"reflect"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// fill puts something into every member.
func fill(v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(-1.5)
	case reflect.Int:
		v.SetInt(-7)
	case reflect.Uint8, reflect.Uint16, reflect.Uint64:
		v.SetUint(255)
	}
}

// wholeTable is every command that is declared.
func wholeTable(t testing.TB, full bool) *api.Table {
	t.Helper()
	var bindings []api.Binding
	for _, d := range api.Commands() {
		bindings = append(bindings, d.(interface {
			Stub(fill func(reflect.Value)) api.Binding
		}).Stub(func(result reflect.Value) {
			if full {
				fill(result)
			}
		}))
	}
	all, err := api.NewTable(api.Commands(), bindings...)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
