package keyexchange

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/probe"
)

// failuresToUnfit consecutive probes that find a target unfit make it so, since one datagram in a while is lost; a single
// good one makes it fit again, since it cannot be good by accident.
const failuresToUnfit = 2

// class is how good a target is, the best first.
type class uint8

const (
	fit            class = iota
	unknown              // not probed yet, or not to be probed
	distant              // synchronised, but too far off by its own account
	unsynchronised       // answers, and says so; clients can judge that themselves
	silent               // does not answer, or cannot be reached
	nak                  // does not know the key: of no use to anybody

	classes // their number
)

// String is the value of the metric's label for probes with this result: "no_key" is one that could not be made.
func (c class) String() string {
	return [classes]string{"fit", "no_key", "distant", "unsynchronised", "silent", "nak"}[c]
}

// health is what probes and the operator have told of a target. A value: each probe makes the next one.
type health struct {
	class    class
	reason   string // why it is not fit
	draining bool

	turn      int             // of the offered AEADs: which one the next probe asks with
	failures  int             // consecutive ones
	answer    probe.Exchange  // the last, of interest while hasAnswer
	hasAnswer bool            //
	probed    time.Time       // the last time; zero: never
	probes    [classes]uint64 // by result
}

// after is the health after one more probe.
func (h health) after(e probe.Exchange, err error, limit time.Duration, at time.Time) health {
	result, reason := judge(e, err, limit)
	h.probes[result]++
	h.probed = at
	if err == nil {
		h.answer, h.hasAnswer = e, true
		h.turn++ // and else the same again: what fails with one AEAD fails its clients, whatever others bring
	}
	switch result {
	case fit, unknown:
		h.class, h.reason, h.failures = result, reason, 0
		return h
	}
	h.failures++
	switch {
	case h.failures >= failuresToUnfit:
		h.class, h.reason = result, reason
		h.hasAnswer = err == nil
	case h.class != fit:
		h.reason = reason // of what it is about to be
	}
	return h
}

// judge sorts the outcome of a probe. The reason is for the operator.
func judge(e probe.Exchange, err error, limit time.Duration) (class, string) {
	switch {
	case errors.Is(err, errNoKey):
		return unknown, "its ring has no key to probe with"
	case errors.Is(err, probe.ErrNAK):
		return nak, strings.TrimPrefix(err.Error(), "probe: ")
	case err != nil:
		return silent, strings.TrimPrefix(err.Error(), "probe: ")
	case !e.Synchronised:
		return unsynchronised, fmt.Sprintf("its clock is not synchronised (leap %d, stratum %d, reference id %s)",
			e.Leap, e.Stratum, e.ReferenceID)
	}
	if d := distance(e.RootDelay, e.RootDispersion); d > limit {
		return distant, fmt.Sprintf("its clock may be %v off, more than keyexchange.max-root-distance, %v", d, limit)
	}
	return fit, ""
}

// distance is how far off the clock may be by its last account.
func (h *health) distance() time.Duration {
	return distance(h.answer.RootDelay, h.answer.RootDispersion)
}
