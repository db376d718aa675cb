package view

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/ntptsd/ntptsd/internal/api"
)

// What a daemon can make a terminal show.
const (
	maxCell     = 80 // characters
	maxSentence = 500
	maxLines    = 100 // of one text
	maxRows     = api.MaxClients
)

// clip is text from the daemon for a terminal.
func clip(s string, most int) string {
	shown := []rune(Printable(s[:min(len(s), (most+1)*utf8.UTFMax)]))
	if len(shown) > most {
		return string(shown[:most-1]) + "…"
	}
	return string(shown)
}

// Sentence is a line of text.
func Sentence(s string) string { return clip(s, maxSentence) }

// Lines is text that may have several lines. Those after the first are set in, so that none looks like a message of ours.
func Lines(text string) string {
	var all []string
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if len(all) == maxLines {
			all = append(all, "…")
			break
		}
		all = append(all, Sentence(line))
	}
	return strings.Join(all, "\n    ")
}

// Word is what stands in a table or within a sentence; "-" if it is not known.
func Word(s string) string {
	if s == "" {
		return "-"
	}
	return clip(s, maxCell)
}

// rows writes a table with a row for each item. The titles in its head are single words.
func rows[T any](out io.Writer, head string, items []T, row func(T) []string) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(strings.Fields(head), "\t"))
	shown := items[:min(len(items), maxRows)]
	for _, item := range shown {
		fmt.Fprintln(w, strings.Join(row(item), "\t"))
	}
	_ = w.Flush() // out is a buffer
	if left := len(items) - len(shown); left > 0 {
		fmt.Fprintf(out, "and %d more; --json shows all\n", left)
	}
}

// pairs writes names and values as two columns.
func pairs(out io.Writer, all ...[2]string) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range all {
		fmt.Fprintf(w, "%s\t%s\n", p[0], p[1])
	}
	_ = w.Flush()
}

// or is "-" if it is not known, else as f writes it.
func or[T any](v *T, f func(T) string) string {
	if v == nil {
		return "-"
	}
	return f(*v)
}

// decimal is a number with so many digits after the point; very large ones are shortened.
func decimal(v float64, digits int) string {
	if math.Abs(v) >= 1e7 {
		return fmt.Sprintf("%.3g", v)
	}
	return fmt.Sprintf("%.*f", digits, v)
}

// Span is a length of time, such as 3s, 5m, 2h and 4d.
func Span(seconds float64) string {
	s := max(0, math.Floor(seconds))
	switch {
	case s < 60:
		return decimal(s, 0) + "s"
	case s < 60*60:
		return decimal(math.Floor(s/60), 0) + "m"
	case s < 48*60*60:
		return decimal(math.Floor(s/(60*60)), 0) + "h"
	}
	return decimal(math.Floor(s/(24*60*60)), 0) + "d"
}

// Moment is when something was or will be, seen from now.
func Moment(t, now time.Time) string {
	switch d := t.Sub(now).Seconds(); {
	case t.IsZero():
		return "-"
	case d > 0:
		return "in " + Span(d)
	default:
		return Span(-d) + " ago"
	}
}

// Amount is a small length of time, such as 230ns, 12us, 3.2ms and 1.5s.
func Amount(seconds float64) string {
	v, unit := seconds, "s"
	for _, smaller := range []string{"ms", "us", "ns"} {
		if math.Abs(v) >= 0.9995 || v == 0 { // which is written as 1.0
			break
		}
		v, unit = v*1000, smaller
	}
	digits := 0
	if math.Abs(v) < 9.95 && v != 0 && unit != "ns" {
		digits = 1
	}
	return decimal(v, digits) + unit
}

// Offset is an amount that says its sign: + when the other side is ahead of the local clock.
func Offset(seconds float64) string { return signed(Amount(seconds)) }

func signed(number string) string {
	if strings.HasPrefix(number, "-") {
		return number
	}
	return "+" + number
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func count[N uint8 | int | uint64](n N) string { return fmt.Sprint(n) }
