package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api/view"
)

// labelWidth is that of the words before what is told of a host.
const labelWidth = 13

// details are about one host: what the table has no room for.
func (h *hostView) details(now time.Time, width int, sources bool) (all []topLine) {
	tell := func(kind lineKind, label, text string) {
		for i, line := range wrap(view.Sentence(text), width-labelWidth) {
			if i > 0 {
				label = ""
			}
			all = append(all, topLine{text: fit(pad(label, labelWidth)+line, width), kind: kind})
		}
	}
	if h.err != nil {
		tell(badLine, "error", h.err.Error())
	}
	if h.got.at.IsZero() {
		return all
	}
	for _, w := range h.wrong() {
		tell(badLine, "problem", w)
	}
	s := &h.got.Status
	tell(plainLine, "clock", h.clock())
	age, next := currentKey(s.Rings, now)
	tell(plainLine, "cookie key", fmt.Sprintf("in use for %s, the next in %s", age, next))
	days, file := firstEnd(h.got.Certificates)
	tell(plainLine, "certificate", fmt.Sprintf("%s left of %s", days, view.Word(file)))
	tell(plainLine, "in a second", fmt.Sprintf("%s key exchanges, %s answers with time, %s with a cookie",
		rateText(h.rate(keyExchanges)), rateText(h.rate(timeRequests)), rateText(h.rate(ntsRequests))))
	fits := 0
	for _, t := range s.Targets {
		if t.Fit && !t.Draining {
			fits++
		}
	}
	if len(s.Targets) > 0 {
		tell(plainLine, "targets", fmt.Sprintf("%d of %d take clients", fits, len(s.Targets)))
	}
	tell(plainLine, "ntptsd", fmt.Sprintf("%s, started %s, heard %s ago", view.Word(s.Version), view.Moment(s.StartedAt, now), view.Span(now.Sub(h.got.at).Seconds())))
	if sources {
		all = append(all, topLine{})
		all = append(all, h.billboard(width)...)
	}
	return all
}

func (h *hostView) clock() string {
	c := h.got.Status.Clock
	if !c.Synchronised {
		return "not synchronised, says " + cmp.Or(c.Source, "nobody yet")
	}
	return fmt.Sprintf("synchronised, says %s: stratum %d, source %s, offset %s, within %s", view.Word(c.Source), c.Stratum, h.source(), offsetOf(c), boundOf(c))
}

// maxBillboard bounds how many sources are looked at: more than any screen has lines.
const maxBillboard = 256

// billboard is of the sources.
func (h *hostView) billboard(width int) (all []topLine) {
	if len(h.got.Sources) == 0 {
		return []topLine{{text: fit("no sources are known: there is no time daemon next door, or it does not tell", width), kind: faintLine}}
	}
	text, err := sourcesText(h.got.Sources[:min(len(h.got.Sources), maxBillboard)])
	if err != nil { // a number that JSON has no words for, which cannot come by JSON
		return []topLine{{text: fit("the sources cannot be shown: "+err.Error(), width), kind: badLine}}
	}
	for line := range strings.Lines(text) {
		all = append(all, topLine{text: fit(strings.TrimRight(line, "\n"), width), kind: plainLine})
	}
	all[0].kind = headLine
	return all
}

func helpLines(width int) (all []topLine) {
	for _, l := range [][2]string{
		{"j, k, arrows", "choose a host"},
		{"enter", "its sources, or not"},
		{"esc", "back"},
		{"q", "end"},
		{"STATE", "fit to serve time or not; the number is of problems; late and lost: for how long nothing was heard"},
		{"OFFSET", "what is left to correct; + when true time is ahead of the clock"},
		{"WITHIN", "the error bound of the clock"},
		{"NTP/S", "answers of our time server in a second; NTS/S: cookies that came back"},
		{"KE/S", "key exchanges in a second"},
		{"CERT", "days until the first certificate ends"},
		{"KEY, NEXT", "how long the cookie key is in use, and until the next one"},
		{"SOURCE", "the selected source, or the reference id where the clock has none"},
	} {
		for i, line := range wrap(l[1], width-labelWidth) {
			label := l[0]
			if i > 0 {
				label = ""
			}
			all = append(all, topLine{text: fit(pad(label, labelWidth)+line, width)})
		}
	}
	return all
}
