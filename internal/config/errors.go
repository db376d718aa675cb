package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxErrors bounds what is told, and what it costs to tell it.
const maxErrors = 200

// Error is one thing that is wrong, and where.
type Error struct {
	File         string
	Line, Column int    // from 1; 0 if no line can be named
	Key          string // "" if it is about the file as a whole
	Value        string // as it would be written; "" if there is none
	Problem      string // what is allowed or what to do
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": ")
	if e.Key != "" {
		b.WriteString(e.Key)
		if e.Value != "" {
			b.WriteString(" = " + e.Value)
		}
		b.WriteString(": ")
	}
	return b.String() + e.Problem
}

// Errors are all things that are wrong, one a line, in the order of files and lines.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the single errors to errors.As.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// place is where a key stands.
type place struct {
	file         string
	line, column int
}

// report gathers what is wrong, and knows where every key stands.
type report struct {
	places map[string]place // by key: "keyexchange.listen[0]"
	files  []string         // in the order in which they were read
	errors Errors
}

// given tells whether a key stands in a file.
func (r *report) given(key string) bool {
	_, ok := r.places[key]
	return ok
}

// at adds a problem at a known place. Past maxErrors the file is not a configuration at all.
func (r *report) at(p place, key, value, problem string) {
	if len(r.errors) == maxErrors {
		return
	}
	r.errors = append(r.errors, &Error{p.file, p.line, p.column, key, value, problem})
}

// add adds a problem of a key, unless one is known for it or a part of it already: a second would only confuse.
func (r *report) add(key, value, format string, args ...any) {
	for _, e := range r.errors {
		if rest, ok := strings.CutPrefix(e.Key, key); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return
		}
	}
	r.at(r.find(key), key, value, fmt.Sprintf(format, args...))
}

// find is the place of a key, or of the nearest one above it that stands in a file, or the first file.
func (r *report) find(key string) place {
	for key != "" {
		if p, ok := r.places[key]; ok {
			return p
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return place{file: r.files[0]}
}

// result is nil or all that is wrong, sorted.
func (r *report) result() error {
	if len(r.errors) == 0 {
		return nil
	}
	slices.SortStableFunc(r.errors, func(a, b *Error) int {
		return cmp.Or(
			cmp.Compare(slices.Index(r.files, a.File), slices.Index(r.files, b.File)),
			cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
		)
	})
	return r.errors
}
