package management

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

func TestTheConfigurationTellsWhatChangedSince(t *testing.T) {
	h := newHouse(t, config.Access{})
	read := func() api.Configuration {
		v, err := h.table.Call(t.Context(), operator, "config", nil)
		if err != nil {
			t.Fatal(err)
		}
		return v.(api.Configuration)
	}
	if c := read(); len(c.Runtime) != 0 || len(c.Settings) == 0 || !strings.Contains(c.Text, "[log]") {
		t.Errorf("%+v", c)
	}
	h.level, h.draining, h.drained["[::]:4460/tcp"] = "debug", true, true
	if err := h.doors.Bans().Add(access.Ban{Network: netip.MustParsePrefix("192.0.2.0/24")}); err != nil {
		t.Fatal(err)
	}
	issued, _ := do[api.IssuedToken](t, h, "access token", `{"name":"x","role":"monitor"}`)
	do[api.IssuedToken](t, h, "access token", `{"name":"y","role":"monitor"}`)
	do[api.Grants](t, h, "access revoke", `{"name":"y"}`)
	c := read()
	want := []string{"log.level is debug", "192.0.2.0/24 is banned", "this host drains", "listener [::]:4460/tcp drains",
		"token x was issued, with the role monitor", "token y is revoked"}
	if !slices.Equal(c.Runtime, want) || strings.Contains(c.Text, issued.Token) {
		t.Errorf("%q", c.Runtime)
	}
	i := slices.IndexFunc(c.Settings, func(s api.Setting) bool { return s.Key == "log.level" })
	if i < 0 || c.Settings[i].Value != `"debug"` || c.Settings[i].From != config.FromRuntime {
		t.Errorf("%+v", c.Settings)
	}
	if _, err := h.table.Call(t.Context(), api.Caller{Role: api.Monitor}, "config", nil); api.KindOf(err) != api.Denied {
		t.Errorf("%v", err)
	}
}

func TestCertificateCommands(t *testing.T) {
	h := newHouse(t, config.Access{})
	do[api.Certificates](t, h, "certs reload", "")
	do[api.Certificates](t, h, "certs renew", `{"name":"acme"}`)
	do[api.Certificates](t, h, "certs renew", `{"name":"Time.example"}`)
	if want := []string{"reload", "renew acme", "renew Time.example"}; !slices.Equal(h.done, want) {
		t.Errorf("%q", h.done)
	}
	for args, want := range map[string]api.Kind{"": api.BadArgument, `{"name":"file.example"}`: api.NotFound, `{"name":"file"}`: api.NotFound} {
		if _, err := h.plan(t, operator, "certs renew", args); api.KindOf(err) != want {
			t.Errorf("%s: %v", args, err)
		}
	}
	h.failing = errors.New("no such file")
	for name, want := range map[string]api.Kind{"certs reload": api.Conflict, "certs renew": api.Unavailable} {
		p, err := h.plan(t, operator, name, map[string]string{"certs renew": `{"name":"acme"}`}[name])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Do(t.Context()); api.KindOf(err) != want || !strings.Contains(err.Error(), "served on") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
