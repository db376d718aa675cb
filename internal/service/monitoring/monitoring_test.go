package monitoring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/neighbour"
)

// world is everything that the service asks.
type world struct {
	name         string
	tracking     api.Tracking
	problem, why string
	rings        []api.Ring
	targets      []api.Target
	err          error
	limit        int
	lacking      bool
}

func (w *world) Tracking() api.Tracking { return w.tracking }
func (w *world) Problem() string        { return w.problem }
func (w *world) Why() string            { return w.why }
func (w *world) Name() string           { return w.name }
func (w *world) Via() string            { return "udp" }
func (w *world) Lacking() bool          { return w.lacking }
func (w *world) View() []api.Ring       { return w.rings }
func (w *world) Targets() []api.Target  { return w.targets }
func (w *world) Sources(context.Context) ([]api.Source, error) {
	return []api.Source{{Name: "a"}}, w.err
}

func (w *world) Clients(_ context.Context, limit int) (api.Clients, error) {
	w.limit = limit
	return api.Clients{Known: 7, Clients: []api.Client{}}, w.err
}

// call asks as a monitor does, by name and JSON.
func (w *world) call(t *testing.T, name, args string) (map[string]any, error) {
	t.Helper()
	var declared []api.Declared
	for _, d := range api.Commands() {
		if !d.Declaration().Changes {
			declared = append(declared, d)
		}
	}
	table, err := api.NewTable(declared, New("1.2.3", w, w, w, w).Bindings()...)
	if err != nil {
		t.Fatal(err) // there is a handler for each command that reads, and no other
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
	w := &world{name: "chrony", rings: []api.Ring{{Name: "default"}}, targets: []api.Target{}}
	for name, key := range map[string]string{"status": "version", "tracking": "source", "sources": "sources", "clients": "clients",
		"keys": "rings", "targets": "targets"} {
		answer, err := w.call(t, name, "")
		if err != nil || answer[key] == nil {
			t.Errorf("%s: %v, %v", name, answer, err)
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

func TestClientsAreBounded(t *testing.T) {
	w := &world{}
	for args, want := range map[string]int{"": api.DefaultClients, `{"limit":7}`: 7, fmt.Sprintf(`{"limit":%d}`, api.MaxClients): api.MaxClients} {
		if _, err := w.call(t, "clients", args); err != nil || w.limit != want {
			t.Errorf("%s: %d, %v; want %d", args, w.limit, err, want)
		}
	}
	for _, args := range []string{`{"limit":-1}`, fmt.Sprintf(`{"limit":%d}`, api.MaxClients+1)} {
		if _, err := w.call(t, "clients", args); api.KindOf(err) != api.BadArgument {
			t.Errorf("%s: %v", args, err)
		}
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
