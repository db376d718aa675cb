package management

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

var far = netip.MustParseAddr("192.0.2.7")

// do plans a change and carries it out.
func do[R any](t *testing.T, h *house, name, args string) (r R, undo *api.Step) {
	t.Helper()
	p, err := h.plan(t, admin, name, args)
	if err != nil {
		t.Fatalf("%s %s: %v", name, args, err)
	}
	v, err := p.Do(t.Context())
	if err != nil {
		t.Fatalf("%s %s: %v", name, args, err)
	}
	return *v.(*R), p.Undo
}

func TestATokenIsToldOnceAndCounts(t *testing.T) {
	h := newHouse(t, config.Access{})
	issued, undo := do[api.IssuedToken](t, h, "access token", `{"name":"prometheus","role":"monitor","only":"metrics, keys rotate","from":"192.0.2.0/24,2001:db8::/32","days":7}`)
	who, err := h.doors.Token(far, issued.Token)
	if err != nil || who.Role != api.Monitor || len(who.Only) != 2 || !who.Until.Equal(issued.Until) || time.Until(issued.Until) > 7*day {
		t.Errorf("%+v, %v", who, err)
	}
	if b, _ := json.Marshal(h.events); strings.Contains(string(b), issued.Token) || strings.Contains(h.state(t), issued.Token) {
		t.Error("the token can be read")
	}
	if p, err := h.plan(t, admin, "access token", `{"name":"prometheus","role":"monitor"}`); api.KindOf(err) != api.Conflict {
		t.Errorf("again: %+v, %v", p, err)
	}
	if _, err := undoIt(t, h, undo); err != nil {
		t.Fatal(err)
	}
	if _, err := h.doors.Token(far, issued.Token); err == nil {
		t.Error("it counts though it is undone")
	}
}

func undoIt(t *testing.T, h *house, undo *api.Step) (any, error) {
	t.Helper()
	p, err := h.plan(t, admin, undo.Command, string(undo.Args))
	if err != nil {
		return nil, err
	}
	return p.Do(t.Context())
}

func TestACertificateIsToldOnceAndCounts(t *testing.T) {
	h := newHouse(t, config.Access{})
	issued, undo := do[api.IssuedCertificate](t, h, "access certificate", `{"name":"alice","role":"operator","days":30}`)
	pair, err := tls.X509KeyPair([]byte(issued.Certificate), []byte(issued.Key))
	if err != nil {
		t.Fatal(err)
	}
	state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{pair.Leaf}}
	who, err := h.doors.Connection(far, state)
	if err != nil || who.Name != "certificate alice" || who.Role != api.Operator || !h.doors.Still(who) || !issued.Until.Equal(pair.Leaf.NotAfter) {
		t.Errorf("%+v, %v", who, err)
	}
	if b, _ := json.Marshal(h.events); strings.Contains(string(b), "PRIVATE") {
		t.Error("the key can be read")
	}
	if _, err := undoIt(t, h, undo); err != nil {
		t.Fatal(err)
	}
	if _, err := h.doors.Connection(far, state); err == nil || h.doors.Still(who) {
		t.Error("it counts though it is undone")
	}
	h.failing = errors.New("there is no private authority")
	if _, err := h.plan(t, admin, "access certificate", `{"name":"bob","role":"operator"}`); api.KindOf(err) != api.Conflict || !strings.Contains(err.Error(), "no private authority") {
		t.Errorf("%v", err)
	}
}

func TestLoginsAreRevokedAndRestored(t *testing.T) {
	token, hash := access.NewToken()
	h := newHouse(t, config.Access{Tokens: map[string]config.TokenLogin{"alice": {Hash: hash, Role: "admin", Expires: config.Time(time.Now().Add(time.Hour))}}})
	h.changeAndBack(t, admin, "access revoke", `{"name":"alice"}`)
	h.changeAndBack(t, admin, "access revoke", `{"name":"token/alice"}`)
	if _, err := h.doors.Token(far, token); err != nil {
		t.Errorf("restored: %v", err)
	}
	do[api.IssuedCertificate](t, h, "access certificate", `{"name":"alice","role":"operator"}`)
	h.changeAndBack(t, admin, "access revoke", `{"name":"alice"}`) // both
	do[api.Grants](t, h, "access revoke", `{"name":"token/alice"}`)
	if _, err := h.plan(t, admin, "access revoke", `{"name":"alice"}`); api.KindOf(err) != api.Conflict || !strings.Contains(err.Error(), "certificate/alice") {
		t.Errorf("one of two: %v", err)
	}
	do[api.Grants](t, h, "access restore", `{"name":"token/alice"}`)
	myself := admin
	myself.Name = "token alice"
	if p, err := h.plan(t, myself, "access revoke", `{"name":"token/alice"}`); err != nil || !strings.Contains(p.Plan.Summary, "that is yourself") || !p.Urgent {
		t.Errorf("%+v, %v", p, err)
	}
}

// Who is shut out until a change is confirmed that nobody confirms, as by himself, is not shut out for good.
func TestRevokedUntilItIsUndoneIsTold(t *testing.T) {
	h := newHouse(t, config.Access{})
	do[api.IssuedToken](t, h, "access token", `{"name":"alice","role":"admin"}`)
	do[api.IssuedToken](t, h, "access token", `{"name":"bob","role":"admin"}`)
	do[api.Grants](t, h, "access revoke", `{"name":"alice"}`)
	do[api.Grants](t, h, "access revoke", `{"name":"bob"}`)
	h.waiting.all = []api.Unconfirmed{{ID: 6, Command: "log level", Args: `{"level":"debug"}`}, {ID: 7, Command: "access revoke", Args: `{"name":"token/alice"}`}}
	for _, name := range []string{"alice", "token/alice"} {
		if p, err := h.plan(t, admin, "access revoke", `{"name":"`+name+`"}`); api.KindOf(err) != api.Conflict || !strings.Contains(fmt.Sprint(err), "changes confirm 7") {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if p, err := h.plan(t, admin, "access revoke", `{"name":"bob"}`); err != nil || !p.Nothing() {
		t.Errorf("bob: %+v, %v", p, err)
	}
	all, err := h.table.Call(t.Context(), admin, "access", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range all.(api.Grants).Grants {
		if strings.HasSuffix(g.RevokedBy, ", undone unless change 7 is confirmed") != (g.Name == "alice") {
			t.Errorf("%s is revoked by %q", g.Name, g.RevokedBy)
		}
	}
}

func TestAccessIsRefused(t *testing.T) {
	h := newHouse(t, config.Access{})
	for _, c := range []struct {
		who        api.Caller
		name, args string
		want       api.Kind
		text       string
	}{
		{operator, "access token", `{"name":"x","role":"monitor"}`, api.Denied, "role"},
		{operator, "access revoke", `{"name":"x"}`, api.Denied, "role"},
		{operator, "access", "", api.Denied, "role"},
		{admin, "access token", "", api.BadArgument, "say a name and a role"},
		{admin, "access token", `{"name":"x"}`, api.BadArgument, "say a name and a role"},
		{admin, "access token", `{"name":"x","role":"root"}`, api.BadArgument, "must be monitor"},
		{admin, "access token", `{"name":"a b","role":"monitor"}`, api.BadArgument, "letters"},
		{admin, "access token", `{"name":"x","role":"monitor","only":"nonsense"}`, api.BadArgument, "there is no"},
		{admin, "access token", `{"name":"x","role":"monitor","only":"` + strings.Repeat("metrics,", 65) + `"}`, api.BadArgument, "more than 64"},
		{admin, "access token", `{"name":"x","role":"monitor","only":" , "}`, api.BadArgument, "names nothing"},
		{admin, "access certificate", `{"name":"x","role":"monitor","only":","}`, api.BadArgument, "names nothing"},
		{admin, "access token", `{"name":"x","role":"monitor","from":","}`, api.BadArgument, "names no network"},
		{admin, "access token", `{"name":"x","role":"monitor","from":"192.0.2.1/24"}`, api.BadArgument, "must be networks"},
		{admin, "access token", `{"name":"x","role":"monitor","from":"` + strings.Repeat("192.0.2.0/24,", 65) + `"}`, api.BadArgument, "more than 64"},
		{admin, "access token", `{"name":"x","role":"monitor","days":-1}`, api.BadArgument, "days"},
		{admin, "access token", `{"name":"x","role":"monitor","days":3651}`, api.BadArgument, "days"},
		{admin, "access certificate", `{"name":"x","role":"monitor","days":398}`, api.BadArgument, "days"},
		{admin, "access certificate", `{"name":"","role":"monitor"}`, api.BadArgument, "say a name"},
		{admin, "access revoke", "", api.BadArgument, "name a certificate or token"},
		{admin, "access revoke", `{"name":"nobody"}`, api.NotFound, "access lists all"},
		{admin, "access restore", `{"name":"token/nobody"}`, api.NotFound, "access lists all"},
	} {
		if p, err := h.plan(t, c.who, c.name, c.args); c.name != "access" && (api.KindOf(err) != c.want || !strings.Contains(fmt.Sprint(err), c.text)) {
			t.Errorf("%s %s: %+v, %v (%s), want %s with %q", c.name, c.args, p, err, api.KindOf(err), c.want, c.text)
		}
	}
	if _, err := h.table.Call(t.Context(), operator, "access", nil); api.KindOf(err) != api.Denied {
		t.Errorf("%v", err)
	}
}
