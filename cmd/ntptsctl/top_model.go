package main

import (
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/ntptsd/ntptsd/internal/api"
)

// top is the model of what is shown: messages change it, render draws it, and neither does anything else. A tea.Model.
type top struct {
	hosts         []hostView
	chosen        int
	sources, help bool // are shown
	width, height int
	now           time.Time
}

// hostView is what is known of a host.
type hostView struct {
	name        string
	got, before reading // the last two that differ
	err         error   // since the last
}

// tick is how often ages go on where nothing else happens.
const tick = time.Second

func wait() tea.Cmd { return tea.Tick(tick, func(now time.Time) tea.Msg { return passed{now} }) }

// Init implements tea.Model.
func (t *top) Init() tea.Cmd { return wait() }

// Update implements tea.Model.
func (t *top) Update(m tea.Msg) (tea.Model, tea.Cmd) {
	switch m := m.(type) {
	case tea.WindowSizeMsg:
		t.width, t.height = m.Width, m.Height
	case answered:
		t.take(m)
	case passed:
		t.now = m.now
		return t, wait()
	case tea.KeyPressMsg:
		return t, t.press(m.String())
	}
	return t, nil
}

func (t *top) take(m answered) {
	h := &t.hosts[m.host]
	if h.err = m.err; m.err != nil {
		return
	}
	if !m.got.At.Equal(h.got.At) { // else it came a second time, over another connection
		h.before = h.got
	}
	h.got = m.got
}

func (t *top) press(key string) tea.Cmd {
	switch key {
	case "q", "ctrl+c":
		return tea.Quit
	case "down", "j":
		t.chosen = min(t.chosen+1, len(t.hosts)-1)
	case "up", "k":
		t.chosen = max(t.chosen-1, 0)
	case "home", "g":
		t.chosen = 0
	case "end", "G":
		t.chosen = len(t.hosts) - 1
	case "enter", "space":
		t.sources, t.help = !t.sources || t.help, false
	case "?":
		t.help = !t.help
	case "esc":
		t.sources, t.help = false, false
	}
	return nil
}

// View implements tea.Model.
func (t *top) View() tea.View {
	var b strings.Builder
	for i, l := range t.render() {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(l.style().Render(l.text))
	}
	v := tea.NewView(b.String())
	v.AltScreen = true
	v.WindowTitle = "ntptsctl top"
	return v
}

func (l topLine) style() lipgloss.Style {
	s := lipgloss.NewStyle()
	switch l.kind {
	case headLine:
		s = s.Bold(true)
	case badLine:
		s = s.Foreground(lipgloss.Color("1"))
	case faintLine:
		s = s.Faint(true)
	}
	return s.Reverse(l.chosen)
}

// late tells of a host whose connection stands, and which says nothing.
func (h *hostView) late(now time.Time) bool { return now.Sub(h.got.at) > 3*topEvery }

// rate is how often something happened in a second, between the last two samples, by the host's own clock.
func (h *hostView) rate(of func(*api.Sample) uint64) (perSecond float64, known bool) {
	d := h.got.At.Sub(h.before.At).Seconds()
	now, before := of(&h.got.Sample), of(&h.before.Sample)
	if h.before.at.IsZero() || d <= 0 || now < before { // it was started anew, or its clock was set
		return 0, false
	}
	return float64(now-before) / d, true
}

// What rates are made of.
func keyExchanges(s *api.Sample) uint64 { return sumOf(s.Handshakes.Responses) }
func timeRequests(s *api.Sample) uint64 { return s.TimeRequests }
func ntsRequests(s *api.Sample) uint64  { return sumOf(s.Cookies.Ages) }

func sumOf(all []api.Count) (n uint64) {
	for _, c := range all {
		n += c.Count
	}
	return n
}

// wrong is what is wrong with a host, by its own words.
func (h *hostView) wrong() (all []string) {
	for _, reason := range h.got.Fit.Reasons[:min(len(h.got.Fit.Reasons), maxWrong)] {
		all = append(all, "not fit: "+reason)
	}
	return append(all, h.got.Status.Problems[:min(len(h.got.Status.Problems), maxWrong)]...)
}

// maxWrong bounds how many problems of a host are looked at.
const maxWrong = 100
