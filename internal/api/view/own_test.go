package view

import (
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
)

func TestViewsOfOwnCommands(t *testing.T) {
	bans := api.Bans{Bans: []api.Ban{{Network: "192.0.2.0/24", Reason: "flood", LeftSeconds: new(600.0), From: api.FromRuntime}, {Network: "2001:db8::/32", From: api.FromConfiguration}},
		Refused: []api.Count{{Name: "time server", Count: 7}, {Name: "key exchange"}}}
	serving := api.Serving{Draining: true, Listeners: []api.Listener{{Name: "[::]:4460/tcp", Service: "keyexchange", Drains: true, Draining: true}, {Name: "/run/x.sock", Service: "management"}}}
	grants := api.Grants{Grants: []api.Grant{
		{Kind: "certificate", Name: "alice", Role: "admin", Source: "configuration", LastUse: new(ago(hour))},
		{Kind: "token", Name: "prometheus", Role: "monitor", Only: []string{"metrics"}, Source: "command", Until: new(now.Add(day)), Revoked: new(ago(day)), RevokedBy: "uid 0"},
		{Kind: "token", Name: "old", Role: "monitor", Source: "command", Until: new(ago(day))},
	}}
	for _, c := range []struct {
		command string
		answer  any
		want    string
	}{
		{"log", api.LogState{Level: "info", Configured: "info"}, "level info\n"},
		{"log level", api.LogState{Level: "debug", Configured: "info"}, "level debug, until a reload or a restart: the configuration says info\n"},
		{"bans", api.Bans{}, "no network is banned\n"},
		{"bans add", bans, `
NETWORK        ENDS    FROM           REASON
192.0.2.0/24   in 10m  runtime        flood
2001:db8::/32  -       configuration  -
time server refused 7
`},
		{"listeners", api.Serving{}, "there are no listeners\n"},
		{"drain", serving, `
this host drains: it is neither ready nor fit, and sends clients to other targets
LISTENER       SERVICE      STATE
[::]:4460/tcp  keyexchange  draining
/run/x.sock    management   open
`},
		{"keys revoke", api.Revocation{Ring: "default", Key: "0a1b2c3d", PromisedUntil: now.Add(6 * day), Also: []string{"0a1b2c3c"},
			Current: "0a1b2c3e", Next: "0a1b2c3f", NAKs: 100, Unknown: "chronyd may not know it", Problem: "the record cannot be saved"}, `
key 0a1b2c3d of ring default is revoked; it was promised to end in 6d
key 0a1b2c3c has ended with it
key 0a1b2c3e mints, key 0a1b2c3f is next; 100 clients a second are told to exchange keys anew
chronyd may not know it
the record cannot be saved
`},
		{"access", api.Grants{}, "nobody may log in at the services port\n"},
		{"access revoke", grants, `
KIND         NAME        ROLE     ONLY     ENDS     USED    FROM           STATE
certificate  alice       admin    -        -        1h ago  configuration  counts
token        prometheus  monitor  metrics  in 24h   -       command        revoked 24h ago by uid 0
token        old         monitor  -        24h ago  -       command        ended
`},
		{"access token", api.IssuedToken{Name: "x", Role: "monitor", Until: now.Add(day), Token: "ntptsd_x"},
			"ntptsd_x\n# token x, with the role monitor, ends in 24h; it is not shown again: chmod 600 the file with it\n"},
		{"access certificate", api.IssuedCertificate{Name: "x", Role: "monitor", Until: now.Add(day), Certificate: "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n", Key: "-----BEGIN PRIVATE KEY-----\n"}, `
-----BEGIN CERTIFICATE-----
AA
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
# certificate x, with the role monitor, ends in 24h; its key is not shown again: chmod 600 the file with it
`},
		{"config", api.Configuration{Text: "[log]\nlevel = \"info\"  # default\n", Runtime: []string{"192.0.2.0/24 is banned"}}, `
[log]
level = "info"  # default

# changed by commands, beside the configuration:
# 192.0.2.0/24 is banned
`},
	} {
		if got, _ := show(t, c.command, c.answer); got != strings.TrimPrefix(c.want, "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", c.command, got, c.want)
		}
	}
}

// Names and reasons are what somebody typed: nothing of them acts on a terminal.
func TestOwnViewsAreSafe(t *testing.T) {
	const evil = "\x1b[2Jx\r\n\tall is well\u009b\u202e\x00\x7f"
	for command, answer := range map[string]any{
		"log":                api.LogState{Level: evil, Configured: "x"},
		"bans":               api.Bans{Bans: []api.Ban{{Network: evil, Reason: evil, From: evil}}, Refused: []api.Count{{Name: evil, Count: 1}}},
		"listeners":          api.Serving{Listeners: []api.Listener{{Name: evil, Service: evil}}},
		"access":             api.Grants{Grants: []api.Grant{{Kind: evil, Name: evil, Role: evil, Only: []string{evil}, Source: evil}}},
		"access token":       api.IssuedToken{Name: evil, Role: evil, Token: evil},
		"access certificate": api.IssuedCertificate{Name: evil, Role: evil, Certificate: evil, Key: evil},
		"keys revoke":        api.Revocation{Ring: evil, Key: evil, Also: []string{evil}, Unknown: evil, Problem: evil, Current: evil, Next: evil},
		"config":             api.Configuration{Text: evil, Runtime: []string{evil}},
	} {
		got, _ := show(t, command, answer)
		checkSafe(t, command, got)
	}
	if got, _ := show(t, "config", api.Configuration{Text: strings.Repeat("x\n", maxRows+5)}); strings.Count(got, "\n") != maxRows+1 {
		t.Errorf("%d lines", strings.Count(got, "\n"))
	}
}
