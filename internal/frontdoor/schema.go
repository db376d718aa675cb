package frontdoor

import (
	"reflect"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// object is a JSON object of the description.
type object = map[string]any

// schemas are JSON schemas (draft 2020-12) of the types of answers. A struct with a name is described once.
type schemas struct{ named object }

// of is the schema of a type as encoding/json writes it. Lists are never null: the table sees to that.
func (s *schemas) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[api.Kind]():
		return object{"type": "string", "enum": []api.Kind{api.BadArgument, api.Unknown, api.TooMany, api.Denied, api.NotFound, api.Conflict, api.Unavailable, api.Internal}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return nullable(s.of(t.Elem()))
	case reflect.Slice, reflect.Array:
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		return s.structure(t)
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		return object{"type": "integer", "minimum": 0}
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		return object{"type": "integer"}
	}
	return object{} // anything
}

// nullable is the schema of a pointer.
func nullable(s object) object {
	if name, ok := s["type"].(string); ok {
		s["type"] = []string{name, "null"}
		return s
	}
	return object{"anyOf": []object{s, {"type": "null"}}}
}

func (s *schemas) structure(t reflect.Type) object {
	name := schemaName(t)
	if name == "" {
		return s.members(t)
	}
	if _, done := s.named[name]; !done {
		s.named[name] = object{} // a type may hold itself
		s.named[name] = s.members(t)
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// schemaName is Outcome.Keys for Outcome[api.Keys]: a component may have no brackets in its name.
func schemaName(t reflect.Type) string {
	outer, inner, generic := strings.Cut(strings.TrimSuffix(t.Name(), "]"), "[")
	if !generic {
		return outer
	}
	return outer + "." + inner[strings.LastIndexByte(inner, '.')+1:]
}

func (s *schemas) members(t reflect.Type) object {
	properties, required := object{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if tag == "-" || name == "" || !f.IsExported() {
			continue
		}
		properties[name] = s.of(f.Type)
		if !strings.Contains(options, "omit") {
			required = append(required, name)
		}
	}
	return object{"type": "object", "properties": properties, "required": required}
}
