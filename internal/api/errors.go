package api

import (
	"errors"
	"fmt"
)

// Kind says what sort of thing went wrong, for programs; the text of an Error is for people.
type Kind string

const (
	BadArgument Kind = "bad-argument" // the same request will always fail
	Unknown     Kind = "unknown"      // nobody has logged in, or with something that does not count
	TooMany     Kind = "too-many"     // of these from there just now; try again later
	Denied      Kind = "denied"       // the role is too low
	NotFound    Kind = "not-found"    // there is no such command, ring, target
	Conflict    Kind = "conflict"     // not in this state; the text says what to do first
	Unavailable Kind = "unavailable"  // the daemon next door does not answer
	Internal    Kind = "internal"     // our own fault, told to nobody in detail
)

// Error is what a command answers when it fails.
type Error struct {
	Kind Kind
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Fail makes an Error of err, nil of nil.
func Fail(k Kind, err error) error {
	if err == nil {
		return nil
	}
	return &Error{k, err}
}

// Failf is Fail with the text of fmt.Errorf.
func Failf(k Kind, format string, args ...any) error { return &Error{k, fmt.Errorf(format, args...)} }

// KindOf is the Kind of err; what has none is Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// Problem is how an error is told over HTTP (RFC 9457, media type application/problem+json).
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"` // of the status
	Status int    `json:"status"`
	Detail string `json:"detail"` // for people
	Code   Kind   `json:"code"`   // for programs
}
