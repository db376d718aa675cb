package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

func showStatus(out io.Writer, s api.Status, now time.Time) {
	all := [][2]string{
		{"ntptsd", Word(s.Version) + ", started " + Moment(s.StartedAt, now)},
		{"clock", clockLine(s.Clock)},
		{"neighbour", neighbourLine(s.Neighbour)},
	}
	if s.Neighbour.Via != "" {
		all = append(all, [2]string{"asked by", Sentence(s.Neighbour.Via)})
	}
	for _, r := range s.Rings[:min(len(s.Rings), maxRows)] {
		all = append(all, [2]string{"ring " + Word(r.Name), ringLine(r, now)})
	}
	for _, t := range s.Targets[:min(len(s.Targets), maxRows)] {
		all = append(all, [2]string{"target " + Word(t.ID), targetLine(t)})
	}
	pairs(out, all...)
	if len(s.Problems) == 0 {
		fmt.Fprintln(out, "no problems")
		return
	}
	fmt.Fprintln(out, "problems:")
	for _, p := range s.Problems[:min(len(s.Problems), maxRows)] {
		fmt.Fprintln(out, "  "+Sentence(p))
	}
}

func clockLine(t api.Tracking) string {
	switch {
	case t.Source == "":
		return "not read yet"
	case t.Synchronised:
		return fmt.Sprintf("synchronised, source %s, stratum %d, refid %s, within %s", Word(t.Source), t.Stratum, Word(t.ReferenceID), Amount(t.ErrorBoundSeconds))
	case t.Smearing:
		return fmt.Sprintf("not synchronised: %s smears a leap second", Word(t.Source))
	}
	return fmt.Sprintf("not synchronised, source %s, read %s", Word(t.Source), read(t))
}

func neighbourLine(n api.Neighbour) string {
	answered := "has not answered yet"
	if n.AgeSeconds != nil {
		answered = "answered " + Span(*n.AgeSeconds) + " ago"
	}
	switch {
	case n.Name == "":
		return "none"
	case n.Problem != "":
		return fmt.Sprintf("%s %s: %s", Word(n.Name), answered, Sentence(n.Problem))
	}
	return Word(n.Name) + " " + answered
}

func ringLine(r api.Ring, now time.Time) string {
	return fmt.Sprintf("%s, owner %s, %s, %s", Word(r.Dialect), Word(r.Owner), currentKey(r.Keys, now), rotation(r, now))
}

func currentKey(keys []api.Key, now time.Time) string {
	for _, k := range keys {
		if k.State == "current" {
			return fmt.Sprintf("key %s made %s", Word(k.Fingerprint), Moment(k.Created, now))
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
		return fmt.Sprintf("rotates every %s, the next time is not known", Span(r.RotateEverySeconds))
	}
	return fmt.Sprintf("rotates every %s, next %s", Span(r.RotateEverySeconds), Moment(*r.NextRotation, now))
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
		all[0] += ": " + Sentence(t.Reason)
	}
	if t.Stratum != nil {
		all = append(all, fmt.Sprintf("stratum %d", *t.Stratum))
	}
	if t.RootDistanceSeconds != nil {
		all = append(all, "within "+Amount(*t.RootDistanceSeconds))
	}
	return strings.Join(append(all, fmt.Sprintf("%d served", t.Served)), ", ")
}

// numbers is a list of IANA numbers.
func numbers(all []uint16) string {
	var b strings.Builder
	for _, n := range all[:min(len(all), maxCell)] {
		fmt.Fprintf(&b, ",%d", n)
	}
	return Word(strings.TrimPrefix(b.String(), ","))
}
