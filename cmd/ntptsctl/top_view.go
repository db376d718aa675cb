package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/api/view"
)

// topLine is a line of the picture, within its width.
type topLine struct {
	text   string
	kind   lineKind
	chosen bool
}

type lineKind int

const (
	plainLine lineKind = iota
	headLine
	badLine
	faintLine
)

// render draws the model within its width and height: a line for each host, as many as there is room for around the chosen
// one, and below what there is to say of that one.
func (t *top) render() []topLine {
	details := helpLines(t.width)
	if !t.help {
		h := &t.hosts[t.chosen]
		details = append([]topLine{{text: fit(h.name, t.width), kind: headLine}}, h.details(t.now, t.width, t.sources)...)
	}
	const around = 3 // the title, the heads of the columns, the keys
	room := max(t.height-around, 1)
	hosts := min(len(t.hosts), max(room-len(details)-1, (room+1)/2))
	first := min(max(t.chosen-hosts/2, 0), len(t.hosts)-hosts)
	title := fmt.Sprintf("ntptsd top  %s  %d of %d fit", t.now.UTC().Format("15:04:05Z"), t.fit(), len(t.hosts))
	if hosts < len(t.hosts) {
		title += fmt.Sprintf("  (%d to %d shown)", first+1, first+hosts)
	}
	all := append([]topLine{{text: fit(title, t.width), kind: headLine}}, t.table(first, hosts)...)
	if left := room - hosts - 1; left > 0 {
		if len(details) > left {
			details = append(details[:left-1], topLine{text: fit("…", t.width), kind: faintLine})
		}
		all = append(append(all, topLine{}), details...)
	}
	return append(all, topLine{text: fit("j/k: choose  enter: sources  ?: help  q: end", t.width), kind: faintLine})
}

func (t *top) fit() (n int) {
	for i := range t.hosts {
		if h := &t.hosts[i]; h.err == nil && h.got.Fit.Fit && !h.late(t.now) {
			n++
		}
	}
	return n
}

// column is one of the table. Where there is no room for all, those of a lower rank stay.
type column struct {
	head        string
	width, rank int
	cell        func(h *hostView, now time.Time) string
}

// hostWidths bound the first column, which is as wide as its names.
const minHost, maxHost = 10, 24

func columnsOf(hostWidth int) []column {
	return []column{
		{"HOST", hostWidth, 0, func(h *hostView, _ time.Time) string { return h.name }},
		{"STATE", 9, 1, func(h *hostView, now time.Time) string { state, _ := h.state(now); return state }},
		{"STRATUM", 7, 8, func(h *hostView, _ time.Time) string { return fmt.Sprint(h.got.Status.Clock.Stratum) }},
		{"OFFSET", 6, 2, func(h *hostView, _ time.Time) string { return offsetOf(h.got.Status.Clock) }},
		{"WITHIN", 6, 3, func(h *hostView, _ time.Time) string { return boundOf(h.got.Status.Clock) }},
		{"SOURCE", 15, 10, func(h *hostView, _ time.Time) string { return h.source() }},
		{"KEY", 4, 9, func(h *hostView, now time.Time) string { age, _ := currentKey(h.got.Status.Rings, now); return age }},
		{"NEXT", 4, 7, func(h *hostView, now time.Time) string { _, next := currentKey(h.got.Status.Rings, now); return next }},
		{"CERT", 5, 6, func(h *hostView, _ time.Time) string { days, _ := firstEnd(h.got.Certificates); return days }},
		{"KE/S", 6, 4, func(h *hostView, _ time.Time) string { return rateText(h.rate(keyExchanges)) }},
		{"NTP/S", 7, 5, func(h *hostView, _ time.Time) string { return rateText(h.rate(timeRequests)) }},
		{"NTS/S", 7, 11, func(h *hostView, _ time.Time) string { return rateText(h.rate(ntsRequests)) }},
	}
}

// gap is between two columns.
const gap = 2

// chosenColumns are as many as there is room for, in their order; the first one always.
func chosenColumns(width, hostWidth int) []column {
	all := columnsOf(hostWidth)
	most, room := 0, width-hostWidth // ranks below most fit
	for rank := 1; rank < len(all); rank++ {
		for _, c := range all {
			if c.rank == rank {
				room -= gap + c.width
			}
		}
		if room < 0 {
			break
		}
		most = rank
	}
	var chosen []column
	for _, c := range all {
		if c.rank <= most {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// table has the heads, and a line for so many hosts.
func (t *top) table(first, n int) []topLine {
	hostWidth := minHost
	for i := range t.hosts {
		hostWidth = max(hostWidth, cells(fit(t.hosts[i].name, maxHost)))
	}
	columns := chosenColumns(t.width, hostWidth)
	var heads []string
	for _, c := range columns {
		heads = append(heads, pad(c.head, c.width))
	}
	lines := []topLine{{text: row(heads, t.width), kind: headLine}}
	for i := first; i < first+n; i++ {
		lines = append(lines, t.hosts[i].line(columns, t.now, t.width))
		lines[len(lines)-1].chosen = i == t.chosen
	}
	return lines
}

func row(texts []string, width int) string {
	return fit(strings.TrimRight(strings.Join(texts, strings.Repeat(" ", gap)), " "), width)
}

func (h *hostView) line(columns []column, now time.Time, width int) topLine {
	_, kind := h.state(now)
	var texts []string
	for i, c := range columns {
		text := ""
		if i < 2 || !h.got.at.IsZero() {
			text = c.cell(h, now)
		}
		texts = append(texts, pad(text, c.width))
	}
	return topLine{text: row(texts, width), kind: kind}
}

// state is in a word how a host is, and how that is to be shown.
func (h *hostView) state(now time.Time) (string, lineKind) {
	age := view.Span(now.Sub(h.got.at).Seconds())
	switch {
	case h.got.at.IsZero() && h.err != nil:
		return "no answer", badLine
	case h.got.at.IsZero():
		return "asking", faintLine
	case h.err != nil:
		return "lost " + age, badLine
	case h.late(now):
		return "late " + age, badLine
	case !h.got.Fit.Fit:
		return "not fit", badLine
	case len(h.got.Status.Problems) > 0:
		return fmt.Sprintf("fit, %d!", len(h.got.Status.Problems)), badLine
	}
	return "fit", plainLine
}

// source is what the clock follows, by the name that its daemon has for it; the reference id where no source says so.
func (h *hostView) source() string {
	c := &h.got.Status.Clock
	if c.Synchronised {
		for _, s := range h.got.Sources[:min(len(h.got.Sources), maxBillboard)] {
			if s.Selection == api.SelectionSelected {
				return view.Word(cmp.Or(s.Name, s.Address, c.ReferenceID))
			}
		}
	}
	return view.Word(c.ReferenceID)
}

func offsetOf(c api.Tracking) string {
	if c.OffsetSeconds == nil {
		return "-"
	}
	return view.Offset(*c.OffsetSeconds)
}

func boundOf(c api.Tracking) string {
	if !c.Synchronised {
		return "-"
	}
	return view.Amount(c.ErrorBoundSeconds)
}

func rateText(perSecond float64, known bool) string {
	switch {
	case !known:
		return "-"
	case perSecond >= 9999.5:
		return fmt.Sprintf("%.0fk", math.Min(perSecond/1000, 1e9))
	case perSecond >= 99.95:
		return fmt.Sprintf("%.0f", perSecond)
	}
	return fmt.Sprintf("%.1f", perSecond)
}

// currentKey is of the first ring, which is the one that clients get cookies of: its age, and when the next one mints.
func currentKey(rings []api.Ring, now time.Time) (age, next string) {
	age, next = "-", "-"
	if len(rings) == 0 {
		return age, next
	}
	for _, k := range rings[0].Keys {
		if k.State == api.KeyCurrent {
			age = view.Span(now.Sub(k.MintFrom).Seconds())
		}
	}
	if n := rings[0].NextRotation; n != nil {
		next = view.Span(n.Sub(now).Seconds())
	}
	return age, next
}

// firstEnd is of the certificate that ends first: the days left, and its file.
func firstEnd(all []api.Certificate) (days, file string) {
	least := math.Inf(1)
	for _, c := range all {
		if c.DaysLeft < least {
			least, file = c.DaysLeft, c.File
		}
	}
	if math.IsInf(least, 1) {
		return "-", ""
	}
	return fmt.Sprintf("%.0fd", math.Min(math.Max(math.Floor(least), -9999), 99999)), file
}

// sourcesText is what the command sources shows.
func sourcesText(all []api.Source) (string, error) {
	b, err := json.Marshal(api.Sources{Sources: all})
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	_, err = view.All()[api.GetSources.Name].Show(&out, b, time.Time{}) // which shows no times
	return out.String(), err
}
