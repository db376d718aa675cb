package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/api/view"
)

// topLine is a line of the picture.
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

// render is pure: what there is of the model, within its width and height.
func (t *top) render() []topLine {
	all := []topLine{
		{text: fmt.Sprintf("ntptsd top  %s  %d of %d fit", t.now.UTC().Format("15:04:05Z"), t.fit(), len(t.hosts)), kind: headLine},
		{text: columns("HOST", "STATE", "STRATUM", "OFFSET", "WITHIN", "SOURCE", "KEY", "NEXT", "CERT", "KE/S", "NTS/S"), kind: headLine},
	}
	for i := range t.hosts {
		l := t.hosts[i].line(t.now)
		l.chosen = i == t.chosen
		all = append(all, l)
	}
	all = append(all, topLine{}, topLine{text: t.hosts[t.chosen].name, kind: headLine})
	all = append(all, t.hosts[t.chosen].details(t.sources)...)
	if room := max(t.height-1, 3); len(all) > room {
		all = append(all[:room-1], topLine{text: "…", kind: faintLine})
	}
	all = append(all, topLine{text: "arrows: choose   enter: sources   q: end", kind: faintLine})
	for i := range all {
		all[i].text = fit(all[i].text, t.width)
	}
	return all
}

func (t *top) fit() (n int) {
	for i := range t.hosts {
		if h := &t.hosts[i]; h.err == nil && h.got.fit.Fit {
			n++
		}
	}
	return n
}

// widths of the columns; the first takes the names of hosts.
func columns(cells ...string) string {
	widths := [...]int{24, 12, 8, 9, 9, 16, 9, 6, 6, 7, 8}
	var b strings.Builder
	for i, c := range cells {
		b.WriteString(fit(c, widths[i]-1))
		b.WriteString(strings.Repeat(" ", widths[i]-min(utf8.RuneCountInString(c), widths[i]-1)))
	}
	return strings.TrimRight(b.String(), " ")
}

// fit is a text within a width: cut, and nothing in it that acts on the terminal.
func fit(s string, width int) string {
	r := []rune(view.Printable(s[:min(len(s), 4*max(width, 1)+utf8.UTFMax)]))
	if len(r) > width {
		return string(r[:max(width-1, 0)]) + "…"
	}
	return string(r)
}

func (h *hostView) line(now time.Time) topLine {
	if h.got.at.IsZero() {
		if h.err != nil {
			return topLine{text: columns(h.name, "unreachable"), kind: badLine}
		}
		return topLine{text: columns(h.name, "asking"), kind: faintLine}
	}
	r := &h.got
	state, kind := "fit", plainLine
	switch {
	case h.err != nil:
		state, kind = "lost "+view.Span(now.Sub(r.at).Seconds()), badLine
	case !r.fit.Fit:
		state, kind = "not fit", badLine
	case len(r.status.Problems) > 0:
		state = fmt.Sprintf("fit, %d!", len(r.status.Problems))
	}
	offset, within := "-", "-"
	if v := r.status.Clock.OffsetSeconds; v != nil {
		offset = view.Offset(*v)
	}
	if r.status.Clock.Synchronised {
		within = view.Amount(r.status.Clock.ErrorBoundSeconds)
	}
	key, next := currentKey(r.status.Rings, now)
	return topLine{text: columns(h.name, state, fmt.Sprint(r.status.Clock.Stratum), offset, within, r.status.Clock.ReferenceID, key, next,
		days(r.certificates.Certificates), h.rate(sumOf(r.handshakes.Responses), sumOf(h.before.handshakes.Responses)),
		h.rate(sumOf(r.cookies.Ages), sumOf(h.before.cookies.Ages))), kind: kind}
}

// rate is what happened in a second between the last two readings.
func (h *hostView) rate(now, before uint64) string {
	d := h.got.at.Sub(h.before.at).Seconds()
	if h.before.at.IsZero() || d <= 0 || now < before { // it was started anew
		return "-"
	}
	return fmt.Sprintf("%.1f", float64(now-before)/d)
}

func sumOf(all []api.Count) (n uint64) {
	for _, c := range all {
		n += c.Count
	}
	return n
}

// currentKey is the first ring's: its age, and when the next one mints.
func currentKey(rings []api.Ring, now time.Time) (age, next string) {
	if len(rings) == 0 {
		return "-", "-"
	}
	age, next = "-", "-"
	for _, k := range rings[0].Keys {
		if k.State == api.KeyCurrent {
			age = view.Span(now.Sub(k.Created).Seconds())
		}
	}
	if n := rings[0].NextRotation; n != nil {
		next = view.Span(n.Sub(now).Seconds())
	}
	return age, next
}

// days are those of the certificate that ends first.
func days(all []api.Certificate) string {
	least := math.Inf(1)
	for _, c := range all {
		least = min(least, c.DaysLeft)
	}
	if math.IsInf(least, 1) {
		return "-"
	}
	return fmt.Sprintf("%.0fd", least)
}

// details are about the chosen host.
func (h *hostView) details(sources bool) (all []topLine) {
	add := func(kind lineKind, format string, args ...any) {
		all = append(all, topLine{text: "  " + fmt.Sprintf(format, args...), kind: kind})
	}
	if h.err != nil {
		add(badLine, "%s", view.Sentence(h.err.Error()))
	}
	if h.got.at.IsZero() {
		return all
	}
	for _, reason := range h.got.fit.Reasons[:min(len(h.got.fit.Reasons), maxHosts)] {
		add(badLine, "not fit: %s", view.Sentence(reason))
	}
	for _, p := range h.got.status.Problems[:min(len(h.got.status.Problems), maxHosts)] {
		add(badLine, "%s", view.Sentence(p))
	}
	if len(all) == 0 {
		add(plainLine, "no problems")
	}
	if !sources {
		return all
	}
	if len(h.got.sources.Sources) == 0 {
		add(faintLine, "no sources: the clock is %s", view.Word(h.got.status.Clock.Source))
		return all
	}
	text, err := sourcesText(h.got.sources)
	if err != nil { // infinity, which JSON has no words for
		add(badLine, "sources that cannot be shown: %s", view.Sentence(err.Error()))
	}
	for line := range strings.Lines(text) {
		all = append(all, topLine{text: "  " + strings.TrimRight(line, "\n")})
	}
	return all
}

// sourcesText is what the command sources shows.
func sourcesText(s api.Sources) (string, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	_, err = view.All()[api.GetSources.Name].Show(&out, b, time.Now())
	return out.String(), err
}
