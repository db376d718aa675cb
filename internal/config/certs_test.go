package config

import (
	"os"
	"strings"
	"testing"
)

// What ntptsd-certs(7) shows must be what the daemon takes.
func TestCertificatePageExamples(t *testing.T) {
	page, err := os.ReadFile("../../docs/manual/ntptsd-certs.7")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"authority", "alpn", "http", "dns"} {
		_, after, found := strings.Cut(string(page), ".\\\" example "+name+" ntptsd.toml\n.Bd -literal -offset indent\n")
		block, _, ended := strings.Cut(after, ".Ed\n")
		if _, err := Parse(name, []byte(block)); err != nil || !found || !ended {
			t.Errorf("%s: found %v, ended %v: %v", name, found, ended, err)
		}
	}
}

func TestACMEDefaults(t *testing.T) {
	const section = "[keyexchange]\ncertificate = \"acme\"\n[certs.acme]\nnames = [\"a.example.org\"]\n"
	const update = "[certs.acme.dns]\nserver = \"%s\"\nzone = \"example.org\"\ntsig-name = \"k\"\ntsig-file = \"/k\"\n"
	a := parsed(t, section).Certs.ACME
	if a.Directory != DefaultDirectory || a.KeyType != "p256" || !a.Uses(ChallengeALPN) || a.Uses(ChallengeHTTP) || a.ALPNListen[0].Port() != 443 || a.HTTPListen[0].Port() != 80 {
		t.Errorf("%+v", a)
	}
	for server, want := range map[string]string{"ns.example.org": "ns.example.org:53", "192.0.2.1:5353": "192.0.2.1:5353", "2001:db8::1": "[2001:db8::1]:53", "[2001:db8::1]": "[2001:db8::1]:53"} {
		a := parsed(t, section+strings.Replace(update, "%s", server, 1)).Certs.ACME
		if a.DNS.Server != want || !a.Uses(ChallengeDNS) || a.Uses(ChallengeALPN) || a.DNS.TSIGAlgorithm != "hmac-sha256" {
			t.Errorf("%s: %+v, %+v", server, a, a.DNS)
		}
	}
	if (*ACMECerts)(nil).Uses(ChallengeHTTP) {
		t.Error("without the section a challenge is used")
	}
	// The services port shows what the key exchange shows.
	if m := parsed(t, section+"[monitoring]\n").Monitoring; m.Certificate != ACME || m.Key != "" {
		t.Errorf("%+v", m)
	}
	unused := parsed(t, "[certs.authority]\nnames = [\"a.example.org\"]\ncertificate = \"/c\"\nkey = \"/k\"\n")
	if got := unused.Ignored(); len(got) != 1 || !strings.HasPrefix(got[0], "certs.authority is not used") {
		t.Errorf("%q", got)
	}
}
