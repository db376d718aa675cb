package view

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

func showFit(out io.Writer, f api.Fit, _ time.Time) {
	if f.Fit {
		fmt.Fprintln(out, "fit")
		return
	}
	fmt.Fprintln(out, "not fit:")
	for _, r := range f.Reasons[:min(len(f.Reasons), maxRows)] {
		fmt.Fprintln(out, "  "+Sentence(r))
	}
}

func showSource(out io.Writer, s api.Source, _ time.Time) {
	pairs(out,
		[2]string{"name", Word(s.Name)},
		[2]string{"address", Word(s.Address)},
		[2]string{"kind", Word(s.Kind)},
		[2]string{"state", Word(s.Selection)},
		[2]string{"stratum", count(s.Stratum)},
		[2]string{"poll", interval(s.PollSeconds)},
		[2]string{"reach", fmt.Sprintf("%o (octal: the last eight polls, the newest in the lowest bit)", s.Reach)},
		[2]string{"last answer", or(s.LastRxSeconds, func(v float64) string { return Span(v) + " ago" })},
		[2]string{"offset", or(s.OffsetSeconds, Offset)},
		[2]string{"error", or(s.ErrorSeconds, Amount)},
		[2]string{"delay", or(s.DelaySeconds, Amount)},
		[2]string{"authentication", Word(s.Authentication)},
	)
}

func showNetworks(out io.Writer, n api.Networks, now time.Time) {
	if len(n.Networks) == 0 {
		fmt.Fprintln(out, "nobody has asked our own services yet")
		return
	}
	rows(out, "NETWORK REQUESTS NTS KEYEXCHANGES FAILED NAKS LIMITED INTERVAL FIRST LAST REMARK", n.Networks, func(n api.Network) []string {
		remark := ""
		if n.RekeysEveryPoll {
			remark = "re-keys on every poll"
		}
		return []string{Word(n.Prefix), count(n.Requests), count(n.NTSRequests), count(n.KeyExchanges), count(n.FailedKeyExchanges), count(n.NAKs), count(n.RateLimited),
			or(n.IntervalSeconds, interval), Moment(n.FirstSeen, now), Moment(n.LastSeen, now), Word(remark)}
	})
	share := or(n.NTSShare, func(v float64) string { return decimal(100*v, 1) + " %" })
	fmt.Fprintf(out, "about %s networks, %s of them new; %d requests, NTS %s; %d key exchanges\n", decimal(n.Known, 0), decimal(n.New, 0), n.Requests, share, n.KeyExchanges)
}

func showCertificates(out io.Writer, c api.Certificates, now time.Time) {
	if len(c.Certificates) == 0 {
		fmt.Fprintln(out, "there is no certificate: nothing is served by TLS")
		return
	}
	rows(out, "FILE STATE ENDS DAYS RENEWED NAMES ISSUER SHA256", c.Certificates, func(c api.Certificate) []string {
		ends, days, renewed := "-", "-", "-"
		if !c.NotAfter.IsZero() {
			ends, days = Moment(c.NotAfter, now), decimal(c.DaysLeft, 1)
		}
		if c.RenewAt != nil {
			renewed = Moment(*c.RenewAt, now)
		}
		return []string{Word(c.File), Word(strings.ReplaceAll(c.State, " ", "-")), ends, days, renewed, Word(strings.Join(c.Names[:min(len(c.Names), 8)], ",")), Word(c.Issuer),
			Word(c.Fingerprint[:min(len(c.Fingerprint), 16)])}
	})
	for _, one := range c.Certificates[:min(len(c.Certificates), maxRows)] {
		if one.Problem != "" {
			fmt.Fprintf(out, "%s: %s\n", Word(one.File), Sentence(one.Problem))
		}
		if one.LastError != "" {
			when := ""
			if one.NextAttempt != nil {
				when = ", next try " + Moment(*one.NextAttempt, now)
			}
			fmt.Fprintf(out, "%s: last error%s: %s\n", Word(one.File), when, Sentence(one.LastError))
		}
	}
}

func showHandshakes(out io.Writer, h api.Handshakes, _ time.Time) {
	w := [][2]string{{"open", count(h.Open)}, {"cookies", count(h.Cookies)},
		{"TLS handshake", fmt.Sprintf("median %s, 90 %% %s, 99 %% %s", or(h.MedianSeconds, Amount), or(h.NinetiethSeconds, Amount), or(h.NinetyNinthSeconds, Amount))}}
	for _, list := range []struct {
		name   string
		counts []api.Count
	}{{"ended", h.Connections}, {"failed", h.Failures}, {"AEAD", h.Responses}, {"group", h.Groups}} {
		w = append(w, [2]string{list.name, counts(list.counts)})
	}
	pairs(out, w...)
}

// counts are those that are not 0, in a line.
func counts(all []api.Count) string {
	var texts []string
	for _, c := range all[:min(len(all), maxCell)] {
		if c.Count > 0 {
			texts = append(texts, Word(c.Name)+" "+count(c.Count))
		}
	}
	if len(texts) == 0 {
		return "-"
	}
	return strings.Join(texts, ", ")
}

func showCookies(out io.Writer, c api.Cookies, _ time.Time) {
	total := uint64(0)
	for _, a := range c.Ages {
		total += a.Count
	}
	if total == 0 {
		fmt.Fprintln(out, "no cookie has come back yet")
		return
	}
	rows(out, "KEY COOKIES SHARE", c.Ages, func(a api.Count) []string {
		return []string{Word(a.Name), count(a.Count), decimal(100*float64(a.Count)/float64(total), 1) + "%"}
	})
}

// Event is a line about one.
func Event(e api.Event) string {
	return fmt.Sprintf("%s %-7s %-11s %s", e.At.UTC().Format(time.RFC3339), Word(e.Severity), Word(e.Kind), Sentence(e.Text))
}

func showEvents(out io.Writer, e api.Events, _ time.Time) {
	if e.Lost {
		fmt.Fprintln(out, "some events are forgotten already")
	}
	for _, one := range e.Events[:min(len(e.Events), maxRows)] {
		fmt.Fprintln(out, Event(one))
	}
	if len(e.Events) == 0 {
		fmt.Fprintln(out, "nothing has happened")
	}
}

// hourly is what a line of the history tells.
type hourly struct {
	at                   time.Time
	offsets, bounds      []float64
	handshakes, requests uint64
}

// showHistory has a line for each hour: the least, the median and the greatest offset, the largest error bound, and what was
// served.
func showHistory(out io.Writer, h api.History, _ time.Time) {
	var hours []hourly
	n := min(len(h.At), len(h.OffsetSeconds), len(h.ErrorBoundSeconds), len(h.Handshakes), len(h.TimeRequests))
	for i := range n {
		at := h.At[i].UTC().Truncate(time.Hour)
		if len(hours) == 0 || !hours[len(hours)-1].at.Equal(at) {
			hours = append(hours, hourly{at: at})
		}
		one := &hours[len(hours)-1]
		if v := h.OffsetSeconds[i]; v != nil {
			one.offsets = append(one.offsets, *v)
		}
		if v := h.ErrorBoundSeconds[i]; v != nil {
			one.bounds = append(one.bounds, *v)
		}
		one.handshakes += h.Handshakes[i]
		one.requests += h.TimeRequests[i]
	}
	if len(hours) == 0 {
		fmt.Fprintln(out, "there is no history yet")
		return
	}
	rows(out, "HOUR LEAST MEDIAN GREATEST WITHIN KEYEXCHANGES REQUESTS", hours, func(h hourly) []string {
		least, median, greatest, bound := "-", "-", "-", "-"
		if len(h.offsets) > 0 {
			slices.Sort(h.offsets)
			least, median, greatest = Offset(h.offsets[0]), Offset(h.offsets[len(h.offsets)/2]), Offset(h.offsets[len(h.offsets)-1])
		}
		if len(h.bounds) > 0 {
			bound = Amount(slices.Max(h.bounds))
		}
		return []string{h.at.Format("2006-01-02T15Z"), least, median, greatest, bound, count(h.handshakes), count(h.requests)}
	})
}

func showIdentity(out io.Writer, i api.Identity, now time.Time) {
	all := [][2]string{{"you are", Word(i.Name)}, {"role", Word(i.Role)}}
	if len(i.Only) > 0 {
		all = append(all, [2]string{"only", Sentence(strings.Join(i.Only[:min(len(i.Only), maxCell)], ", "))})
	}
	if i.Until != nil {
		all = append(all, [2]string{"until", i.Until.UTC().Format(time.RFC3339) + ", " + Moment(*i.Until, now)})
	}
	pairs(out, all...)
}

func showLink(out io.Writer, l api.Link, now time.Time) {
	for _, u := range l.URLs[:min(len(l.URLs), maxCell)] {
		fmt.Fprintln(out, Sentence(u))
	}
	fmt.Fprintf(out, "works once, until %s (%s), with the role %s\n", l.Until.UTC().Format(time.RFC3339), Moment(l.Until, now), Word(l.Role))
}

// maxNative bounds the lines of another daemon's text, which has rows for its clients.
const maxNative = 2000

func showNative(out io.Writer, n api.Native, _ time.Time) { block(out, n.Text) }

// block shows lines as they stand.
func block(out io.Writer, text string) {
	lines := 0
	for line := range strings.Lines(text) {
		if lines++; lines > maxNative {
			fmt.Fprintln(out, "…")
			return
		}
		fmt.Fprintln(out, Sentence(strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\t", "        ")))
	}
}
