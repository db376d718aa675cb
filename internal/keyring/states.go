package keyring

import (
	"context"
	"errors"
	"log/slog"
	"strings"
)

const (
	neighbourBehind = "the neighbour's key file cannot be written: the cookie keys do not rotate"
	neighbourUnread = "the neighbour's key file cannot be followed: what is known of it goes on"
	untold          = "the neighbour cannot be told to read its key file"
	refused         = "the neighbour does not answer our cookies: its clients may get no time"
	unproved        = "the neighbour does not prove to know the next cookie key: the current one goes on"
	unasked         = "the neighbour must read its key file and is then asked: the next cookie key waits for that"
	unrestarted     = "restart ntpd when you can: it reads its key file at its start only, and the next cookie key waits for that"
	stoppedRotation = "T: 0 in NTPsec's key file switches its rotation off: nobody rotates these keys"
)

var errHeld = errors.New("ntptsctl tracking tells what the clock lacks")

// states are what can be wrong with a ring that goes on nevertheless.
type states struct{ held, full, saving, neighbour, unproved, stopped state }

// problem is all that is wrong now.
func (s *states) problem() string {
	var all []string
	for _, one := range []state{s.saving, s.neighbour, s.unproved, s.stopped, s.full, s.held} {
		if one.on() {
			all = append(all, one.String())
		}
	}
	return strings.Join(all, "; ")
}

// state is what is wrong, in words: with what, and why. Zero: nothing is.
type state struct {
	message string
	err     error
}

func (s state) on() bool       { return s.err != nil }
func (s state) String() string { return s.message + ": " + s.err.Error() }

// set logs when it begins or becomes something else, and when it ends; not while it lasts.
func (s *state) set(log *slog.Logger, level slog.Level, err error, message string, args ...any) {
	was := *s
	if *s = (state{}); err != nil {
		*s = state{message, err}
	}
	switch {
	case s.on() && was.message != message:
		log.Log(context.Background(), level, message, append(args, "error", err)...)
	case !s.on() && was.on():
		log.Info("over: " + was.message)
	}
}

func asGauge(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
