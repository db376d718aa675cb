package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"github.com/ntptsd/ntptsd/internal/api"
)

const (
	topEvery = 2 * time.Second
	maxHosts = 64
)

// topCommand is a live view of one or many hosts.
func topCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "top [HOST ...]",
		Short: "watch one or many hosts live",
		Long: "Watch one or many hosts live: fit or not, the clock, keys, certificates, what is served. A HOST may be the\n" +
			"name of a profile. Keys: arrows or j and k choose a host, enter shows its sources, q ends. Where the output\n" +
			"is no terminal, one picture is printed. It needs the role monitor.",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, names []string) error {
			t, err := newTop(f, c, names)
			if err != nil {
				return err
			}
			if out, ok := c.OutOrStdout().(*os.File); ok && term.IsTerminal(out.Fd()) && term.IsTerminal(os.Stdin.Fd()) {
				_, err := tea.NewProgram(t, tea.WithContext(c.Context()), tea.WithOutput(out)).Run()
				if c.Context().Err() != nil {
					return nil
				}
				return err
			}
			return t.once(c.Context(), c.OutOrStdout())
		},
	}
}

// top is the model of what is shown. A tea.Model.
type top struct {
	ctx           context.Context
	hosts         []hostView
	chosen        int
	sources       bool // of the chosen host are shown
	width, height int
	now           time.Time
}

// hostView is what is known of a host.
type hostView struct {
	name   string
	asks   client
	got    reading
	before reading // the one before, for what happened in between
	err    error   // of the last attempt
}

// reading is what a host said at one time.
type reading struct {
	at           time.Time
	status       api.Status
	fit          api.Fit
	handshakes   api.Handshakes
	cookies      api.Cookies
	certificates api.Certificates
	sources      api.Sources
}

func newTop(f *flags, c *cobra.Command, names []string) (*top, error) {
	if len(names) > maxHosts {
		return nil, fmt.Errorf("top: at most %d hosts", maxHosts)
	}
	t := &top{ctx: c.Context(), now: time.Now(), width: 120, height: 40}
	if len(names) == 0 {
		asks, err := f.client(c)
		if err != nil {
			return nil, err
		}
		t.hosts = []hostView{{name: asks.door.String(), asks: asks}}
	}
	for _, name := range names {
		asks, err := f.at(c, name)
		if err != nil {
			return nil, err
		}
		t.hosts = append(t.hosts, hostView{name: name, asks: asks})
	}
	return t, nil
}

// answered is a message: what asking a host brought.
type answered struct {
	host int
	got  reading
	err  error
}

// due is a message: it is time to ask a host again.
type due struct{ host int }

// ask asks a host for everything. Each host has its own rhythm: one that hangs keeps no other waiting.
func (t *top) ask(host int) tea.Cmd {
	asks, sources := t.hosts[host].asks, t.sources && host == t.chosen
	return func() tea.Msg {
		r, err := asks.read(t.ctx, sources)
		return answered{host, r, err}
	}
}

func (c client) read(ctx context.Context, sources bool) (r reading, err error) {
	for _, q := range []struct {
		command api.Declared
		into    any
		wanted  bool
	}{{api.GetStatus, &r.status, true}, {api.GetFit, &r.fit, true}, {api.GetHandshakes, &r.handshakes, true}, {api.GetCookies, &r.cookies, true},
		{api.GetCertificates, &r.certificates, true}, {api.GetSources, &r.sources, sources}} {
		if !q.wanted {
			continue
		}
		b, err := c.call(ctx, q.command.Declaration(), nil)
		if err != nil {
			if q.command.Declaration().Name == api.GetSources.Name { // there is no neighbour
				continue
			}
			return r, err
		}
		if err := json.Unmarshal(b, q.into); err != nil {
			return r, fmt.Errorf("%s answers what cannot be read: %w", c.door, err)
		}
	}
	r.at = time.Now()
	return r, nil
}

// Init implements tea.Model.
func (t *top) Init() tea.Cmd {
	var all []tea.Cmd
	for i := range t.hosts {
		all = append(all, t.ask(i))
	}
	return tea.Batch(all...)
}

// Update implements tea.Model.
func (t *top) Update(m tea.Msg) (tea.Model, tea.Cmd) {
	t.now = time.Now()
	switch m := m.(type) {
	case tea.WindowSizeMsg:
		t.width, t.height = m.Width, m.Height
	case answered:
		t.take(m)
		return t, tea.Tick(topEvery, func(time.Time) tea.Msg { return due{m.host} })
	case due:
		return t, t.ask(m.host)
	case tea.KeyPressMsg:
		return t, t.press(m.String())
	}
	return t, nil
}

func (t *top) take(m answered) {
	h := &t.hosts[m.host]
	if h.err = m.err; m.err == nil {
		h.before, h.got = h.got, m.got
	}
}

func (t *top) press(key string) tea.Cmd {
	switch key {
	case "q", "ctrl+c", "esc":
		return tea.Quit
	case "down", "j":
		t.chosen = min(t.chosen+1, len(t.hosts)-1)
	case "up", "k":
		t.chosen = max(t.chosen-1, 0)
	case "enter", "space":
		t.sources = !t.sources
	}
	return nil
}

// View implements tea.Model.
func (t *top) View() tea.View {
	var b strings.Builder
	for _, l := range t.render() {
		b.WriteString(l.style().Render(l.text))
		b.WriteByte('\n')
	}
	v := tea.NewView(strings.TrimSuffix(b.String(), "\n"))
	v.AltScreen = true
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

// once prints one picture: of two readings, so that there are rates.
func (t *top) once(ctx context.Context, out io.Writer) error {
	for round := range 2 {
		for i := range t.hosts {
			r, err := t.hosts[i].asks.read(ctx, i == t.chosen)
			t.take(answered{i, r, err})
		}
		if round == 0 {
			select {
			case <-time.After(topEvery / 2):
			case <-ctx.Done():
				return nil
			}
		}
	}
	t.now, t.height, t.sources = time.Now(), 1000, true
	for _, l := range t.render() {
		if _, err := fmt.Fprintln(out, strings.TrimRight(l.text, " ")); err != nil {
			return err
		}
	}
	if len(t.hosts) == 1 {
		return t.hosts[0].err
	}
	return nil
}
