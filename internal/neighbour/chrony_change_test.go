package neighbour

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

func server(name string) NewSource { return NewSource{Name: name, Kind: KindServer} }

// changed makes changes, which must all be made.
func changed(t *testing.T, n Changer, all ...Change) {
	t.Helper()
	for _, c := range all {
		if err := n.Change(t.Context(), c); err != nil {
			t.Fatalf("%s: %v", c.what(), err)
		}
	}
}

// Each change has its plan, which changes nothing, and says how it was and how it is undone.
func TestPlansOfChrony(t *testing.T) {
	long := server("ntp1.example")
	long.MinPoll, long.NTS, long.IBurst = Log2(4), true, true
	for name, c := range map[string]struct {
		before []Change
		change Change
		want   Outlook
	}{
		"add": {nil, Add{long}, Outlook{Summary: "add source ntp1.example (server iburst nts minpoll 4) to chronyd", After: "server ntp1.example iburst nts minpoll 4",
			Undo: Delete{"ntp1.example"}}},
		"add again": {[]Change{Add{long}}, Add{long}, Outlook{Summary: "add source ntp1.example (server iburst nts minpoll 4) to chronyd",
			Before: "server ntp1.example iburst nts minpoll 4", After: "server ntp1.example iburst nts minpoll 4", Done: true}},
		"delete what we added": {[]Change{Add{long}}, Delete{"NTP1.example"}, Outlook{Summary: "delete source NTP1.example from chronyd",
			Before: "server ntp1.example iburst nts minpoll 4", Undo: Add{long}}},
		"delete another": {nil, Delete{"192.0.2.1"}, Outlook{
			Summary: "delete source 192.0.2.1 from chronyd; not to be undone, since it was not added here and its options are not known",
			Before:  "server a.example at 192.0.2.1, selected"}},
		"delete a pool": {nil, Delete{"pool.example"}, Outlook{
			Summary: "delete source pool.example from chronyd; not to be undone, since it was not added here and its options are not known",
			Before:  "server pool.example at 192.0.2.3, selected; server pool.example at 192.0.2.4, selected; server pool.example, selected"}},
		"offline": {nil, SetOnline{"a.example", false}, Outlook{Summary: "let chronyd stop asking source a.example", Before: "online", After: "offline",
			Undo: SetOnline{"a.example", true}}},
		"online already": {nil, SetOnline{"", true}, Outlook{Summary: "let chronyd ask all sources again", Before: "online", After: "online", Done: true}},
		"online one of those that are known to be offline": {[]Change{SetOnline{"a.example", false}}, SetOnline{"192.0.2.1", true},
			Outlook{Summary: "let chronyd ask source 192.0.2.1 again", Before: "offline", After: "online", Undo: SetOnline{"192.0.2.1", false}}},
		"another one is offline": {[]Change{SetOnline{"a.example", false}}, SetOnline{"b.example", false},
			Outlook{Summary: "let chronyd stop asking source b.example", Before: "online", After: "offline", Undo: SetOnline{"b.example", true}}},
		"some of all": {[]Change{SetOnline{"a.example", false}}, SetOnline{"", false}, Outlook{Summary: "let chronyd stop asking all sources",
			Before: "of all sources 3 are online and 1 offline, and chronyd does not tell which", After: "offline"}},
		"burst":   {nil, Burst{"", 2, 4}, Outlook{Summary: "let chronyd measure all sources 2 times soon, of at most 4 tries"}},
		"maxpoll": {nil, SetPoll{"a.example", true, 8}, Outlook{Summary: "let chronyd ask source a.example at least every 4m16s (2^8 s)", Before: "not known: chronyd does not tell it", After: "4m16s (2^8 s)"}},
		"minpoll of what we added": {[]Change{Add{server("192.0.2.9")}}, SetPoll{"192.0.2.9", false, 0}, Outlook{
			Summary: "let chronyd ask source 192.0.2.9 at most every 1s (2^0 s)", Before: "1m4s (2^6 s)", After: "1s (2^0 s)", Undo: SetPoll{"192.0.2.9", false, 6}}},
		"maxpoll twice": {[]Change{SetPoll{"pool.example", true, 9}}, SetPoll{"pool.example", true, 12}, Outlook{
			Summary: "let chronyd ask source pool.example at least every 1h8m16s (2^12 s)", Before: "8m32s (2^9 s)", After: "1h8m16s (2^12 s)", Undo: SetPoll{"pool.example", true, 9}}},
		"refresh": {nil, Refresh{}, Outlook{Summary: "let chronyd resolve the names of all sources again"}},
		"rekey":   {nil, Rekey{}, Outlook{Summary: "let chronyd read the key files again"}},
		"step": {nil, Step{}, Outlook{Summary: "let chronyd correct the clock at once", Before: "the clock is to be moved by +0.250000000 s, bit by bit",
			After: "moved by that at once, for everything that runs on this host"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newChangeable(t, "a.example=192.0.2.1", "b.example=192.0.2.2", "refclock", "pool.example=192.0.2.3", "pool.example=192.0.2.4", "pool.example=away")
			if strings.HasPrefix(name, "some") {
				d = newChangeable(t, "a.example=192.0.2.1", "b.example=192.0.2.2", "pool.example=192.0.2.3", "pool.example=192.0.2.4")
			}
			client := d.client()
			changed(t, client, c.before...)
			d.tellings()
			got, err := client.Plan(t.Context(), c.change)
			if err != nil || got != c.want {
				t.Errorf("got\n%+v, %v, want\n%+v", got, err, c.want)
			}
			if told := d.tellings(); told != "" {
				t.Errorf("the plan told: %s", told)
			}
		})
	}
}

// What is undone is as it was.
func TestUndoOfChrony(t *testing.T) {
	d := newChangeable(t, "a.example=192.0.2.1")
	client := d.client()
	n := server("ntp1.example")
	n.Prefer, n.MaxPoll = true, Log2(7)
	for _, c := range []Change{Add{n}, SetPoll{"ntp1.example", false, 5}, Delete{"ntp1.example"}, SetOnline{"", false}} {
		o, err := client.Plan(t.Context(), c)
		if err != nil || o.Undo == nil {
			t.Fatalf("%s: %+v, %v", c.what(), o, err)
		}
		was, _ := client.Remembered()
		changed(t, client, c, o.Undo)
		now, _ := client.Remembered()
		if _, poll := c.(SetPoll); !poll && !slices.Equal(now, was) || poll && now[0].Line() != "server ntp1.example minpoll 6 maxpoll 7 prefer" {
			t.Errorf("%s: was %+v, is %+v", c.what(), was, now)
		}
		if _, add := c.(Add); add {
			changed(t, client, c)
		}
	}
}

// Every change is one command of chronyd's, or as many as there are sources, with what chronyc would send.
func TestChangesOfChrony(t *testing.T) {
	full := NewSource{Name: "2001:db8::1", Kind: KindServer, Port: 11123, NTSPort: 4461, MaxPoll: Log2(4), Version: 4, NTS: true, IBurst: true, Prefer: true,
		Trust: true, Require: true, Interleaved: true}
	body, err := cmdmon.DefaultSource(cmdmon.Server, "2001:db8::1")
	if err != nil {
		t.Fatal(err)
	}
	body.Port, body.NTSPort, body.Version, body.MinPoll, body.MaxPoll = 11123, 4461, 4, 4, 4
	body.Flags |= cmdmon.SourceNTS | cmdmon.SourceIBurst | cmdmon.SourcePrefer | cmdmon.SourceTrust | cmdmon.SourceRequire | cmdmon.SourceInterleaved
	one := netip.MustParsePrefix("192.0.2.1/32")
	now := time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		change Change
		told   string
		body   cmdmon.Body
	}{
		{Add{full}, "add", body},
		{Delete{"192.0.2.1"}, "delete", cmdmon.Of{IP: one.Addr()}},
		{Delete{"pool.example"}, "delete,delete,delete", cmdmon.Of{ID: 1}},
		{SetOnline{"a.example", false}, "offline", cmdmon.Subnet(one)},
		{SetOnline{"", true}, "online", cmdmon.Subnet{}},
		{SetOnline{"pool.example", false}, "offline,offline", cmdmon.Subnet(netip.MustParsePrefix("192.0.2.4/32"))},
		{Burst{"", 3, 5}, "burst", cmdmon.Measurements{Good: 3, Total: 5}},
		{SetPoll{"a.example", false, -2}, "minpoll", cmdmon.Poll{Of: cmdmon.Address{IP: one.Addr()}, Poll: -2}},
		{SetPoll{"pool.example", true, 11}, "maxpoll,maxpoll,maxpoll", cmdmon.Poll{Of: cmdmon.Address{ID: 1}, Poll: 11}},
		{Refresh{}, "refresh", nil}, {ReloadSources{}, "reload sources", nil}, {Rekey{}, "rekey", nil}, {Dump{}, "dump", nil}, {CycleLogs{}, "cyclelogs", nil},
		{Step{}, "makestep", nil}, {SetTime{Time: now}, "settime", cmdmon.Moment(now)},
	} {
		d := newChangeable(t, "a.example=192.0.2.1", "refclock", "pool.example=192.0.2.3", "pool.example=192.0.2.4", "pool.example=away")
		if err := d.client().Change(t.Context(), c.change); err != nil {
			t.Errorf("%s: %v", c.change.what(), err)
		}
		if told := d.tellings(); told != c.told {
			t.Errorf("%s: told %q, want %q", c.change.what(), told, c.told)
		}
		sent := d.body()
		if _, raw := sent.(cmdmon.Raw); c.body == nil && raw {
			continue
		}
		if sent != c.body {
			t.Errorf("%s: sent %+v, want %+v", c.change.what(), sent, c.body)
		}
	}
}

// The time that passed since is added to a time that is told.
func TestTimeSinceIsAdded(t *testing.T) {
	d := newChangeable(t)
	at := time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	changed(t, d.client(), SetTime{Time: at, Since: time.Now().Add(-40 * time.Second)})
	if late := time.Time(d.body().(cmdmon.Moment)).Sub(at); late < 40*time.Second || late > 50*time.Second {
		t.Errorf("told %v later", late)
	}
}

// Whatever is wrong is told before anything is sent, by the plan and by the change alike.
func TestWhatChronyIsNotTold(t *testing.T) {
	for _, c := range []struct {
		change Change
		kind   api.Kind
		want   string
	}{
		{Add{server("")}, api.BadArgument, "name a source"},
		{Add{server("a b")}, api.BadArgument, "must be a host name"},
		{Add{NewSource{Name: "x.example", Kind: "refclock"}}, api.BadArgument, "must be server, peer or pool"},
		{Add{NewSource{Name: "x.example", Kind: KindServer, MaxPoll: Log2(25)}}, api.BadArgument, "from -7 to 24"},
		{Delete{"nobody.example"}, api.NotFound, "has no source nobody.example; sources lists them"},
		{Delete{"\x1b[2J"}, api.NotFound, `has no source "\x1b[2J"`},
		{Delete{"GPS"}, api.Conflict, "is a reference clock"},
		{SetOnline{"away.example", true}, api.Conflict, "has found no address of away.example yet"},
		{SetOnline{"nobody.example", true}, api.NotFound, "has no source"},
		{Burst{"away.example", 1, 1}, api.Conflict, "has found no address"},
		{SetPoll{"nobody.example", true, 6}, api.NotFound, "has no source"},
	} {
		d := newChangeable(t, "a.example=192.0.2.1", "refclock", "away.example")
		client := d.client()
		if _, err := client.Plan(t.Context(), c.change); api.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("plan of %s: %v of kind %s", c.change.what(), err, api.KindOf(err))
		}
		if err := client.Change(t.Context(), c.change); api.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v of kind %s", c.change.what(), err, api.KindOf(err))
		}
		if told := d.tellings(); told != "" {
			t.Errorf("%s: told %s", c.change.what(), told)
		}
	}
	for _, c := range []Change{Burst{"", 0, 1}, Burst{"", 2, 1}, Burst{"", 17, 32}, Burst{"", 16, 33}, SetPoll{"a.example", false, 99}, SetTime{Time: time.Time{}},
		Add{server("a.example")}, Add{server("192.0.2.1")}} {
		if _, err := newChangeable(t, "a.example=192.0.2.1").client().Plan(t.Context(), c); err == nil {
			t.Errorf("%s: no error", c.what())
		}
	}
}

// A bound that would change the other one is not set, as far as the other one is known.
func TestPollsDoNotCross(t *testing.T) {
	client := newChangeable(t, "a.example=192.0.2.1").client()
	changed(t, client, SetPoll{"a.example", true, 8}, SetPoll{"a.example", false, 5})
	for _, c := range []Change{SetPoll{"a.example", false, 9}, SetPoll{"a.example", true, 4}} {
		if _, err := client.Plan(t.Context(), c); api.KindOf(err) != api.Conflict {
			t.Errorf("%s: %v", c.what(), err)
		}
	}
}

func TestRefusalsOfChrony(t *testing.T) {
	for status, kind := range map[cmdmon.Status]api.Kind{cmdmon.Failed: api.Conflict, cmdmon.Unauthorised: api.Conflict, cmdmon.Invalid: api.Conflict,
		cmdmon.NotEnabled: api.Conflict, cmdmon.AlreadyKnown: api.Conflict, cmdmon.TooMany: api.Conflict, cmdmon.NoSuchSource: api.NotFound,
		cmdmon.BadName: api.BadArgument, cmdmon.BadFamily: api.BadArgument, 99: api.Conflict} {
		d := newChangeable(t, "a.example=192.0.2.1")
		d.mu.Lock()
		for _, q := range []cmdmon.Command{cmdmon.AddSource, cmdmon.Rekey, cmdmon.Online} {
			d.refuse[q] = status
		}
		d.mu.Unlock()
		for _, c := range []Change{Add{server("b.example")}, Rekey{}, SetOnline{"a.example", true}} {
			if err := d.client().Change(t.Context(), c); api.KindOf(err) != kind || !strings.Contains(err.Error(), "chronyd") {
				t.Errorf("status %d to %s: %v of kind %s", status, c.what(), err, api.KindOf(err))
			}
		}
	}
}

// Who does not answer may have done it: it is not asked again, and what was known is asked anew.
func TestChronyThatDoesNotAnswerAChange(t *testing.T) {
	d := newChangeable(t, "a.example=192.0.2.1")
	client := d.client()
	d.mu.Lock()
	d.silent[cmdmon.Rekey] = true
	d.mu.Unlock()
	if err := client.Change(t.Context(), Rekey{}); api.KindOf(err) != api.Unavailable || !strings.Contains(err.Error(), "it hangs, or is stopped") {
		t.Errorf("%v of kind %s", err, api.KindOf(err))
	}
	gone := NewChrony(d.socket+".gone", netip.AddrPort{})
	if _, err := gone.Plan(t.Context(), Rekey{}); api.KindOf(err) != api.Unavailable || !strings.Contains(err.Error(), "does not run") {
		t.Errorf("%v of kind %s", err, api.KindOf(err))
	}
}

// A change is seen at once, though the same question was asked within this second.
func TestChangesAreSeenAtOnce(t *testing.T) {
	client := newChangeable(t, "a.example=192.0.2.1").client()
	for _, want := range []int{1, 2, 1} {
		all, err := client.Sources(t.Context())
		if err != nil || len(all) != want {
			t.Errorf("%d sources, want %d: %v", len(all), want, err)
		}
		if want == 1 {
			changed(t, client, Add{server("b.example")})
		} else {
			changed(t, client, Delete{"b.example"})
		}
	}
}

// What was done to a chronyd that was started anew is forgotten, but not what somebody wanted.
func TestMemoryEndsWithTheDaemon(t *testing.T) {
	var m memory
	m.of("one")
	m.add(server("a.example"))
	m.setOnline([]string{"192.0.2.1"}, false)
	m.setPoll("b.example", "192.0.2.2", true, 8)
	m.of("one")
	if _, known := m.poll("b.example", "192.0.2.2", true); !known || len(m.offlineOf([]string{"192.0.2.1"})) != 1 {
		t.Error("forgotten too early")
	}
	m.of("two")
	if _, known := m.poll("b.example", "192.0.2.2", true); known || len(m.offlineOf([]string{"192.0.2.1"})) != 0 {
		t.Error("remembered of another run")
	}
	if added, _ := m.Remembered(); len(added) != 1 {
		t.Errorf("%+v", added)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	var m memory
	for i := range 3 * maxRemembered {
		name := "h" + netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String()
		m.add(server(name))
		m.setOnline([]string{name}, false)
		m.setPoll(name, name, true, 8)
		m.forgetName("g" + name)
	}
	added, deleted := m.Remembered()
	if len(added) != maxRemembered || len(m.offline) != maxRemembered || len(m.polls) != 2*maxRemembered || len(deleted) != 2*maxRemembered {
		t.Errorf("%d, %d, %d, %d", len(added), len(m.offline), len(m.polls), len(deleted))
	}
}
