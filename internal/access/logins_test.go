package access

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

func inAnHour() config.Time { return config.Time(time.Now().Add(time.Hour)) }

// Every role can be had by every way in, and is that role, whole or confined; what takes the way away ends it.
func TestRolesByMethod(t *testing.T) {
	ours := newAuthority(t)
	named, _ := ours.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"alice.example"} })
	pinned, _ := (&authority{}).issue(t, nil)
	token, hash := NewToken()
	ca := ours.file(t)
	for _, role := range []api.Role{api.Monitor, api.Operator, api.Admin} {
		for _, only := range [][]string{nil, {"metrics", "status"}} {
			for method, c := range map[string]struct {
				access config.Access
				enter  func(a *Access) (api.Caller, error)
			}{
				"name": {config.Access{ClientCA: ca, Certificates: map[string]config.CertificateLogin{"x": {SAN: "alice.example", Role: role.String(), Only: only}}},
					func(a *Access) (api.Caller, error) { return a.Connection(far, shown(named)) }},
				"fingerprint": {config.Access{Certificates: map[string]config.CertificateLogin{"x": {Fingerprint: fingerprint(pinned), Role: role.String(), Only: only}}},
					func(a *Access) (api.Caller, error) { return a.Connection(far, shown(pinned)) }},
				"token": {config.Access{Tokens: map[string]config.TokenLogin{"x": {Hash: hash, Role: role.String(), Only: only, Expires: inAnHour()}}},
					func(a *Access) (api.Caller, error) { return a.Token(far, token) }},
				"session": {config.Access{Tokens: map[string]config.TokenLogin{"x": {Hash: hash, Role: role.String(), Only: only, Expires: inAnHour()}}},
					func(a *Access) (api.Caller, error) { return a.Token(far, follow(t, a, token, role)) }},
			} {
				a := open(t, c.access)
				who, err := c.enter(a)
				if err != nil || who.Role != role || !slices.Equal(who.Only, only) || !a.Still(who) || who.Until.IsZero() {
					t.Errorf("%s as %s, only %q: %+v, %v", method, role, only, who, err)
				}
				commit, err := a.Prepare(&config.Config{})
				if err != nil {
					t.Fatal(err)
				}
				commit()
				if a.Still(who) {
					t.Errorf("%s as %s: stays when it is taken away", method, role)
				}
				if who, err := c.enter(a); method != "session" && (api.KindOf(err) != api.Unknown || who.Role != api.Anonymous) {
					t.Errorf("%s as %s: works when it was taken away: %+v", method, role, who)
				}
			}
		}
	}
}

// follow makes a link and follows it; empty when the token does not let in any more.
func follow(t *testing.T, a *Access, token string, role api.Role) string {
	t.Helper()
	who, err := a.Token(far, token)
	if err != nil {
		return ""
	}
	once, _, err := a.Link(who, role)
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.Redeem(far, once)
	if err != nil {
		t.Fatal(err)
	}
	return s.Token
}

// A name of one kind is none of another: authorities let people choose URIs that would be somebody's DNS name.
func TestNamesOfOneKind(t *testing.T) {
	ours := newAuthority(t)
	uri := func(s string) *url.URL { return &url.URL{Opaque: s} }
	for name, cert := range map[string]*x509.Certificate{
		"operator":            {URIs: []*url.URL{uri("operator")}, EmailAddresses: []string{"operator"}},
		"alice@example.org":   {DNSNames: []string{"alice@example.org"}, URIs: []*url.URL{uri("alice@example.org")}},
		"spiffe://example/a":  {DNSNames: []string{"spiffe://example/a"}, EmailAddresses: []string{"spiffe://example/a"}},
		"192.0.2.9":           {DNSNames: []string{"192.0.2.9"}, URIs: []*url.URL{uri("192.0.2.9")}},
		"Alice@example.org":   {EmailAddresses: []string{"alice@example.org"}}, // the local part may differ by case
		"a.example":           {DNSNames: []string{"*.example", "example", "b.a.example", "a.example."}},
		"2001:db8::1":         {IPAddresses: []net.IP{net.IPv4(192, 0, 2, 9)}, DNSNames: []string{"2001:db8::1"}},
		"alice.example\x00.b": {DNSNames: []string{"alice.example"}},
	} {
		if hasName(cert, name) {
			t.Errorf("%q is found in a name of another kind", name)
		}
	}
	good, _ := ours.issue(t, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP("2001:db8::1")} })
	if !hasName(good, "2001:DB8:0::1") {
		t.Error("an address in another form is not found")
	}
}

// A chain ends with its first certificate, also when it was found good before.
func TestRememberedChainsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := newAuthorityUntil(t, time.Now().Add(30*time.Minute))
		leaf, _ := root.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"alice.example"} }) // for an hour
		a := open(t, config.Access{ClientCA: root.file(t), Certificates: map[string]config.CertificateLogin{"x": {SAN: "alice.example", Role: "monitor"}}})
		for range 3 {
			if _, err := a.Connection(far, shown(leaf)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(31 * time.Minute)
		if who, err := a.Connection(far, shown(leaf)); api.KindOf(err) != api.Unknown {
			t.Errorf("its authority has ended: %+v, %v", who, err)
		}
	})
}

func newAuthorityUntil(t *testing.T, until time.Time) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key = a.issue(t, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.NotAfter = true, true, x509.KeyUsageCertSign, until
	})
	return a
}

// The authorities between are shown by the client, and how many are looked at is bounded.
func TestAuthoritiesBetween(t *testing.T) {
	root := newAuthority(t)
	a := open(t, config.Access{ClientCA: root.file(t), Certificates: map[string]config.CertificateLogin{"x": {SAN: "alice.example", Role: "monitor"}}})
	for between, want := range map[int]bool{0: true, 1: true, maxChain - 1: true, maxChain: false} {
		var chain []*x509.Certificate
		issuer := root
		for range between {
			next := &authority{}
			next.cert, next.key = issuer.issue(t, func(c *x509.Certificate) {
				c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
				c.Subject = pkix.Name{CommonName: "between " + strings.Repeat("x", len(chain)+1)}
			})
			chain = append([]*x509.Certificate{next.cert}, chain...)
			issuer = next
		}
		leaf, _ := issuer.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"alice.example"} })
		chain = append([]*x509.Certificate{leaf}, chain...)
		if _, err := a.Connection(far, &tls.ConnectionState{PeerCertificates: chain}); (err == nil) != want {
			t.Errorf("%d authorities between: %v", between, err)
		}
	}
}

// What a stranger's certificate says comes back short and harmless.
func TestRefusalsCiteNothingHarmful(t *testing.T) {
	ours := newAuthority(t)
	fake := &authority{}
	fake.cert, fake.key = (&authority{}).issue(t, func(c *x509.Certificate) {
		c.Subject = ours.cert.Subject
		c.Subject.CommonName = "\x1b[2J\r\n250 welcome" + strings.Repeat("A", 5000)
		c.IsCA, c.BasicConstraintsValid = true, true // but may not sign
	})
	leaf, _ := fake.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"alice.example"} })
	a := open(t, config.Access{ClientCA: ours.file(t), Certificates: map[string]config.CertificateLogin{"x": {SAN: "alice.example", Role: "monitor"}}})
	_, err := a.Connection(far, &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf, fake.cert}})
	if err == nil || !strings.Contains(err.Error(), "does not count here") || len(err.Error()) > 400 || strings.ContainsFunc(err.Error(), unicode.IsControl) {
		t.Errorf("%d octets: %q", len(err.Error()), err)
	}
}

func TestLogInsAreCounted(t *testing.T) {
	token, hash := NewToken()
	old, oldHash := NewToken()
	a := open(t, config.Access{Tokens: map[string]config.TokenLogin{
		"good": {Hash: hash, Role: "operator", Expires: inAnHour()},
		"old":  {Hash: oldHash, Role: "admin", Expires: config.Time(time.Now().Add(-time.Hour))},
	}})
	session := follow(t, a, token, api.Monitor) // one token, one link
	for _, shown := range []string{session, "x", "y", old, sessionPrefix + "x"} {
		_, _ = a.Token(far, shown)
	}
	alone, _ := (&authority{}).issue(t, nil)
	_, _ = a.Connection(far, shown(alone))
	_, _ = a.Connection(far, nil) // nothing was shown: not counted
	for range failBurst {
		_, _ = a.Redeem(netip.MustParseAddr("2001:db8::1"), "guess")
	}
	_, _ = a.Redeem(netip.MustParseAddr("2001:db8::2"), "guess") // of the same /64
	const want = `
# HELP ntptsd_access_banned_total Connections to the services port that were refused because their network is banned.
# TYPE ntptsd_access_banned_total counter
ntptsd_access_banned_total 0
# HELP ntptsd_access_bans Networks that are refused everywhere.
# TYPE ntptsd_access_bans gauge
ntptsd_access_bans 0
# HELP ntptsd_access_logins_total Requests and connections that showed something to be known by, by what that was and what became of it. Expired: it was good once. Limited: too many from there had failed.
# TYPE ntptsd_access_logins_total counter
ntptsd_access_logins_total{method="certificate",result="accepted"} 0
ntptsd_access_logins_total{method="certificate",result="expired"} 0
ntptsd_access_logins_total{method="certificate",result="limited"} 0
ntptsd_access_logins_total{method="certificate",result="refused"} 1
ntptsd_access_logins_total{method="link",result="accepted"} 1
ntptsd_access_logins_total{method="link",result="expired"} 0
ntptsd_access_logins_total{method="link",result="limited"} 1
ntptsd_access_logins_total{method="link",result="refused"} 10
ntptsd_access_logins_total{method="session",result="accepted"} 1
ntptsd_access_logins_total{method="session",result="expired"} 0
ntptsd_access_logins_total{method="session",result="limited"} 0
ntptsd_access_logins_total{method="session",result="refused"} 1
ntptsd_access_logins_total{method="token",result="accepted"} 1
ntptsd_access_logins_total{method="token",result="expired"} 1
ntptsd_access_logins_total{method="token",result="limited"} 0
ntptsd_access_logins_total{method="token",result="refused"} 2
# HELP ntptsd_access_sessions_open Sessions of the dashboard that were opened by a link and have not ended.
# TYPE ntptsd_access_sessions_open gauge
ntptsd_access_sessions_open 1
`
	if err := testutil.CollectAndCompare(a, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestWhoMayConnect(t *testing.T) {
	a := open(t, config.Access{Deny: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("127.0.0.0/8")}})
	for addr, want := range map[string]bool{"192.0.2.7": true, "::ffff:192.0.2.7": true, "192.0.2.8": false, "198.51.100.1": false, "127.0.0.1": true, "2001:db8::1": false} {
		if a.Admits(netip.MustParseAddr(addr)) != want {
			t.Errorf("%s: %v", addr, !want)
		}
	}
}

// Log-ins, links and reloads at once: for the race detector, and nobody who may is ever refused.
func TestEverythingAtOnce(t *testing.T) {
	token, hash := NewToken()
	c := &config.Config{Access: config.Access{Tokens: map[string]config.TokenLogin{"a": {Hash: hash, Role: "admin", Expires: inAnHour()}}}}
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				if _, err := a.Token(far, follow(t, a, token, api.Operator)); err != nil {
					t.Errorf("a session is refused: %v", err)
				}
				commit, err := a.Prepare(c)
				if err != nil {
					t.Error(err)
					return
				}
				commit()
			}
		})
	}
	all.Wait()
}

// Whatever is shown as a token, only the one whose hash is known lets in, and a refusal tells nothing of it.
func FuzzToken(f *testing.F) {
	token, hash := NewToken()
	cfg := config.Access{Tokens: map[string]config.TokenLogin{"x": {Hash: hash, Role: "admin", Expires: inAnHour()}}}
	for _, s := range []string{token, token + "=", " " + token, strings.ToLower(token), sessionPrefix, oncePrefix + "x", hash, "", "\x00", strings.Repeat("a", maxToken+1)} {
		f.Add(s)
	}
	a, err := New(&config.Config{Access: cfg})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, shown string) {
		who, err := a.Token(far, shown)
		if (err == nil) != (shown == token) || (err != nil) != (who.Role == api.Anonymous) {
			t.Fatalf("%q: %+v, %v", shown, who, err)
		}
		if _, again := a.Redeem(far, shown); again == nil {
			t.Fatalf("%q is a link", shown)
		}
		if kind := api.KindOf(err); err != nil && kind != api.Unknown && kind != api.TooMany || err != nil && len(err.Error()) > 200 {
			t.Fatalf("%q: %v", shown, err)
		}
	})
}

// Whatever certificate is shown, who is let in by a fingerprint has it, and by a name has an authority that we know.
func FuzzCertificate(f *testing.F) {
	ours := newAuthority(f)
	good, _ := ours.issue(f, func(c *x509.Certificate) { c.DNSNames = []string{"alice.example"} })
	pinned, _ := (&authority{}).issue(f, func(c *x509.Certificate) { c.DNSNames = []string{"alice.example"} })
	p, err := newPolicy(&config.Access{Certificates: map[string]config.CertificateLogin{
		"pinned": {Fingerprint: fingerprint(pinned), Role: "admin"}, "name": {SAN: "alice.example", Role: "monitor"},
	}})
	if err != nil {
		f.Fatal(err)
	}
	p.clients = x509.NewCertPool()
	p.clients.AddCert(ours.cert)
	f.Add(good.Raw)
	f.Add(pinned.Raw)
	f.Add(ours.cert.Raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		who, err := p.certificate([]*x509.Certificate{c}, moment{time.Now(), true})
		switch {
		case err != nil && (who.Role != api.Anonymous || len(err.Error()) > 500 || strings.ContainsFunc(err.Error(), unicode.IsControl)):
			t.Fatalf("%+v, %q", who, err)
		case err == nil && who.Role == api.Admin && !bytes.Equal(c.Raw, pinned.Raw):
			t.Fatal("another certificate has the fingerprint")
		case err == nil && who.Role == api.Monitor && !bytes.Equal(c.RawTBSCertificate, good.RawTBSCertificate):
			t.Fatalf("our authority has not signed %x", der)
		}
	})
}

// What every request of a logged-in caller costs.
func BenchmarkToken(b *testing.B) {
	token, hash := NewToken()
	tokens := map[string]config.TokenLogin{"x": {Hash: hash, Role: "monitor", Expires: inAnHour()}}
	for i := range 31 {
		_, other := NewToken()
		tokens[strings.Repeat("y", i+1)] = config.TokenLogin{Hash: other, Role: "monitor", Expires: inAnHour()}
	}
	a, err := New(&config.Config{Access: config.Access{Tokens: tokens}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		who, err := a.Token(far, token)
		if err != nil || !a.Still(who) {
			b.Fatal(err)
		}
	}
}

func TestStillCostsNoMemory(t *testing.T) {
	token, hash := NewToken()
	a := open(t, config.Access{Tokens: map[string]config.TokenLogin{"x": {Hash: hash, Role: "monitor", Expires: inAnHour()}}})
	who, err := a.Token(far, token)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { a.Still(who) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// What every request on a connection with a certificate costs.
func BenchmarkCertificate(b *testing.B) {
	ours := newAuthority(b)
	leaf, _ := ours.issue(b, func(c *x509.Certificate) { c.DNSNames = []string{"alice.example"} })
	p, err := newPolicy(&config.Access{Certificates: map[string]config.CertificateLogin{"x": {SAN: "alice.example", Role: "monitor"}}})
	if err != nil {
		b.Fatal(err)
	}
	p.clients = x509.NewCertPool()
	p.clients.AddCert(ours.cert)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.certificate([]*x509.Certificate{leaf}, moment{time.Now(), true}); err != nil {
			b.Fatal(err)
		}
	}
}
