package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

func showStatus(out io.Writer, s api.Status, now time.Time) {
	all := [][2]string{
		{"ntptsd", word(s.Version) + ", started " + moment(s.StartedAt, now)},
		{"clock", clockLine(s.Clock)},
		{"neighbour", neighbourLine(s.Neighbour)},
	}
	if s.Neighbour.Via != "" {
		all = append(all, [2]string{"asked by", sentence(s.Neighbour.Via)})
	}
	for _, r := range s.Rings[:min(len(s.Rings), maxRows)] {
		all = append(all, [2]string{"ring " + word(r.Name), ringLine(r, now)})
	}
	for _, t := range s.Targets[:min(len(s.Targets), maxRows)] {
		all = append(all, [2]string{"target " + word(t.ID), targetLine(t)})
	}
	pairs(out, all...)
	if len(s.Problems) == 0 {
		fmt.Fprintln(out, "no problems")
		return
	}
	fmt.Fprintln(out, "problems:")
	for _, p := range s.Problems[:min(len(s.Problems), maxRows)] {
		fmt.Fprintln(out, "  "+sentence(p))
	}
}

func clockLine(t api.Tracking) string {
	switch {
	case t.Source == "":
		return "not read yet"
	case t.Synchronised:
		return fmt.Sprintf("synchronised, source %s, stratum %d, refid %s, within %s", word(t.Source), t.Stratum, word(t.ReferenceID), amount(t.ErrorBoundSeconds))
	case t.Smearing:
		return fmt.Sprintf("not synchronised: %s smears a leap second", word(t.Source))
	}
	return fmt.Sprintf("not synchronised, source %s, read %s", word(t.Source), read(t))
}

func neighbourLine(n api.Neighbour) string {
	answered := "has not answered yet"
	if n.AgeSeconds != nil {
		answered = "answered " + span(*n.AgeSeconds) + " ago"
	}
	switch {
	case n.Name == "":
		return "none"
	case n.Problem != "":
		return fmt.Sprintf("%s %s: %s", word(n.Name), answered, sentence(n.Problem))
	}
	return word(n.Name) + " " + answered
}

func ringLine(r api.Ring, now time.Time) string {
	return fmt.Sprintf("%s, owner %s, %s, %s", word(r.Dialect), word(r.Owner), currentKey(r.Keys, now), rotation(r, now))
}

func currentKey(keys []api.Key, now time.Time) string {
	for _, k := range keys {
		if k.State == "current" {
			return fmt.Sprintf("key %s made %s", word(k.Fingerprint), moment(k.Created, now))
		}
	}
	return "no current key"
}

// rotation is when and by whom the keys of a ring change.
func rotation(r api.Ring, now time.Time) string {
	switch {
	case r.RotateEverySeconds == 0:
		return "rotated by the neighbour"
	case r.NextRotation == nil:
		return fmt.Sprintf("rotates every %s, the next time is not known", span(r.RotateEverySeconds))
	}
	return fmt.Sprintf("rotates every %s, next %s", span(r.RotateEverySeconds), moment(*r.NextRotation, now))
}

// targetState is a word for whether clients are sent there.
func targetState(t api.Target) string {
	switch {
	case t.Draining:
		return "draining"
	case t.Fit:
		return "fit"
	}
	return "unfit"
}

func targetLine(t api.Target) string {
	all := []string{targetState(t)}
	if t.Reason != "" {
		all[0] += ": " + sentence(t.Reason)
	}
	if t.Stratum != nil {
		all = append(all, fmt.Sprintf("stratum %d", *t.Stratum))
	}
	if t.RootDistanceSeconds != nil {
		all = append(all, "within "+amount(*t.RootDistanceSeconds))
	}
	return strings.Join(append(all, fmt.Sprintf("%d served", t.Served)), ", ")
}

// numbers is a list of IANA numbers.
func numbers(all []uint16) string {
	var b strings.Builder
	for _, n := range all[:min(len(all), maxCell)] {
		fmt.Fprintf(&b, ",%d", n)
	}
	return word(strings.TrimPrefix(b.String(), ","))
}
