package frontdoor

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// filled binds a command to a handler that answers with something in every member, or with as little as there can be.
func filled[A, R any](c api.Command[A, R], full bool) api.Binding {
	return api.Bind(c, func(context.Context, api.Caller, A) (r R, err error) {
		if full {
			fill(reflect.ValueOf(&r).Elem())
		}
		return r, nil
	})
}

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
	bindings := []api.Binding{
		filled(api.GetStatus, full), filled(api.GetFit, full), filled(api.GetTracking, full), filled(api.GetSources, full),
		filled(api.GetSource, full), filled(api.GetClients, full), filled(api.GetNetworks, full), filled(api.GetKeys, full),
		filled(api.RotateKeys, full), filled(api.GetCertificates, full), filled(api.GetHandshakes, full), filled(api.GetCookies, full),
		filled(api.GetTargets, full), filled(api.DrainTarget, full), filled(api.UndrainTarget, full), filled(api.GetEvents, full),
		filled(api.GetHistory, full), filled(api.WhoAmI, full), filled(api.Login, full), filled(api.Reload, full),
	}
	bound := map[string]bool{}
	for _, b := range bindings {
		bound[b.Name] = true
	}
	for _, d := range api.Commands() {
		switch c := d.(type) {
		case api.Command[api.None, api.Native]:
			bindings = append(bindings, filled(c, full))
		case api.Command[api.AssociationArg, api.Native]:
			bindings = append(bindings, filled(c, full))
		case api.Command[api.AddressArg, api.Native]:
			bindings = append(bindings, filled(c, full))
		default:
			if !bound[d.Declaration().Name] {
				t.Fatalf("%q has no handler here: add it", d.Declaration().Name)
			}
		}
	}
	all, err := api.NewTable(api.Commands(), bindings...)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
