package main

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"github.com/ntptsd/ntptsd/internal/api"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// twoHosts are one that is well and one that is lost.
func twoHosts() *top {
	served := func(n uint64) api.Handshakes { return api.Handshakes{Responses: []api.Count{{Name: "x", Count: n}}} }
	r := reading{
		at: noon, fit: api.Fit{Fit: true}, handshakes: served(30), cookies: api.Cookies{Ages: []api.Count{{Name: "current", Count: 100}}},
		status: api.Status{
			Clock: api.Tracking{Source: "chrony", Synchronised: true, Stratum: 2, ReferenceID: "192.0.2.10", OffsetSeconds: new(0.000012), ErrorBoundSeconds: 0.0068},
			Rings: []api.Ring{{Keys: []api.Key{{State: api.KeyCurrent, Created: noon.Add(-26 * time.Hour)}}, NextRotation: new(noon.Add(22 * time.Hour))}},
		},
		certificates: api.Certificates{Certificates: []api.Certificate{{DaysLeft: 80}, {DaysLeft: 12.3}}},
		sources: api.Sources{Sources: []api.Source{{Name: "ntp1", Address: "192.0.2.10", Kind: "server", Selection: "selected", Stratum: 1, PollSeconds: 64, Reach: 0o377,
			LastRxSeconds: new(12.0), OffsetSeconds: new(0.000012), ErrorSeconds: new(0.000035), DelaySeconds: new(0.0032), Authentication: "nts"}}},
	}
	before := r
	before.at, before.handshakes, before.cookies = noon.Add(-2*time.Second), served(20), api.Cookies{}
	lost := r
	lost.at = noon.Add(-5 * time.Minute)
	return &top{now: noon, width: 120, height: 24, hosts: []hostView{
		{name: "a.example.net", got: r, before: before},
		{name: "b.example.net", got: lost, err: errors.New("b.example.net:4461: connection refused")},
		{name: "c.example.net"},
	}}
}

func picture(t *top) string {
	var b strings.Builder
	for _, l := range t.render() {
		b.WriteString(strings.TrimRight(l.text, " ") + "\n")
	}
	return b.String()
}

func TestPictures(t *testing.T) {
	m := twoHosts()
	m.press("enter")
	want := `ntptsd top  12:00:00Z  1 of 3 fit
HOST                    STATE       STRATUM OFFSET   WITHIN   SOURCE          KEY      NEXT  CERT  KE/S   NTS/S
a.example.net           fit         2       +12us    6.8ms    192.0.2.10      26h      22h   12d   5.0    50.0
b.example.net           lost 5m     2       +12us    6.8ms    192.0.2.10      26h      22h   12d   -      -
c.example.net           asking

a.example.net
  no problems
  NAME  ADDRESS     KIND    STATE     STRATUM  POLL  REACH  LAST  OFFSET  ERROR  DELAY  AUTH
  ntp1  192.0.2.10  server  selected  1        64s   377    12s   +12us   35us   3.2ms  nts
arrows: choose   enter: sources   q: end
`
	if got := picture(m); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	m.press("j")
	m.press("space")
	m.width, m.height = 40, 8
	want = `ntptsd top  12:00:00Z  1 of 3 fit
HOST                    STATE       STR…
a.example.net           fit         2  …
b.example.net           lost 5m     2  …
c.example.net           asking

…
arrows: choose   enter: sources   q: end
`
	if got := picture(m); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTopFollowsKeysAndAnswers(t *testing.T) {
	m := twoHosts()
	for range 5 {
		m.press("down")
	}
	if m.chosen != 2 {
		t.Errorf("chosen %d", m.chosen)
	}
	for range 5 {
		m.press("k")
	}
	if m.chosen != 0 {
		t.Errorf("chosen %d", m.chosen)
	}
	if cmd := m.press("q"); cmd == nil {
		t.Error("q does not end it")
	}
	if _, cmd := m.Update(answered{2, reading{at: noon, fit: api.Fit{Fit: true}}, nil}); cmd == nil || !m.hosts[2].got.fit.Fit {
		t.Error("an answer is not taken, or the host is not asked again")
	}
	if _, cmd := m.Update(answered{2, reading{}, errors.New("gone")}); cmd == nil || m.hosts[2].got.at != noon {
		t.Error("a lost host is forgotten, or not asked again")
	}
	m.Update(tea.WindowSizeMsg{Width: 33, Height: 5})
	if lines := m.render(); len(lines) > 5 || utf8.RuneCountInString(lines[0].text) > 33 {
		t.Errorf("%d lines", len(lines))
	}
}

// Whatever hosts say, and whatever the size: nothing acts on the terminal, and the picture fits.
func FuzzTop(f *testing.F) {
	f.Add("a\x1b[2J\r\n", 80, 24)
	f.Add("\u202e\u009b\x00", 1, 1)
	f.Add(strings.Repeat("ü", 1000), 0, -3)
	f.Fuzz(func(t *testing.T, text string, width, height int) {
		m := twoHosts()
		width, height = width%500, height%500
		m.width, m.height, m.sources = width, height, true
		h := &m.hosts[0]
		h.name = text
		h.got.status.Clock.ReferenceID, h.got.status.Problems, h.got.fit.Reasons = text, []string{text}, []string{text}
		h.got.sources.Sources[0].Name, h.got.sources.Sources[0].Selection = text, text
		m.hosts[1].err = errors.New(text)
		lines := m.render()
		if len(lines) > max(height, 4) {
			t.Errorf("%d lines of %d", len(lines), height)
		}
		for _, l := range lines {
			if n := utf8.RuneCountInString(l.text); n > max(width, 1) {
				t.Errorf("%d columns of %d: %q", n, width, l.text)
			}
			if strings.ContainsFunc(l.text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q acts on the terminal", l.text)
			}
		}
	})
}
