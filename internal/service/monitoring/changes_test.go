package monitoring

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// well is a moment in which nothing is wrong.
func well() moment {
	return moment{
		at: time.Unix(1_700_000_000, 0),
		status: api.Status{
			Clock:     api.Tracking{Synchronised: true, Leap: api.LeapNone, Stratum: 2},
			Neighbour: api.Neighbour{Name: "chrony"},
			Rings:     []api.Ring{{Name: "default", Keys: []api.Key{{State: "old", Fingerprint: "aa"}, {State: api.KeyCurrent, Fingerprint: "bb"}}}},
			Targets:   []api.Target{{ID: "a", Fit: true}},
		},
		fit:          api.Fit{Fit: true},
		selected:     "x",
		sources:      []api.Source{{Name: "x", Selection: api.SelectionSelected}, {Name: "y", Selection: "combined"}},
		certificates: []api.Certificate{{File: "c.pem", Fingerprint: "11", NotAfter: time.Unix(1_800_000_000, 0)}},
	}
}

// Each change is told once, by kind, and what comes back is told too.
func TestChanges(t *testing.T) {
	for name, c := range map[string]struct {
		change      func(m *moment)
		there, back []string // as "kind text"
	}{
		"nothing": {func(*moment) {}, nil, nil},
		"unsynchronised": {func(m *moment) { m.status.Clock.Synchronised, m.status.Clock.Leap = false, api.LeapUnsynchronised },
			[]string{"clock the clock is not synchronised any more"}, []string{"clock the clock is synchronised, stratum 2"}},
		"leap": {func(m *moment) { m.status.Clock.Leap = api.LeapInsert },
			[]string{"leap a leap second is announced: insert"}, []string{"leap no leap second is announced any more"}},
		"neighbour": {func(m *moment) { m.status.Neighbour.Problem = "it hangs" },
			[]string{"neighbour chrony does not answer: it hangs"}, []string{"neighbour chrony answers again"}},
		"fit": {func(m *moment) { m.fit = api.Fit{Reasons: []string{"too far off"}} },
			[]string{"fit this host is not fit to serve time: too far off"}, []string{"fit this host is fit"}},
		"source": {func(m *moment) { m.selected = "y" },
			[]string{"source the selected source is y now, before it was x"}, []string{"source the selected source is x now, before it was y"}},
		"no source selected": {func(m *moment) { m.selected = "" },
			[]string{"source the selected source is none now"}, []string{"source the selected source is x now, before it was none"}},
		"sources not known for a while": {func(m *moment) { m.sources = nil }, nil, nil},
		"rotation": {func(m *moment) {
			m.status.Rings = []api.Ring{{Name: "default", Keys: []api.Key{{State: "old", Fingerprint: "bb"}, {State: api.KeyCurrent, Fingerprint: "cc"}}}}
		}, []string{"key ring default: key cc mints now, before it was bb"}, []string{"key ring default: key bb mints now"}},
		"ring": {func(m *moment) {
			m.status.Rings = []api.Ring{{Name: "default", Keys: m.status.Rings[0].Keys, Problem: "disk full"}}
		},
			[]string{"ring ring default: disk full"}, []string{"ring ring default has no problem any more"}},
		"another ring": {func(m *moment) { m.status.Rings = append(m.status.Rings, api.Ring{Name: "b"}) }, nil, nil},
		"target": {func(m *moment) { m.status.Targets = []api.Target{{ID: "a", Reason: "no answer"}} },
			[]string{"target target a is not fit: no answer"}, []string{"target target a is fit"}},
		"drain": {func(m *moment) { m.status.Targets = []api.Target{{ID: "a", Fit: true, Draining: true}} },
			[]string{"target target a drains"}, []string{"target target a does not drain any more"}},
		"certificate": {func(m *moment) {
			m.certificates = []api.Certificate{{File: "c.pem", Fingerprint: "22", NotAfter: time.Unix(1_900_000_000, 0)}}
		},
			[]string{"certificate certificate c.pem was loaded, good until 2030-03-17"}, []string{"certificate certificate c.pem was loaded, good until 2027-01-15"}},
		"broken certificate": {func(m *moment) {
			m.certificates = []api.Certificate{{File: "c.pem", Fingerprint: "11", Problem: "the key does not fit"}}
		}, []string{"certificate certificate c.pem: the key does not fit"}, nil},
		"reload":         {func(m *moment) { m.reloads++ }, []string{"reload the configuration was reloaded"}, nil},
		"refused reload": {func(m *moment) { m.refused++; m.why = "port 123" }, []string{"reload a reload was refused, the configuration from before goes on: port 123"}, nil},
	} {
		before, now := well(), well()
		c.change(&now)
		expect(t, name, changes(before, now), c.there)
		expect(t, name+", and back", changes(now, before), c.back)
		expect(t, name+", which stays", changes(now, now), nil)
	}
}

// Sources that are not known for a while are not another source; one that is another afterwards is told.
func TestSelectedIsRemembered(t *testing.T) {
	w := &world{name: "chrony"}
	s := w.service()
	look := func(before moment, sources ...api.Source) moment {
		s.sources.Store(&observed{sources, time.Now()})
		return s.look(before)
	}
	first := look(moment{}, api.Source{Name: "x", Selection: api.SelectionSelected})
	lost := look(first)
	back := look(lost, api.Source{Name: "y", Selection: api.SelectionSelected})
	none := look(back, api.Source{Name: "y"})
	for i, c := range []struct {
		before, now moment
		want        []string
	}{{first, lost, nil}, {lost, back, []string{"source the selected source is y now, before it was x"}}, {back, none, []string{"source the selected source is none now, before it was y"}}} {
		expect(t, fmt.Sprint("step ", i), changes(c.before, c.now), c.want)
	}
}

// An authority that has forgotten us is told of; that there is an account at all is not.
func TestAnotherAccountIsTold(t *testing.T) {
	before, now := well(), well()
	now.certificates[0].Account = "one"
	expect(t, "the first", changes(before, now), nil)
	before.certificates[0].Account = "two"
	expect(t, "another", changes(before, now), []string{"certificate certificate c.pem: the authority does not know our account any more, another one was made"})
}

// What is wrong when ntptsd starts is told, too.
func TestWrongFromTheStart(t *testing.T) {
	m := well()
	expect(t, "well", changes(m.asIfWell(), m), nil)
	m.status.Clock.Synchronised, m.fit = false, api.Fit{Reasons: []string{"so"}}
	m.certificates[0].Problem = "expired"
	m.status.Targets[0].Fit = false // it was not probed yet
	expect(t, "wrong", changes(m.asIfWell(), m), []string{"clock the clock is not synchronised", "fit this host is not fit to serve time: so", "certificate certificate c.pem: expired"})
}

func expect(t *testing.T, name string, got []api.Event, want []string) {
	t.Helper()
	var texts []string
	for _, e := range got {
		texts = append(texts, e.Kind+" "+e.Text)
	}
	if len(texts) != len(want) {
		t.Errorf("%s: %q, want %q", name, texts, want)
		return
	}
	for i := range want {
		if !strings.HasPrefix(texts[i], want[i]) {
			t.Errorf("%s: %q, want %q", name, texts[i], want[i])
		}
	}
}

// A flood of an hour, with breaks shorter than a minute, is two events.
func TestAFloodIsTwoEvents(t *testing.T) {
	before := well()
	before.limits = []refusing{{name: "key exchange", count: 5}}
	count := uint64(5)
	var all []api.Event
	for second := range 2 * 60 * 60 {
		now := well()
		now.at = before.at.Add(time.Second)
		if second > 60 && second < 60*60 && second%50 < 10 {
			count += 100
		}
		now.limits = []refusing{before.limits[0].next(count, now.at)}
		all = append(all, changes(before, now)...)
		before = now
	}
	expect(t, "flood", all, []string{"limiter key exchange: the limit refuses clients",
		fmt.Sprintf("limiter key exchange: the limit refuses nobody any more, after %d", count-5)})
}
