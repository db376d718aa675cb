package ntpq

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ntptsd/ntptsd/internal/api"
)

// maxSources bounds the billboard of another daemon's sources.
const maxSources = 512

// Billboard is what ntpq's peers would print, had the sources been an ntpd's. What the neutral model does not have is a minus;
// what was never measured is 0, as with ntpd. The jitter is a minus, too: a source's error is no jitter of ntpd's. A clock that is synchronised without sources has a line of its own.
func Billboard(t api.Tracking, sources []api.Source) string {
	var text strings.Builder
	text.WriteString(classic{}.header(peers))
	for _, s := range sources[:min(len(sources), maxSources)] {
		text.WriteString(line(s, "-"))
	}
	if more := len(sources) - maxSources; more > 0 {
		fmt.Fprintf(&text, "# and %d more\n", more)
	}
	if len(sources) == 0 && t.Synchronised {
		const theKernel = "LOCAL(0)"
		id := printable(t.ReferenceID)
		if _, err := netip.ParseAddr(id); err != nil && id != "" {
			id = "." + first(13, id) + "."
		}
		text.WriteString(line(api.Source{Name: theKernel, Kind: "refclock", Selection: api.SelectionSelected, Stratum: t.Stratum,
			OffsetSeconds: t.OffsetSeconds}, cmp.Or(id, "-")))
	}
	return text.String()
}

func line(s api.Source, id string) string {
	const jitter = "-"
	return fmt.Sprintf("%c%-15s %-15s %2d %c %4s %4s  %3o  %7s %8s %7s\n", tally(s.Selection), first(15, printable(cmp.Or(s.Address, s.Name))),
		first(15, id), s.Stratum, letter(s.Kind), first(4, interval(seconds(s.LastRxSeconds), true)), first(4, interval(seconds(&s.PollSeconds), true)),
		s.Reach, thousandths(milliseconds(s.DelaySeconds)), signed(thousandths, milliseconds(s.OffsetSeconds)), jitter)
}

func milliseconds(s *float64) float64 {
	if s == nil {
		return 0
	}
	return *s * 1000
}

func seconds(s *float64) int64 {
	const most = 1e12 // nonsense, and no overflow
	if s == nil || !(*s > 0) {
		return 0
	}
	return int64(min(*s, most))
}

// tally is ntpq's for what the neutral model tells apart.
func tally(selection string) byte {
	switch selection {
	case api.SelectionSelected:
		return '*'
	case "combined":
		return '+'
	case "selectable":
		return '#'
	case "outlier":
		return '-'
	case "falseticker":
		return 'x'
	}
	return ' '
}

func letter(kind string) byte {
	switch kind {
	case "refclock":
		return 'l'
	case "pool":
		return 'p'
	case "peer":
		return 's'
	case "broadcast":
		return 'b'
	}
	return 'u'
}

// printable is s without what could upset a terminal, or be of more than one octet.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
