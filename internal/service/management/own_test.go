package management

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/certs"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/keyring"
)

// house is ntptsd as far as its own commands change it: the real access, and stand-ins for the rest.
type house struct {
	level    string
	draining bool
	drained  map[string]bool
	revoked  []string
	done     []string // with certificates
	failing  error
	events   []api.Event
	waiting  unsettled
	doors    *access.Access
	ca       *certs.Authority
	table    *api.Table
}

func (h *house) Level() (now, configured string) { return h.level, "info" }
func (h *house) SetLevel(level string)           { h.level = level }
func (h *house) Add(e api.Event)                 { h.events = append(h.events, e) }
func (h *house) DrainHost(drain bool)            { h.draining = drain }
func (h *house) Draining() bool                  { return h.draining }

func (h *house) Listeners() []api.Listener {
	return []api.Listener{{Name: "[::]:4460/tcp", Service: "keyexchange", Drains: true, Draining: h.drained["[::]:4460/tcp"]},
		{Name: "/run/control.sock", Service: "management"}}
}

func (h *house) DrainListener(name string, drain bool) bool {
	h.drained[name] = drain
	return true
}

func (h *house) Revocable(ring, key string) (api.Revocation, error) {
	switch {
	case ring == "followed":
		return api.Revocation{}, keyring.ErrFollowed
	case ring != "default":
		return api.Revocation{}, keyring.ErrUnknownRing
	case key == "done":
		return api.Revocation{}, keyring.ErrRevoked
	case key != "aa":
		return api.Revocation{}, keyring.ErrUnknownKeyName
	}
	return api.Revocation{Ring: ring, Key: key, State: api.KeyCurrent, PromisedUntil: time.Unix(1_800_000_000, 0).UTC(), Also: []string{"cc"}, Unknown: "who reads it may not know"}, nil
}

func (h *house) Revoke(_ context.Context, ring, key string, naks int) (api.Revocation, error) {
	h.revoked = append(h.revoked, fmt.Sprint(ring, " ", key, " ", naks))
	v, _ := h.Revocable(ring, key)
	v.NAKs = naks
	return v, h.failing
}

// IssueClient has no authority where h.failing says so.
func (h *house) IssueClient(name string, until time.Time) (certificate, key []byte, err error) {
	i, err := h.ca.IssueFor(certs.ForClient, []string{name}, time.Now().Add(-time.Hour), until)
	if h.failing != nil {
		err = h.failing
	}
	return i.Certificate, i.Key, err
}

func (h *house) View() []api.Certificate {
	return []api.Certificate{{File: "/a.pem", Source: api.CertificateFile, Names: []string{"file.example"}}, {File: "acme", Source: "acme", Names: []string{"time.example"}}}
}

func (h *house) ReloadFiles() error { h.done = append(h.done, "reload"); return h.failing }

func (h *house) Renew(_ context.Context, name string) error {
	h.done = append(h.done, "renew "+name)
	return h.failing
}

func newHouse(t *testing.T, c config.Access) *house {
	t.Helper()
	doors, err := access.New(&config.Config{Access: c})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{level: "info", drained: map[string]bool{}, doors: doors}
	if h.ca, _, err = certs.NewAuthority("test", time.Now()); err != nil {
		t.Fatal(err)
	}
	h.serve(t, Own{Log: h, Events: h, Bans: doors.Bans(), Banned: func() []api.Count { return nil }, Revoker: h,
		Opened: func() []api.Count { return []api.Count{{Name: "current", Count: 7}} }, Doors: doors, Authority: h, Certs: h, Config: func() Effective { return config.Default() }, Host: h, Listeners: []Listeners{h}})
	return h
}

func (h *house) serve(t *testing.T, own Own) {
	t.Helper()
	s := New(Parts{Own: own, Ledger: &h.waiting})
	var declared []api.Declared
	bindings := s.ownBindings()
	for _, b := range bindings {
		declared = append(declared, declaration(b.Declaration))
	}
	var err error
	if h.table, err = api.NewTable(declared, bindings...); err != nil {
		t.Fatal(err)
	}
}

var (
	operator = api.Caller{Role: api.Operator, Name: "operator"}
	admin    = api.Caller{Role: api.Admin, Name: "admin"}
)

func (h *house) plan(t *testing.T, who api.Caller, name, args string) (*api.Planned, error) {
	t.Helper()
	before := h.state(t)
	p, err := h.table.Plan(t.Context(), who, name, []byte(args))
	if after := h.state(t); after != before {
		t.Errorf("%s %s: planning changes\n%s\nto\n%s", name, args, before, after)
	}
	return p, err
}

// state is all that can be read.
func (h *house) state(t *testing.T) string {
	t.Helper()
	var all []string
	for _, d := range h.table.Declarations() {
		if !d.Changes {
			v, err := h.table.Call(t.Context(), admin, d.Name, nil)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := json.Marshal(v)
			all = append(all, d.Name+" "+string(b))
		}
	}
	return strings.Join(append(all, fmt.Sprint(h.revoked, h.done)), "\n")
}

// changeAndBack makes a change, sees that it is one, that there is nothing to do any more, and undoes it by its inverse.
func (h *house) changeAndBack(t *testing.T, who api.Caller, name, args string) {
	t.Helper()
	before := h.state(t)
	p, err := h.plan(t, who, name, args)
	if err != nil {
		t.Fatalf("%s %s: %v", name, args, err)
	}
	if p.Plan.Summary == "" || strings.Contains(p.Plan.Summary, "\n") || p.Undo == nil || p.Nothing() {
		t.Errorf("%s %s: %+v", name, args, p)
	}
	if _, err := p.Do(t.Context()); err != nil {
		t.Fatalf("%s %s: %v", name, args, err)
	}
	if h.state(t) == before {
		t.Errorf("%s %s changes nothing", name, args)
	}
	if again, err := h.plan(t, who, name, args); err == nil && !again.Nothing() || err != nil && api.KindOf(err) != api.NotFound && api.KindOf(err) != api.Conflict {
		t.Errorf("%s %s again: %v", name, args, err)
	}
	undo, err := h.plan(t, who, p.Undo.Command, string(p.Undo.Args))
	if err != nil {
		t.Fatalf("undo by %s %s: %v", p.Undo.Command, p.Undo.Args, err)
	}
	if _, err := undo.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := h.state(t); after != before {
		t.Errorf("%s %s, undone by %s %s:\n%s\nbefore it was\n%s", name, args, p.Undo.Command, p.Undo.Args, after, before)
	}
}

func TestOwnChangesAndTheirInverses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // what is left of a ban must be the same
		h := newHouse(t, config.Access{})
		for _, first := range []string{`{"network":"192.0.2.0/24","seconds":600,"reason":"flood"}`, `{"network":"2001:db8::/32"}`, `{"network":"128.0.0.0/2","wide":true}`} {
			h.changeAndBack(t, operator, "bans add", first)
			p, err := h.plan(t, operator, "bans add", first)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Do(t.Context()); err != nil {
				t.Fatal(err)
			}
			var a api.BanArg
			_ = json.Unmarshal([]byte(first), &a)
			h.changeAndBackOf(t, "bans remove", `{"network":"`+a.Network+`"}`)
		}
		h.changeAndBack(t, operator, "log level", `{"level":"debug"}`)
		h.changeAndBack(t, operator, "drain", "")
		h.changeAndBack(t, operator, "listeners drain", `{"listener":"[::]:4460/tcp"}`)
		h.draining, h.drained["[::]:4460/tcp"] = true, true
		h.changeAndBack(t, operator, "undrain", "")
		h.changeAndBack(t, operator, "listeners undrain", `{"listener":"[::]:4460/tcp"}`)
		if len(h.events) == 0 {
			t.Error("nobody is told")
		}
	})
}

// changeAndBackOf is changeAndBack of a ban, which moves to the end of the list.
func (h *house) changeAndBackOf(t *testing.T, name, args string) {
	t.Helper()
	p, err := h.plan(t, operator, name, args)
	if err != nil {
		t.Fatal(err)
	}
	before := len(h.doors.Bans().View())
	if _, err := p.Do(t.Context()); err != nil || len(h.doors.Bans().View()) != before-1 {
		t.Fatal(err)
	}
	undo, err := h.plan(t, operator, p.Undo.Command, string(p.Undo.Args))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := undo.Do(t.Context()); err != nil || len(h.doors.Bans().View()) != before {
		t.Fatal(err)
	}
}

func TestOwnChangesAreRefused(t *testing.T) {
	h := newHouse(t, config.Access{Bans: map[string]config.Ban{"198.51.100.0/24": {}}})
	if err := h.doors.Bans().Add(access.Ban{Network: netip.MustParsePrefix("203.0.113.0/24"), Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	from := operator
	from.From = netip.MustParseAddr("192.0.2.7")
	for _, c := range []struct {
		who        api.Caller
		name, args string
		want       api.Kind
		text       string
	}{
		{operator, "log level", "", api.BadArgument, "debug, info, warn or error"},
		{operator, "log level", `{"level":"loud"}`, api.BadArgument, "debug, info, warn or error"},
		{operator, "bans add", "", api.BadArgument, "name a network"},
		{operator, "bans add", `{"network":"nonsense"}`, api.BadArgument, "must be a network"},
		{operator, "bans add", `{"network":"192.0.2.1/24"}`, api.BadArgument, "write 192.0.2.0/24"},
		{operator, "bans add", `{"network":"127.1.2.3"}`, api.BadArgument, "loopback"},
		{operator, "bans add", `{"network":"0.0.0.0/0","wide":true}`, api.BadArgument, "loopback"},
		{operator, "bans add", `{"network":"::/0","wide":true}`, api.BadArgument, "loopback"},
		{operator, "bans add", `{"network":"::ffff:127.0.0.1"}`, api.BadArgument, "loopback"},
		{operator, "bans add", `{"network":"fe80::1%eth0"}`, api.BadArgument, "must be a network"},
		{operator, "bans add", `{"network":"128.0.0.0/7"}`, api.BadArgument, "say wide"},
		{operator, "bans add", `{"network":"2000::/15"}`, api.BadArgument, "say wide"},
		{operator, "bans add", `{"network":"192.0.2.1","seconds":-1}`, api.BadArgument, "seconds"},
		{operator, "bans add", `{"network":"192.0.2.1","seconds":9999999999}`, api.BadArgument, "seconds"},
		{operator, "bans add", `{"network":"192.0.2.1","reason":"a\nb"}`, api.BadArgument, "a line"},
		{operator, "bans add", `{"network":"192.0.2.1","reason":"` + strings.Repeat("x", 201) + `"}`, api.BadArgument, "a line"},
		{from, "bans add", `{"network":"192.0.2.0/24"}`, api.BadArgument, "your own address"},
		{operator, "bans add", `{"network":"203.0.113.0/24"}`, api.Conflict, "remove it first"},
		{operator, "bans remove", "", api.BadArgument, "must be a network"},
		{operator, "bans remove", `{"network":"192.0.2.0/24"}`, api.NotFound, "bans lists all"},
		{operator, "bans remove", `{"network":"198.51.100.0/24"}`, api.Conflict, "[access.ban"},
		{operator, "listeners drain", "", api.BadArgument, "name a listener"},
		{operator, "listeners drain", `{"listener":"x"}`, api.NotFound, "listeners lists them"},
		{operator, "listeners undrain", `{"listener":"/run/control.sock"}`, api.Conflict, "cannot be drained"},
		{operator, "keys revoke", `{"ring":"default","key":"aa"}`, api.Denied, "role"},
		{admin, "keys revoke", "", api.BadArgument, "name a ring and a key"},
		{admin, "keys revoke", `{"ring":"default","key":"aa","naks":-1}`, api.BadArgument, "naks"},
		{admin, "keys revoke", `{"ring":"default","key":"aa","naks":100001}`, api.BadArgument, "naks"},
		{admin, "keys revoke", `{"ring":"other","key":"aa"}`, api.NotFound, "no such ring"},
		{admin, "keys revoke", `{"ring":"default","key":"bb"}`, api.NotFound, "no such key"},
		{admin, "keys revoke", `{"ring":"followed","key":"aa"}`, api.Conflict, "neighbour"},
	} {
		if _, err := h.plan(t, c.who, c.name, c.args); api.KindOf(err) != c.want || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%s %s: %v (%s), want %s with %q", c.name, c.args, err, api.KindOf(err), c.want, c.text)
		} else if strings.Contains(err.Error(), "keyring:") {
			t.Errorf("%s %s: %v: what have packages to do with it?", c.name, c.args, err)
		}
	}
	monitor := api.Caller{Role: api.Monitor}
	for _, d := range h.table.Declarations() {
		if _, err := h.plan(t, monitor, d.Name, ""); d.Changes && api.KindOf(err) != api.Denied {
			t.Errorf("%s as monitor: %v", d.Name, err)
		}
	}
}

func TestRevokeTellsWhatItBreaks(t *testing.T) {
	h := newHouse(t, config.Access{})
	p, err := h.plan(t, admin, "keys revoke", `{"ring":"default","key":"aa"}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"promised until 2027-01-15T08:00:00Z", "7 cookies", "current key aa"} {
		if !strings.Contains(p.Plan.Summary, want) {
			t.Errorf("the summary lacks %q: %s", want, p.Plan.Summary)
		}
	}
	for _, want := range []string{"100 clients a second", "the next key mints at once", "key cc ends with it", "who reads it may not know"} {
		if !strings.Contains(p.After, want) {
			t.Errorf("it lacks %q: %s", want, p.After)
		}
	}
	if p.Undo != nil || !p.Urgent {
		t.Errorf("%+v", p)
	}
	if _, err := p.Do(t.Context()); err != nil || len(h.revoked) != 1 || h.revoked[0] != "default aa 100" || len(h.events) != 1 {
		t.Errorf("%v, %v, %v", err, h.revoked, h.events)
	}
	if p, err := h.plan(t, admin, "keys revoke", `{"ring":"default","key":"done"}`); err != nil || !p.Nothing() {
		t.Errorf("again: %v", err)
	}
	h.failing = fmt.Errorf("no space left on device")
	p, _ = h.plan(t, admin, "keys revoke", `{"ring":"default","key":"aa","naks":5}`)
	if _, err := p.Do(t.Context()); api.KindOf(err) != api.Unavailable || !strings.Contains(err.Error(), "no space") || len(h.events) != 2 {
		t.Errorf("a full disk: %v (%s)", err, api.KindOf(err))
	}
}
