package config

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// defaulter is a section that knows what it means to leave its keys out.
type defaulter interface{ setDefaults() }

// table fills a struct from a TOML table and reports what does not fit. The library's own decoder would stop at the
// first value of a wrong type; an operator wants to hear of all of them.
func (r *report) table(v reflect.Value, name string, tree map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		full := join(name, key)
		if f, ok := field(v, key); ok {
			r.value(f, full, tree[key])
			continue
		}
		r.at(r.find(full), full, "", unknown(v.Type(), name, key))
	}
}

// value fills one value, a section too.
func (r *report) value(v reflect.Value, name string, raw any) {
	if text, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		r.text(text, v.Type(), name, raw)
		return
	}
	tree, isTable := raw.(map[string]any)
	switch v.Kind() {
	case reflect.Pointer:
		to := v
		if v.IsNil() {
			to = fresh(v.Type().Elem())
		}
		r.value(to.Elem(), name, raw)
		if isTable || to.Elem().Kind() != reflect.Struct { // what is no section must not be missed as one
			v.Set(to)
		}
	case reflect.Struct:
		if !isTable {
			r.add(name, show(raw), "must be a table, as in [%s]", name)
			return
		}
		r.table(v, name, tree)
	case reflect.Slice:
		r.list(v, name, raw)
	case reflect.Map:
		r.named(v, name, raw)
	default:
		r.scalar(v, name, raw)
	}
}

func (r *report) list(v reflect.Value, name string, raw any) {
	list, ok := raw.([]any)
	if !ok {
		r.add(name, show(raw), "must be a list, as in [%s]", show(raw))
		return
	}
	if len(list) > maxList {
		r.add(name, "", "has %d elements, at most %d are allowed", len(list), maxList)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
	for i, e := range list {
		if d, ok := v.Index(i).Addr().Interface().(defaulter); ok {
			d.setDefaults()
		}
		r.value(v.Index(i), element(name, i), e)
	}
}

// named fills a map of sections by the names that the operator gives them. A later file adds to a section of the same name.
func (r *report) named(v reflect.Value, name string, raw any) {
	tree, ok := raw.(map[string]any)
	if !ok {
		r.add(name, show(raw), "must be tables with names, as in [%s.NAME]", name)
		return
	}
	if len(tree) > maxNamed {
		r.add(name, "", "has %d tables, at most %d are allowed", len(tree), maxNamed)
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		one := fresh(v.Type().Elem()).Elem()
		if old := v.MapIndex(reflect.ValueOf(key)); old.IsValid() {
			one.Set(old)
		}
		r.value(one, join(name, key), tree[key])
		v.SetMapIndex(reflect.ValueOf(key), one)
	}
}

func (r *report) text(to encoding.TextUnmarshaler, t reflect.Type, name string, raw any) {
	s, ok := raw.(string)
	switch x := raw.(type) { // TOML has forms of its own for these
	case time.Time:
		s, ok = x.Format(time.RFC3339), true
	case toml.LocalDate:
		s, ok = x.String(), true
	}
	if !ok || to.UnmarshalText([]byte(s)) != nil {
		r.add(name, show(raw), "must be %s", form(t))
	}
}

func (r *report) scalar(v reflect.Value, name string, raw any) {
	switch x := raw.(type) {
	case string:
		if v.Kind() == reflect.String {
			v.SetString(x)
			return
		}
	case bool:
		if v.Kind() == reflect.Bool {
			v.SetBool(x)
			return
		}
	case int64:
		if v.CanInt() && !v.OverflowInt(x) {
			v.SetInt(x)
			return
		}
		if v.CanUint() && x >= 0 && !v.OverflowUint(uint64(x)) {
			v.SetUint(uint64(x))
			return
		}
	}
	r.add(name, show(raw), "must be %s", form(v.Type()))
}

// form says how a value of a type is written.
func form(t reflect.Type) string {
	switch t.String() {
	case "config.Duration":
		return `a duration as in "24h", "90s" or "250ms"`
	case "netip.AddrPort":
		return `ADDRESS:PORT as in "[::]:4460" or "192.0.2.1:123"`
	case "config.Time":
		return "a moment as in 2027-01-31 or 2027-01-31T12:00:00Z"
	case "netip.Prefix":
		return `a network as in "192.0.2.0/24" or "2001:db8::/32"`
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text in quotes"
	case reflect.Uint8, reflect.Uint16:
		return fmt.Sprintf("a whole number from 0 to %d", 1<<t.Bits()-1)
	}
	return "a whole number"
}

// show writes a value as the file would, cut to what fits into a message.
func show(raw any) string {
	const room = 60
	s := fmt.Sprint(raw)
	switch x := raw.(type) {
	case string:
		s = strconv.Quote(x)
	case fmt.Stringer:
		s = strconv.Quote(x.String())
	case map[string]any:
		s = "{...}"
	case []any:
		s = "[...]"
	}
	if len(s) > room {
		s = strings.ToValidUTF8(s[:room], "") + "..."
	}
	return s
}

// fresh makes a pointer to a value with its defaults.
func fresh(t reflect.Type) reflect.Value {
	p := reflect.New(t)
	if d, ok := p.Interface().(defaulter); ok {
		d.setDefaults()
	}
	return p
}

// field finds the field of a key; embedded structs share the table of the one they are in.
func field(v reflect.Value, key string) (reflect.Value, bool) {
	for _, f := range reflect.VisibleFields(v.Type()) {
		if key != "" && f.Tag.Get("toml") == key { // embedded and private fields have no name
			return v.FieldByIndex(f.Index), true
		}
	}
	return reflect.Value{}, false
}

func keys(t reflect.Type) []string {
	var all []string
	for _, f := range reflect.VisibleFields(t) {
		if key := f.Tag.Get("toml"); key != "" {
			all = append(all, key)
		}
	}
	return all
}

// unknown says what may stand there instead of an unknown key.
func unknown(t reflect.Type, table, key string) string {
	best, distance := "", 3 // further away is another word
	for _, k := range keys(t) {
		if d := editDistance(key, k); d < distance {
			best, distance = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("unknown key, did you mean %s?", join(table, best))
	}
	return "unknown key, allowed here are " + strings.Join(keys(t), ", ")
}

// editDistance counts the letters to insert, remove or replace (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
