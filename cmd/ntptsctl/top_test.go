package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/ntptsd/ntptsd/internal/api"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// sample is of a host that is well, and has served so much.
func sample(at time.Time, served uint64) reading {
	return reading{at: at, Sample: api.Sample{
		At: at, Fit: api.Fit{Fit: true}, TimeRequests: 100 * served,
		Handshakes: api.Handshakes{Responses: []api.Count{{Name: "x", Count: served}}},
		Cookies:    api.Cookies{Ages: []api.Count{{Name: "current", Count: 7 * served}, {Name: "unknown", Count: served}}},
		Status: api.Status{
			Version: "0.4.0", StartedAt: noon.Add(-80 * time.Hour),
			Clock:   api.Tracking{Source: "chrony", Synchronised: true, Stratum: 2, ReferenceID: "192.0.2.10", OffsetSeconds: new(0.000012), ErrorBoundSeconds: 0.0068},
			Rings:   []api.Ring{{Keys: []api.Key{{State: "old"}, {State: api.KeyCurrent, MintFrom: noon.Add(-2 * time.Hour)}}, NextRotation: new(noon.Add(22 * time.Hour))}},
			Targets: []api.Target{{Fit: true}, {Fit: true, Draining: true}},
		},
		Certificates: []api.Certificate{{File: "/etc/a.pem", DaysLeft: 80}, {File: "/etc/b.pem", DaysLeft: 12.3}},
		Sources: []api.Source{
			{Name: "ntp1", Address: "192.0.2.10", Kind: "server", Selection: "selected", Stratum: 1, PollSeconds: 64, Reach: 0o377,
				LastRxSeconds: new(12.0), OffsetSeconds: new(0.000012), ErrorSeconds: new(0.000035), DelaySeconds: new(0.0032), Authentication: "nts"},
			{Name: "PPS0", Kind: "refclock", Selection: "falseticker", PollSeconds: 0.25, Reach: 7, OffsetSeconds: new(-0.0032)},
		},
	}}
}

// fiveHosts are one that is well, one with problems, one that was lost, one that is late and one that is new.
func fiveHosts() *top {
	bad := sample(noon, 30)
	bad.Fit = api.Fit{Reasons: []string{"the error bound of 1.2s is more than 1s"}}
	bad.Status.Clock = api.Tracking{Source: "chrony"}
	bad.Status.Problems = []string{"ring default: /var/lib/chrony/ntskeys cannot be written: permission denied; chown it to the user that ntptsd runs as"}
	return &top{now: noon, width: 80, height: 24, hosts: []hostView{
		{name: "a.example.net", got: sample(noon, 30), before: sample(noon.Add(-2*time.Second), 20)},
		{name: "b.example.net", got: bad, before: sample(noon.Add(-2*time.Second), 31)},
		{name: "gone", got: sample(noon.Add(-5*time.Minute), 9), err: errors.New("gone:4461: connection refused: ntptsd does not run there")},
		{name: "2001:db8::4", got: sample(noon.Add(-9*time.Second), 9)},
		{name: "new"},
	}}
}

func picture(t *top) string {
	var b strings.Builder
	for _, l := range t.render() {
		b.WriteString(strings.TrimRight(l.text, " ") + "\n")
	}
	return b.String()
}

// The pictures in testdata are what is seen on terminals of these sizes.
func TestPictures(t *testing.T) {
	for name, c := range map[string]struct {
		width, height int
		keys          string
	}{
		"top-80x24":         {80, 24, ""},
		"top-80x24-sources": {80, 24, "enter"},
		"top-80x24-problem": {80, 24, "down"},
		"top-80x24-help":    {80, 24, "?"},
		"top-40x20":         {40, 20, ""},
		"top-40x20-lost":    {40, 20, "j j"},
		"top-40x20-new":     {40, 20, "end enter"},
		"top-132x24":        {132, 24, "enter"},
		"top-40x6":          {40, 6, "j j j"},
	} {
		m := fiveHosts()
		m.Update(tea.WindowSizeMsg{Width: c.width, Height: c.height})
		for _, key := range strings.Fields(c.keys) {
			m.press(key)
		}
		got := picture(m)
		file := filepath.Join("testdata", name+".txt")
		if os.Getenv("NTPTSCTL_WRITE_PICTURES") != "" {
			if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || got != string(want) {
			t.Errorf("%s: %v, got\n%s\nwant\n%s", name, err, got, want)
		}
	}
}

// A source has a name that people know; a reference id of IPv6 is a hash.
func TestTheSourceHasItsName(t *testing.T) {
	clock := api.Tracking{Synchronised: true, ReferenceID: "b3a1c2d4"}
	for want, h := range map[string]api.Sample{
		"time.example": {Status: api.Status{Clock: clock}, Sources: []api.Source{{Name: "other", Selection: "combined"}, {Name: "time.example", Selection: api.SelectionSelected}}},
		"2001:db8::1":  {Status: api.Status{Clock: clock}, Sources: []api.Source{{Address: "2001:db8::1", Selection: api.SelectionSelected}}},
		"b3a1c2d4":     {Status: api.Status{Clock: clock}, Sources: []api.Source{{Name: "other", Selection: "combined"}}},
		"PPS":          {Status: api.Status{Clock: api.Tracking{Synchronised: true, ReferenceID: "PPS"}}},
		"-":            {Sources: []api.Source{{Name: "before", Selection: api.SelectionSelected}}},
		`\x1b[2J`:      {Status: api.Status{Clock: clock}, Sources: []api.Source{{Name: "\x1b[2J", Selection: api.SelectionSelected}}},
	} {
		if got := (&hostView{got: reading{Sample: h}}).source(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestTopFollowsKeys(t *testing.T) {
	m := fiveHosts()
	for _, c := range []struct {
		keys          string
		chosen        int
		sources, help bool
	}{
		{"down down down down down down down", 4, false, false},
		{"k k", 2, false, false},
		{"home", 0, false, false},
		{"G", 4, false, false},
		{"g up up", 0, false, false},
		{"enter", 0, true, false},
		{"?", 0, true, true},
		{"enter", 0, true, false},
		{"enter", 0, false, false},
		{"? space esc", 0, false, false},
		{"x F5 ctrl+z", 0, false, false},
	} {
		for _, key := range strings.Fields(c.keys) {
			if m.press(key) != nil {
				t.Errorf("%s ends it", key)
			}
		}
		if m.chosen != c.chosen || m.sources != c.sources || m.help != c.help {
			t.Errorf("after %s: host %d, sources %v, help %v; want %+v", c.keys, m.chosen, m.sources, m.help, c)
		}
	}
	for _, key := range []tea.Key{{Code: 'q', Text: "q"}, {Code: 'c', Mod: tea.ModCtrl}} {
		if _, cmd := m.Update(tea.KeyPressMsg(key)); cmd == nil {
			t.Errorf("%s does not end it", key)
		}
	}
}

func TestTopTakesWhatHostsSay(t *testing.T) {
	m := fiveHosts()
	m.Update(answered{4, sample(noon, 5), nil})
	if h := m.hosts[4]; h.got.TimeRequests != 500 || !h.before.at.IsZero() {
		t.Errorf("%+v", h)
	}
	m.Update(answered{4, sample(noon, 5), nil}) // once more, over another connection
	if _, known := m.hosts[4].rate(timeRequests); known {
		t.Error("a rate from one sample")
	}
	m.Update(answered{4, sample(noon.Add(2*time.Second), 9), nil})
	if rate, known := m.hosts[4].rate(timeRequests); rate != 200 || !known {
		t.Errorf("%v, %v a second", rate, known)
	}
	m.Update(answered{4, reading{}, errors.New("gone")})
	if h := m.hosts[4]; h.err == nil || h.got.TimeRequests != 900 {
		t.Errorf("what a lost host said is forgotten: %+v", h)
	}
	m.Update(answered{4, sample(noon.Add(4*time.Second), 1), nil})
	if _, known := m.hosts[4].rate(timeRequests); known || m.hosts[4].err != nil {
		t.Error("a host that was started anew has a rate, or is lost")
	}
	if m.fit() != 2 {
		t.Errorf("%d are fit", m.fit())
	}
	if _, cmd := m.Update(passed{noon.Add(time.Minute)}); cmd == nil || m.fit() != 0 {
		t.Errorf("%d are fit a minute later", m.fit())
	}
}

// Whatever hosts say, and whatever the size: nothing acts on the terminal, and the picture fits.
func FuzzTop(f *testing.F) {
	f.Add("a\x1b[2J\r\n", 80, 24)
	f.Add("\u202e\u009b\x00", 1, 1)
	f.Add(strings.Repeat("ü", 1000), 0, -3)
	f.Add("日本語 e\u0301\u0301\u0301 👩\u200d👧 🇩🇪 1\ufe0f\u20e3 "+strings.Repeat("a ", 1000), 40, 20)
	f.Fuzz(func(t *testing.T, text string, width, height int) {
		m := fiveHosts()
		text = text[:min(len(text), 4096)]
		width, height = width%500, height%500
		m.Update(tea.WindowSizeMsg{Width: width, Height: height})
		h := &m.hosts[0]
		h.name = text
		h.got.Status.Clock.ReferenceID, h.got.Status.Clock.Source, h.got.Status.Version = text, text, text
		h.got.Status.Problems, h.got.Fit.Reasons = []string{text}, []string{text}
		h.got.Sources[0].Name, h.got.Sources[0].Selection, h.got.Certificates[1].File = text, text, text
		m.hosts[1].err = errors.New(text)
		for _, key := range []string{"", "enter", "j", "?"} {
			m.press(key)
			lines := m.render()
			if len(lines) > max(height, 4) {
				t.Errorf("%d lines of %d", len(lines), height)
			}
			for _, l := range lines {
				if n := lipgloss.Width(l.text); n > max(width, 0) {
					t.Errorf("%d columns of %d: %q", n, width, l.text)
				}
				if strings.ContainsFunc(l.text, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("%q acts on the terminal", l.text)
				}
			}
		}
		for _, line := range wrap(text, width) {
			if lipgloss.Width(line) > max(width, 2) { // a wide letter cannot be broken
				t.Errorf("%q is wider than %d", line, width)
			}
		}
	})
}

// streaming is a services port that has these samples to tell.
func streaming(t *testing.T, samples ...reading) string {
	return daemon(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/stream" {
			answerProblem(w, 404, api.NotFound, r.URL.Path)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for i, s := range samples {
			b, err := json.Marshal(s.Sample)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(w, "id: %d\nevent: event\ndata: {}\n\nid: %d\nevent: sample\ndata: %s\n\n", 2*i, 2*i+1, b)
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
}

// Where there is no terminal, one picture is printed, and the exit status tells how the hosts are.
func TestTopOnce(t *testing.T) {
	bad := sample(noon, 20)
	bad.Fit = api.Fit{Reasons: []string{"stratum 16 is too much\x1b[2J"}}
	good, unfit := streaming(t, sample(noon, 20), sample(noon.Add(2*time.Second), 30)), streaming(t, bad, bad)
	silent := streaming(t)
	file := filepath.Join(t.TempDir(), "config.toml")
	text := fmt.Sprintf("[profile.good]\nsocket = %q\n[profile.unfit]\nsocket = %q\n[profile.silent]\nsocket = %q\n[profile.none]\nsocket = \"/none\"\n", good, unfit, silent)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for hosts, c := range map[string]struct {
		code         int
		want, errors string
	}{
		"good":                   {0, "\ngood        fit        2        +12us   6.8ms   ntp1", ""},
		"unfit":                  {exitFailed, `problem      not fit: stratum 16 is too much\x1b[2J`, ""},
		"good unfit":             {exitFailed, "\nunfit       not fit", ""},
		"none":                   {exitUsage, "", "ntptsctl: dial unix /none: connect: no such file or directory: is ntptsd running?"},
		"none good":              {exitFailed, "\ndial unix /none: connect: no such file", ""},
		"silent --timeout 100ms": {exitUsage, "", "tells nothing within 100ms; --timeout waits longer"},
	} {
		code, stdout, stderr := remotely(t, append([]string{"--config", file, "top"}, strings.Fields(hosts)...)...)
		if code != c.code || !strings.Contains(stdout, c.want) || !strings.Contains(stderr, c.errors) {
			t.Errorf("%s: exit %d, %q,\n%s\nwant %d, %q, %q", hosts, code, stderr, stdout, c.code, c.errors, c.want)
		}
		checkSafe(t, hosts, stdout+stderr)
	}
	_, stdout, _ := remotely(t, "--config", file, "top", "good")
	if strings.Contains(stdout, "j/k") { // nobody presses a key in a pipe
		t.Errorf("keys are explained:\n%s", stdout)
	}
	for _, want := range []string{"5.0     500      40.0\n", "\nntp1  192.0.2.10  server", "in a second  5.0 key exchanges, 500 answers with time, 40.0 with a cookie"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code, stdout, _ := ctlFor(ctx, silent, "top"); code == 0 || stdout != "" {
		t.Errorf("interrupted: exit %d, %s", code, stdout)
	}
}
