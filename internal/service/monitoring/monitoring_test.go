package monitoring

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/journal"
	"github.com/ntptsd/ntptsd/internal/neighbour"
)

// world is everything that the service asks.
type world struct {
	name         string
	tracking     api.Tracking
	problem, why string
	rings        []api.Ring
	targets      []api.Target
	certificates []api.Certificate
	sources      []api.Source
	clients      []api.Client
	err          error
	limit        int
	lacking      bool
	said         string
}

func (w *world) Tracking() api.Tracking                      { return w.tracking }
func (w *world) Problem() string                             { return w.problem }
func (w *world) Why() string                                 { return w.why }
func (w *world) Name() string                                { return w.name }
func (w *world) Via() string                                 { return "udp" }
func (w *world) Lacking() bool                               { return w.lacking }
func (w *world) Targets() []api.Target                       { return w.targets }
func (w *world) Handshakes() api.Handshakes                  { return api.Handshakes{Cookies: 8} }
func (w *world) Cookies() []api.Count                        { return []api.Count{{Name: "current", Count: 3}} }
func (w *world) Answered() uint64                            { return 7 }
func (w *world) Reloads() (done, refused uint64, why string) { return 0, 0, "" }

func (w *world) Sources(context.Context) ([]api.Source, error) { return w.sources, w.err }

func (w *world) Clients(_ context.Context, limit int) (api.Clients, error) {
	w.limit = limit
	return api.Clients{Known: 7, Clients: slices.Clone(w.clients)}, w.err
}

func (w *world) networks(limit int) api.Networks {
	w.limit++
	return api.Networks{Requests: 5, Networks: make([]api.Network, min(limit, 30))}
}

// rings and certificates are seen by the same method's name.
type (
	ringsOf        struct{ *world }
	certificatesOf struct{ *world }
	tool           struct {
		*world
		name string
	}
)

func (r ringsOf) View() []api.Ring               { return r.rings }
func (c certificatesOf) View() []api.Certificate { return c.certificates }

func (t tool) Say(_ context.Context, word string, args []string) (string, error) {
	t.said = fmt.Sprint(t.name, " ", word, args)
	return t.said, t.err
}

func (w *world) service() *Service {
	return New(config.Default(), Parts{Version: "1.2.3", Clock: w, Neighbour: w, NTPQ: tool{w, "ntpq"}, Chronyc: tool{w, "chronyc"}, Rings: ringsOf{w},
		KeyExchange: w, TimeServer: w, Certificates: certificatesOf{w}, Networks: w.networks, Reloads: w}, journal.New(time.Now()), slog.New(slog.DiscardHandler))
}

// call asks as a monitor does, by name and JSON.
func (w *world) call(t *testing.T, name, args string) (map[string]any, error) {
	t.Helper()
	bindings := w.service().Bindings()
	var declared []api.Declared
	for _, d := range api.Commands() { // management reads some for its own
		if slices.ContainsFunc(bindings, func(b api.Binding) bool { return b.Name == d.Declaration().Name }) {
			declared = append(declared, d)
		}
	}
	table, err := api.NewTable(declared, bindings...)
	if err != nil {
		t.Fatal(err) // there is one handler for each, as it is declared, and none of what changes
	}
	result, err := table.Call(t.Context(), api.Caller{Role: api.Monitor, Name: "test"}, name, []byte(args))
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(b, &answer); err != nil {
		t.Fatal(err)
	}
	return answer, nil
}

func TestEveryReadingCommandAnswers(t *testing.T) {
	w := &world{name: "chrony", rings: []api.Ring{{Name: "default"}}, targets: []api.Target{}, sources: []api.Source{{Name: "a", Address: "192.0.2.1"}}}
	for name, key := range map[string]string{"status": "version", "tracking": "source", "sources": "sources", "clients": "clients",
		"keys": "rings", "targets": "targets", "fit": "fit", "networks": "requests", "certs": "certificates", "handshakes": "cookies",
		"cookies": "ages", "events": "events", "history": "at", "whoami": "name"} {
		answer, err := w.call(t, name, "")
		if err != nil || answer[key] == nil {
			t.Errorf("%s: %v, %v", name, answer, err)
		}
	}
	for args, want := range map[string]api.Kind{`{"source":"a"}`: "", `{"source":"192.0.2.1"}`: "", `{"source":"b"}`: api.NotFound, "": api.BadArgument} {
		answer, err := w.call(t, "source", args)
		if want == "" && (err != nil || answer["name"] != "a") || want != "" && api.KindOf(err) != want {
			t.Errorf("source %s: %v, %v", args, answer, err)
		}
	}
	for name, args := range map[string]string{"networks": `{"limit":1001}`, "events": `{"limit":-1}`, "history": `{"seconds":-1}`} {
		if _, err := w.call(t, name, args); api.KindOf(err) != api.BadArgument {
			t.Errorf("%s %s: %v", name, args, err)
		}
	}
}

func TestStatusNamesWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		world world
		want  []string
	}{
		"all is well": {world{rings: []api.Ring{{}}, targets: []api.Target{{ID: "a", Fit: true}}}, nil},
		"clock":       {world{why: "chrony says so"}, []string{"the clock is not synchronised, and time clients are told so: chrony says so"}},
		"hanging": {world{problem: "it hangs", tracking: api.Tracking{AgeSeconds: 3}},
			[]string{"the clock cannot be read, and what was read 3 s ago counts on for a while: it hangs"}},
		"auto":   {world{lacking: true}, []string{"clock.source is auto, and no time daemon answered"}},
		"ring":   {world{rings: []api.Ring{{Name: "x", Problem: "restart ntpd when you can"}}}, []string{"ring x: restart ntpd when you can"}},
		"drains": {world{targets: []api.Target{{ID: "a", Fit: true}, {ID: "b", Fit: true, Draining: true}}}, []string{"target b drains"}},
		"none fit": {world{targets: []api.Target{{ID: "a", Reason: "no answer"}}},
			[]string{"target a is not fit: no answer", "no target is fit"}},
	} {
		answer, err := c.world.call(t, "status", "")
		if err != nil {
			t.Fatal(err)
		}
		problems := answer["problems"].([]any)
		if len(problems) != len(c.want) {
			t.Errorf("%s: %q, want %q", name, problems, c.want)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(problems[i].(string), want) {
				t.Errorf("%s: %q, want %q", name, problems[i], want)
			}
		}
	}
}

func TestStatusTellsTheNeighbour(t *testing.T) {
	w := &world{name: "ntpsec", problem: "it hangs", tracking: api.Tracking{Source: "ntpsec", AgeSeconds: 12}}
	answer, err := w.call(t, "status", "")
	n, _ := answer["neighbour"].(map[string]any)
	if err != nil || n["name"] != "ntpsec" || n["problem"] != "it hangs" || n["age_seconds"] != 12.0 {
		t.Errorf("%v, %v", n, err)
	}
	w = &world{name: "chrony", problem: "it is not there", tracking: api.Tracking{Source: "fixed", AgeSeconds: 5}}
	answer, err = w.call(t, "status", "")
	if n, _ := answer["neighbour"].(map[string]any); err != nil || n["age_seconds"] != nil || n["via"] != "udp" {
		t.Errorf("before its first answer: %v, %v", n, err)
	}
	w = &world{problem: "adjtimex: forbidden", tracking: api.Tracking{Source: "kernel"}}
	answer, err = w.call(t, "status", "")
	if n, _ := answer["neighbour"].(map[string]any); err != nil || n["name"] != "" || n["problem"] != "" || n["age_seconds"] != nil {
		t.Errorf("without a neighbour: %v, %v", n, err)
	}
}

func TestClientsArePaged(t *testing.T) {
	w := &world{}
	for i := range 7 {
		w.clients = append(w.clients, api.Client{Address: fmt.Sprintf("192.0.2.%d", i), Requests: uint64(100 - i/2)})
	}
	var seen []string
	args := `{"limit":3}`
	for range 3 {
		answer, err := w.call(t, "clients", args)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range answer["clients"].([]any) {
			seen = append(seen, c.(map[string]any)["address"].(string))
		}
		if answer["next"] == "" {
			break
		}
		args = fmt.Sprintf(`{"limit":3,"after":%q}`, answer["next"])
		w.clients = append([]api.Client{{Address: "198.51.100.1", Requests: 1000}}, w.clients...) // a newcomer before the place moves nobody
	}
	if len(seen) != 7 || !slices.IsSorted(seen) {
		t.Errorf("%q", seen)
	}
	for _, args := range []string{`{"limit":-1}`, fmt.Sprintf(`{"limit":%d}`, api.MaxClients+1), `{"after":"x"}`, `{"after":"12"}`, `{"after":"-3-x"}`} {
		if _, err := w.call(t, "clients", args); api.KindOf(err) != api.BadArgument {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// However many ask for the networks, the tables are merged once in a while.
func TestNetworksAreMergedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		s := w.service()
		for _, limit := range []int{0, 7, api.MaxNetworks} {
			n, err := s.networks(t.Context(), api.Caller{}, api.NetworksArg{Limit: limit})
			if want := min(cmp.Or(limit, api.DefaultNetworks), 30); err != nil || len(n.Networks) != want {
				t.Errorf("limit %d: %d networks, %v", limit, len(n.Networks), err)
			}
		}
		if w.limit != 1 {
			t.Errorf("merged %d times", w.limit)
		}
		time.Sleep(networksEvery + 1)
		if _, err := s.networks(t.Context(), api.Caller{}, api.NetworksArg{}); err != nil || w.limit != 2 {
			t.Errorf("merged %d times, %v", w.limit, err)
		}
	})
}

// Each word is asked of the daemon that knows it; of others only what the neutral model can answer.
func TestWords(t *testing.T) {
	for _, c := range []struct {
		daemon, word string
		args         []string
		want         string // said to which tool; empty: refused; "-": from the neutral model
	}{
		{"chrony", "sourcestats", nil, "chronyc sourcestats[]"},
		{"chrony", "tracking", nil, "chronyc tracking[]"},
		{"chrony", "clients", []string{"-p", "1"}, "chronyc clients[-p 1]"},
		{"chrony", "peers", nil, "-"},
		{"chrony", "rv", nil, ""},
		{"ntpsec", "rv", []string{"&1", "offset"}, "ntpq rv[&1 offset]"},
		{"ntpd", "peers", nil, "ntpq peers[]"},
		{"ntpd", "tracking", nil, "-"},
		{"ntpd", "sources", nil, "-"},
		{"ntpd", "clients", nil, ""},
		{"ntpd", "activity", nil, ""},
		{"", "peers", nil, "-"},
		{"", "tracking", nil, "-"},
		{"", "sysstats", nil, ""},
	} {
		w := &world{name: c.daemon}
		n, err := w.service().Say(t.Context(), c.word, c.args)
		switch {
		case c.want == "" && (api.KindOf(err) != api.Conflict || w.said != ""),
			c.want == "-" && (err != nil || n.Daemon != "" || w.said != ""),
			c.want != "" && c.want != "-" && (err != nil || n.Daemon != c.daemon || n.Text != c.want):
			t.Errorf("%s of %q: %+v, %v, want %q", c.word, c.daemon, n, err, c.want)
		}
	}
	w := &world{name: "ntpd"}
	if _, err := w.call(t, "rv", `{"association":"&1","variables":"offset jitter"}`); err != nil || w.said != "ntpq rv[&1 offset jitter]" {
		t.Errorf("%s, %v", w.said, err)
	}
}

func TestErrorsOfTheNeighbourHaveKinds(t *testing.T) {
	for _, c := range []struct {
		err  error
		want api.Kind
	}{{neighbour.ErrNone, api.Conflict}, {errors.New("it hangs"), api.Unavailable}} {
		w := &world{err: c.err}
		for _, name := range []string{"sources", "clients"} {
			if _, err := w.call(t, name, ""); api.KindOf(err) != c.want || !errors.Is(err, c.err) {
				t.Errorf("%s: %v, kind %s, want %s", name, err, api.KindOf(err), c.want)
			}
		}
	}
}
