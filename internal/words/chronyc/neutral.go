package chronyc

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/ntptsd/ntptsd/internal/api"
)

// maxName is how much of a name is shown, which a daemon may make as long as it likes.
const maxName = 255

// unknown is what a report says in the place of what the neutral model does not have.
const unknown = "-"

// Tracking is what chronyc would say, had the clock's daemon been chronyd.
func Tracking(t api.Tracking) string {
	p := page{labels: 16}
	name := t.ReferenceID
	if t.RefID == [4]byte{} {
		name = ""
	}
	p.field("Reference ID", "%08X (%s)", binary.BigEndian.Uint32(t.RefID[:]), visible(name))
	p.field("Stratum", "%d", t.Stratum)
	p.field("Ref time (UTC)", "%s", known(t.ReferenceTime, date))
	p.field("System time", "%s", known(t.OffsetSeconds, systemTime))
	p.field("Last offset", unknown)
	p.field("RMS offset", unknown)
	p.field("Frequency", "%s", known(t.FrequencyPPM, frequency))
	p.field("Residual freq", unknown)
	p.field("Skew", unknown)
	p.field("Root delay", "%.9f seconds", t.RootDelaySeconds)
	p.field("Root dispersion", "%.9f seconds", t.RootDispersionSeconds)
	p.field("Update interval", unknown)
	p.field("Leap status", "%s", leapOf(t.Leap))
	return p.String()
}

func known[T any](v *T, print func(T) string) string {
	if v == nil {
		return unknown
	}
	return print(*v)
}

func leapOf(word string) string {
	for l := range 4 {
		if word == api.LeapWord(uint8(l)) {
			return leap(l)
		}
	}
	return leap(-1)
}

// Sources is what chronyc would list, had they been sources of chronyd's. What is unknown is a dash.
func Sources(list []api.Source) string {
	var p page
	p.header(sourcesHeader)
	for _, s := range list[:min(len(list), maxSources)] {
		name := cmp.Or(s.Address, s.Name)
		at := measured(s.OffsetSeconds)
		p.linef("%s%s %-27s  %2d  %2d   %3o  %s  %s[%s] +/- %s", kind(s.Kind), state(s.Selection), visible(name), s.Stratum,
			exponent(s.PollSeconds), s.Reach, sampled(s.LastRxSeconds), at, at, fmt.Sprintf("%6s", known(s.ErrorSeconds, span)))
	}
	if more := len(list) - maxSources; more > 0 {
		p.linef("(and %d more sources)", more)
	}
	return p.String()
}

// measured turns the sign: chronyc's is positive when the local clock is ahead.
func measured(s *float64) string {
	return fmt.Sprintf("%7s", known(s, func(s float64) string { return offset(0 - s) }))
}

func sampled(s *float64) string {
	if s == nil {
		return ago(never)
	}
	return ago(uint32(min(max(*s, 0), never-1)))
}

func kind(k string) string {
	switch k {
	case "peer":
		return "="
	case "refclock":
		return "#"
	}
	return "^"
}

func state(selection string) string {
	switch selection {
	case api.SelectionSelected:
		return "*"
	case "combined":
		return "+"
	case "selectable", "outlier":
		return "-"
	case "falseticker":
		return "x"
	case "jittery":
		return "~"
	}
	return "?"
}

// exponent is the power of two nearest to an interval.
func exponent(seconds float64) int {
	if !(seconds > 0) || math.IsInf(seconds, 0) {
		return 0
	}
	return int(math.Round(math.Log2(seconds)))
}

// visible is s without what could upset a terminal.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), maxName)])
}
