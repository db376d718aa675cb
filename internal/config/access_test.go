package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The configuration of the first issue stays valid: the services port takes the certificate of the key exchange.
func TestMonitoringDefaults(t *testing.T) {
	m := parsed(t, exchange+"[monitoring]\nlisten = ['127.0.0.1:4461']").Monitoring
	if m.Certificate != "/a" || m.Key != "/b" || m.MaxConnections != 2000 || m.MaxConnectionsPerPrefix != 1200 || time.Duration(m.HelloTimeout) != 5*time.Second ||
		len(m.PlainListen) != 0 || m.Fit != DefaultFit() {
		t.Errorf("%+v", m)
	}
	if got := fmt.Sprint(parsed(t, exchange+"[monitoring]").Monitoring.Listen); got != "[127.0.0.1:4461]" {
		t.Errorf("nobody off this host may connect unless it is written: %s", got)
	}
	if m := parsed(t, exchange+"[monitoring.fit]\nmax-stratum = 3").Monitoring; m.Fit.MaxStratum != 3 || m.Fit.MaxAge != DefaultFit().MaxAge || m.MaxConnections != 2000 {
		t.Errorf("a key of a part changes the others: %+v", m)
	}
	if m := parsed(t, exchange+"[monitoring]\ncertificate = '/c'\nkey = '/d'").Monitoring; m.Certificate != "/c" || m.Key != "/d" {
		t.Errorf("%+v", m)
	}
	for text, want := range map[string]string{
		exchange + "[monitoring]\ncertificate = '/c'": "x:4:2: monitoring.key: is required",
		"[monitoring]": "x:1:2: monitoring.certificate: is required",
		exchange + "[monitoring]\nlisten = ['[::]:4460']\nplain-listen = ['[::]:80']": "monitoring.plain-listen[0] = \"[::]:80\": must be a loopback address",
		exchange + "[monitoring]\nlisten = ['[::]:4460']":                             "x:5:11: monitoring.listen[0] = \"[::]:4460\": is taken by keyexchange.listen[0]",
		exchange + "[monitoring]\nlisten = []":                                        "needs at least one address",
	} {
		if _, err := Parse("x", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n%v, want %q", text, err, want)
		}
	}
}

func TestAccessDefaults(t *testing.T) {
	a := parsed(t, "").Access
	if a.Loopback != "anonymous" || a.ClientCA != "" || len(a.Certificates)+len(a.Tokens)+len(a.Allow)+len(a.Deny) != 0 {
		t.Errorf("somebody may something by default: %+v", a)
	}
}

func TestAccessIsRead(t *testing.T) {
	c, err := Load("testdata/everything.toml")
	if err != nil {
		t.Fatal(err)
	}
	m, a := c.Monitoring, c.Access
	if m.Certificate != "/m.pem" || m.MaxConnections != 100 || m.MaxConnectionsPerPrefix != 50 || m.Fit.MaxStratum != 3 || len(m.PlainListen) != 2 ||
		time.Duration(m.Fit.MaxErrorBound) != 10*time.Millisecond || time.Duration(m.Fit.MaxAge) != 30*time.Second {
		t.Errorf("%+v", m)
	}
	if a.Loopback != "monitor" || a.ClientCA != "/ca.pem" || a.Deny[0].Bits() != 25 || a.Certificates["alice"].Role != "admin" || len(a.Certificates["b@example.org"].Only) != 2 {
		t.Errorf("%+v", a)
	}
	p := a.Tokens["prometheus"]
	if p.Role != "monitor" || len(p.From) != 2 || p.Expires.String() != "2027-06-30T00:00:00Z" {
		t.Errorf("%+v", p)
	}
}

// TOML has forms of its own for moments; text is taken, too.
func TestMoments(t *testing.T) {
	for text, want := range map[string]string{
		"2027-01-31":                  "2027-01-31T00:00:00Z",
		"'2027-01-31'":                "2027-01-31T00:00:00Z",
		"2027-01-31T12:00:00Z":        "2027-01-31T12:00:00Z",
		"2027-01-31T12:00:00+02:00":   "2027-01-31T12:00:00+02:00",
		"'2027-01-31T12:00:00-05:00'": "2027-01-31T12:00:00-05:00",
		"2027-01-31T12:00:00":         "", // where?
		"12:00:00":                    "",
		"'tomorrow'":                  "",
		"1801396800":                  "",
	} {
		c, err := Parse("x", []byte("[access.token.a]\nrole = 'monitor'\nhash = '"+strings.Repeat("0", 64)+"'\nexpires = "+text))
		if err != nil {
			if want != "" || !strings.Contains(err.Error(), "must be a moment as in") {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if got := c.Access.Tokens["a"].Expires.String(); got != want {
			t.Errorf("%s: %s, want %q", text, got, want)
		}
	}
}

// Each file may have a few; all of them together are bounded, too.
func TestLogInsAreBounded(t *testing.T) {
	var first, second strings.Builder
	for i := range maxLogins {
		fmt.Fprintf(&first, "[access.certificate.a%d]\nfingerprint = '%064x'\nrole = 'monitor'\n", i, i)
		fmt.Fprintf(&second, "[access.certificate.b%d]\nfingerprint = '%064x'\nrole = 'monitor'\n", i, i)
	}
	if _, err := Parse("x", []byte(first.String())); err != nil {
		t.Error(err)
	}
	_, err := parse([]source{{name: "x", text: []byte(first.String())}, {name: "y", text: []byte(second.String())}})
	if err == nil || !strings.Contains(err.Error(), "access.certificate: has 512 tables, at most 256") {
		t.Errorf("%.300v", err)
	}
}

// A drop-in adds somebody, and changes one key of somebody: so each program's token is a file of its own.
func TestDropInsAddLogIns(t *testing.T) {
	token := func(name, role string) string {
		return fmt.Sprintf("[access.token.%s]\nhash = '%064x'\nrole = '%s'\nexpires = 2027-01-31\n", name, len(name), role)
	}
	c, err := parse([]source{
		{name: "a", text: []byte(token("one", "monitor"))}, {name: "b", text: []byte(token("three", "admin"))}, {name: "c", text: []byte("[access.token.one]\nrole = 'operator'")},
	})
	if err != nil || len(c.Access.Tokens) != 2 || c.Access.Tokens["one"].Role != "operator" || c.Access.Tokens["one"].Hash == "" {
		t.Errorf("%+v, %v", c, err)
	}
}
