package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

func dnsUpdate(p *pebble) string {
	secret := p.write("tsig", []byte(tsigSecret+"\n"))
	return fmt.Sprintf(`[certs.acme.dns]
server = %q
zone = "test"
tsig-name = "ntptsd.key"
tsig-file = %q
propagation = "0s"
`, p.names.primary, secret)
}

// Each challenge, with an authority that is well, one that refuses half of all nonces, and one that takes its time.
func TestACMECertificate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, lines string
		env         []string
		dns         bool
		names       []string
		days        float64
	}{
		{name: "http-01", lines: "challenges = [\"http-01\"]\nnames = [\"a.test\", \"127.0.0.1\"]\nprofile = \"default\"", names: []string{"a.test", ""}, days: 47},
		{name: "tls-alpn-01, six days, bad nonces", lines: "names = [\"a.test\", \"b.test\", \"127.0.0.1\"]\nprofile = \"shortlived\"", env: []string{"PEBBLE_WFE_NONCEREJECT=50"},
			names: []string{"a.test", "b.test", ""}, days: 6},
		{name: "dns-01, wildcard", lines: "names = [\"*.a.test\", \"a.test\"]\nprofile = \"default\"\nkey-type = \"p384\"", dns: true, names: []string{"a.test", "x.a.test"}, days: 47},
		{name: "slow validation", lines: "names = [\"a.test\"]\nprofile = \"default\"\nkey-type = \"rsa2048\"", env: []string{"PEBBLE_VA_NOSLEEP=", "PEBBLE_VA_SLEEPTIME=5"}, names: []string{"a.test"}, days: 47},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPebble(t, c.env...).begin()
			if c.dns {
				c.lines += "\n" + dnsUpdate(p)
			}
			begun := time.Now()
			m := p.manage(c.lines)
			got := m.becomes(isValid)
			t.Logf("issued after %v", time.Since(begun).Round(100*time.Millisecond))
			if got.Source != api.CertificateACME || got.DaysLeft < c.days-0.1 || got.DaysLeft > c.days || got.Account == "" || got.RenewAt == nil {
				t.Errorf("%+v", got)
			}
			for _, name := range c.names {
				if _, err := m.leaf(name); err != nil {
					t.Errorf("%q: %v", name, err)
				}
			}
			if added, left := p.names.left(); c.dns && (added != 2 || left != 0) {
				t.Errorf("%d records were added, %d of them are left", added, left)
			}
			m.restart()
			if again := m.becomes(isValid); again.Fingerprint != got.Fingerprint || again.Account != got.Account || again.LastSuccess != nil {
				t.Errorf("after a restart %+v", again)
			}
			if info, err := os.Stat(filepath.Join(m.dir, "state", "certs", "acme-account.json")); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info, err)
			}
		})
	}
}

// simple is a section that Pebble gives a certificate for 47 days.
const simple = "profile = \"default\"\nchallenges = [\"http-01\"]\n"

// An authority that cannot be convinced: what is served stays, and the state says why.
func TestACMEFailureIsStateAndNoGap(t *testing.T) {
	t.Parallel()
	p := newPebble(t).begin()
	p.names.point("far.test.", "127.0.0.99") // nobody listens there
	m := p.manage(simple + `names = ["a.test"]`)
	before := m.becomes(isValid)
	m.configure(simple + `names = ["a.test", "far.test"]`)
	m.signal(syscall.SIGHUP)
	got := m.becomes(func(c api.Certificate) bool { return c.State == api.CertificateFailing })
	if got.Fingerprint != before.Fingerprint || got.NextAttempt == nil || !strings.Contains(got.LastError, "connection") || !strings.Contains(got.LastError, "far.test") {
		t.Errorf("%+v", got)
	}
	if _, err := m.leaf("a.test"); err != nil {
		t.Error(err)
	}
	p.end() // and then it is gone altogether
	m.restart()
	got = m.becomes(func(c api.Certificate) bool { return c.State == api.CertificateFailing })
	if got.Fingerprint != before.Fingerprint || !strings.Contains(got.LastError, "connection refused") {
		t.Errorf("%+v", got)
	}
}

// Accounts end: the authority has lost its memory, or closed the account.
func TestACMEAccountIsReplaced(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(p *pebble, m *managed){
		"forgotten": func(p *pebble, _ *managed) { p.end(); p.begin() },
		"closed":    func(_ *pebble, m *managed) { m.closeAccount() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPebble(t).begin()
			m := p.manage(simple + `names = ["a.test"]`)
			before := m.becomes(isValid)
			lose(p, m)
			m.configure(simple + `names = ["a.test", "b.test"]`)
			m.signal(syscall.SIGHUP)
			after := m.becomes(func(c api.Certificate) bool { return isValid(c) && c.Fingerprint != before.Fingerprint })
			if after.Account == before.Account || !strings.Contains(m.log(), "does not know our account any more") {
				t.Errorf("account %s, before %s", after.Account, before.Account)
			}
			if _, err := m.leaf("b.test"); err != nil {
				t.Error(err)
			}
		})
	}
}

// Before it revokes many, an authority suggests a renewal at once (RFC 9773).
func TestACMERenewalInformationIsHeeded(t *testing.T) {
	t.Parallel()
	p := newPebble(t).begin()
	m := p.manage(simple + `names = ["a.test"]`)
	before := m.becomes(isValid)
	leaf, err := m.leaf("a.test")
	if err != nil {
		t.Fatal(err)
	}
	if early, late := leaf.NotBefore.Add(24*time.Hour), leaf.NotAfter; before.RenewAt.Before(early) || before.RenewAt.After(late) {
		t.Errorf("to be renewed at %v", before.RenewAt)
	}
	p.suggest(leaf, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	m.restart() // or six hours
	after := m.becomes(func(c api.Certificate) bool { return isValid(c) && c.Fingerprint != before.Fingerprint })
	if after.Account != before.Account {
		t.Errorf("account %s, before %s", after.Account, before.Account)
	}
}

// Some authorities want to know whose customer an account is (RFC 8555 section 7.3.4).
func TestACMEExternalAccount(t *testing.T) {
	t.Parallel()
	p := newPebble(t)
	mac := p.requireAccounts("customer-7")
	p.begin()
	m := p.manage(simple + `names = ["a.test"]`)
	got := m.becomes(func(c api.Certificate) bool { return c.State == api.CertificateFailing })
	if !strings.Contains(got.LastError, "externalAccountRequired") || !strings.Contains(got.Problem, "cannot be renewed") || got.Fingerprint != "" {
		t.Errorf("%+v", got)
	}
	m.configure(simple + "names = [\"a.test\"]\neab-key-id = \"customer-7\"\neab-mac-file = " + fmt.Sprintf("%q", mac))
	m.signal(syscall.SIGHUP)
	m.becomes(isValid)
}
