package view

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
)

func TestIndent(t *testing.T) {
	for in, want := range map[string]string{
		`{}`:                                       "{}\n",
		" {\"a\":[1,2.50]}\r\n":                    "{\n  \"a\": [\n    1,\n    2.50\n  ]\n}\n",
		`{"a":"Köln <&> \u001b\n\\"}`:              "{\n  \"a\": \"Köln <&> \\u001b\\n\\\\\"\n}\n",
		"{\"\u009b\":\"\x7f\u202e\u2028\"}":        "{\n  \"\\u009b\": \"\\u007f\\u202e\\u2028\"\n}\n",
		"{\"a\":\"\U000e0001 \U0001f600 \u00a0\"}": "{\n  \"a\": \"\\udb40\\udc01 \U0001f600 \\u00a0\"\n}\n",
	} {
		var out bytes.Buffer
		if err := Indent(&out, []byte(in)); err != nil || out.String() != want {
			t.Errorf("%q: %q %v, want %q", in, out.String(), err, want)
			continue
		}
		var before, after any
		if json.Unmarshal([]byte(in), &before) != nil || json.Unmarshal(out.Bytes(), &after) != nil || !reflect.DeepEqual(before, after) {
			t.Errorf("%q became %v, was %v", in, after, before)
		}
	}
}

func TestIndentRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "unexpected end",
		`{"a":`:                      "unexpected end",
		"{} {}":                      "after top-level value",
		"{\"a\":\"\x1b\"}":           "in string literal",
		"{\"a\":1\x00}":              "after object key:value pair",
		strings.Repeat("[", 1<<20):   "nests deeper than 32 levels",
		strings.Repeat(`{"a":`, 100): "nests deeper than 32 levels",
	} {
		if err := Indent(new(bytes.Buffer), []byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", in, err, want)
		}
	}
	deep := strings.Repeat(`[`, maxDepth) + `"[[[[\"[[[{{{"` + strings.Repeat(`]`, maxDepth)
	if err := Indent(new(bytes.Buffer), []byte(deep+"")); err != nil {
		t.Error(err)
	}
}

func FuzzIndent(f *testing.F) {
	f.Add([]byte(`{"a":[1,"\u001b",null]}`))
	f.Add([]byte("{\"a\":\"\u009b\U000e0001\"}"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		if err := Indent(&out, in); err != nil {
			return
		}
		checkSafe(t, "indent", out.String())
		var before, after any
		if json.Unmarshal(in, &before) != nil {
			return // a number that no float holds
		}
		if err := json.Unmarshal(out.Bytes(), &after); err != nil || !reflect.DeepEqual(before, after) {
			t.Errorf("%q became %q: %v", in, out.String(), err)
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "no JSON object",
		"null":                        "no JSON object",
		"[]":                          "no JSON object",
		`"sources"`:                   "no JSON object",
		"{}":                          `no list "sources"`,
		`{"sources":null}`:            `no list "sources"`,
		`{"sources":{}}`:              "cannot unmarshal object",
		`{"sources":[1]}`:             "cannot unmarshal number",
		`{"sources":[{"reach":256}]}`: "cannot unmarshal number 256",
		`{"sources":[]`:               "unexpected end",
		`{"sources":[]}}`:             "after top-level value",
		"{\"sources\":[]\x1b}":        `'\x1b'`,
	} {
		if _, err := decode[api.Sources]([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
	if s, err := decode[api.Sources]([]byte(" {\"new\":[],\"sources\":[{\"name\":\"a\",\"new\":1}]}\n")); err != nil || len(s.Sources) != 1 {
		t.Errorf("what a newer daemon adds: %+v, %v", s, err)
	}
}
