package config

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Setting is one key of the configuration as it counts.
type Setting struct {
	Key   string
	Value string // as TOML writes it
	From  string // FILE:LINE, or where else it comes from
}

// Where a Setting comes from that stands in no file.
const (
	FromDefault = "default"
	FromRuntime = "changed at runtime, until a reload"
)

// Effective is the configuration as it counts, as TOML with where each value comes from, and the same as a list. runtime are
// values that were changed since, by key. Of secrets there is nothing in a configuration but their hashes, and of these no
// more than tells two apart.
func (c *Config) Effective(runtime map[string]string) (text string, all []Setting) {
	e := &effective{places: c.places, runtime: runtime}
	e.table("", reflect.ValueOf(c).Elem(), "")
	return e.text.String(), e.all
}

type effective struct {
	places  map[string]place
	runtime map[string]string
	text    strings.Builder
	all     []Setting
}

// table writes the values of a section, then its tables: TOML has no way back. header is how its line begins; array tables
// have two brackets.
func (e *effective) table(name string, v reflect.Value, header string) {
	if header != "" {
		fmt.Fprintf(&e.text, "\n%s\n", header)
	}
	fields := reflect.VisibleFields(v.Type())
	for _, f := range fields {
		if key := f.Tag.Get("toml"); key != "" {
			if value, ok := written(v.FieldByIndex(f.Index)); ok {
				e.add(join(name, key), key, value)
			}
		}
	}
	for _, f := range fields {
		if key := f.Tag.Get("toml"); key != "" {
			e.tables(join(name, key), indirect(v.FieldByIndex(f.Index)))
		}
	}
}

// tables writes what is a table, a list of them or tables with names; nothing else.
func (e *effective) tables(name string, v reflect.Value) {
	if !v.IsValid() || isValue(v.Type()) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		e.table(name, v, "["+name+"]")
	case reflect.Slice:
		if !isValue(v.Type().Elem()) && v.Type().Elem().Kind() == reflect.Struct {
			for i := range v.Len() {
				e.table(element(name, i), v.Index(i), "[["+name+"]]")
			}
		}
	case reflect.Map:
		for _, key := range slices.Sorted(maps.Keys(asMap(v))) {
			e.table(join(name, key), v.MapIndex(reflect.ValueOf(key)), "["+join(name, key)+"]")
		}
	}
}

func asMap(v reflect.Value) map[string]bool {
	all := make(map[string]bool)
	for _, k := range v.MapKeys() {
		all[k.String()] = true
	}
	return all
}

func (e *effective) add(full, key, value string) {
	from := FromDefault
	if value == "0" && e.places[full].file == "" { // not given, and that is not the same as 0 for all
		return
	}
	if p, ok := e.places[full]; ok {
		from = fmt.Sprintf("%s:%d", p.file, p.line)
	}
	if changed, ok := e.runtime[full]; ok {
		value, from = changed, FromRuntime
	}
	if strings.HasPrefix(full, "access.token.") && key == "hash" {
		const enough = 1 + 8 // a quote, and what a fingerprint has
		value = value[:min(len(value), enough)] + `..."`
	}
	e.all = append(e.all, Setting{full, value, from})
	fmt.Fprintf(&e.text, "%s = %s  # %s\n", key, value, from)
}

func indirect(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Pointer {
		return v.Elem() // of nil not valid
	}
	return v
}

// isValue tells types that are written as one value, though they are structs.
func isValue(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[Duration](), reflect.TypeFor[Time](), reflect.TypeFor[netip.Prefix](), reflect.TypeFor[netip.AddrPort]():
		return true
	}
	return false
}

// written is a value as TOML writes it; not ok if it is none, or not there.
func written(v reflect.Value) (text string, ok bool) {
	v = indirect(v)
	if !v.IsValid() {
		return "", false
	}
	switch x := v.Interface().(type) {
	case Time:
		return time.Time(x).Format(time.RFC3339), !time.Time(x).IsZero()
	case Duration:
		return Quote(x.String()), true
	case netip.Prefix:
		return Quote(x.String()), x.IsValid()
	case netip.AddrPort:
		return Quote(x.String()), x.IsValid()
	}
	switch {
	case v.Kind() == reflect.String:
		return Quote(v.String()), v.Len() > 0
	case v.Kind() == reflect.Bool, v.CanInt(), v.CanUint():
		return fmt.Sprint(v.Interface()), true
	case v.Kind() == reflect.Slice:
		return writtenList(v)
	}
	return "", false
}

func writtenList(v reflect.Value) (text string, ok bool) {
	if t := v.Type().Elem(); v.IsNil() || t.Kind() == reflect.Struct && !isValue(t) {
		return "", false
	}
	var all []string
	for i := range v.Len() {
		if one, ok := written(v.Index(i)); ok {
			all = append(all, one)
		}
	}
	return "[" + strings.Join(all, ", ") + "]", true
}

// Quote is a text as TOML writes it, on one line.
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, "\\u%04X", r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// IsLoginName tells whether somebody may be called so.
func IsLoginName(name string) bool { return isLoginName(name) }
