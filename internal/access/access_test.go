package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

var (
	far  = netip.MustParseAddr("192.0.2.7")
	here = netip.MustParseAddr("127.0.0.1")
)

// authority signs certificates for the tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key = a.issue(t, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	return a
}

// issue makes a client's certificate, changed as the test wants; without an authority it signs itself.
func (a *authority) issue(t testing.TB, change func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "alice.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if change != nil {
		change(template)
	}
	parent, signer := template, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// file is where a configuration finds it.
func (a *authority) file(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func shown(c *x509.Certificate) *tls.ConnectionState {
	return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}}
}

func open(t *testing.T, c config.Access) *Access {
	t.Helper()
	a, err := New(&config.Config{Access: c})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

func TestCertificates(t *testing.T) {
	ours, foreign := newAuthority(t), newAuthority(t)
	alone, _ := (&authority{}).issue(t, nil)
	pinned, _ := foreign.issue(t, nil)
	c := config.Access{ClientCA: ours.file(t), Certificates: map[string]config.CertificateLogin{
		"dns":    {SAN: "alice.example", Role: "monitor"},
		"mail":   {SAN: "bob@example.org", Role: "operator", Only: []string{"metrics", "keys rotate"}},
		"uri":    {SAN: "spiffe://example/ntp", Role: "admin"},
		"ip":     {SAN: "192.0.2.9", Role: "monitor"},
		"pinned": {Fingerprint: strings.ToUpper(fingerprint(pinned)), Role: "admin"},
		"alone":  {Fingerprint: fingerprint(alone), Role: "monitor"},
	}}
	a := open(t, c)
	names := func(change func(*x509.Certificate)) func(*x509.Certificate) { return change }
	for name, c := range map[string]struct {
		of     *authority
		change func(*x509.Certificate)
		cert   *x509.Certificate
		want   string // name of the caller; empty: refused
		why    string
	}{
		"dns":              {of: ours, change: names(func(c *x509.Certificate) { c.DNSNames = []string{"x.example", "Alice.example"} }), want: "certificate dns"},
		"mail":             {of: ours, change: names(func(c *x509.Certificate) { c.EmailAddresses = []string{"bob@example.org"} }), want: "certificate mail"},
		"uri":              {of: ours, change: names(func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "spiffe", Host: "example", Path: "/ntp"}} }), want: "certificate uri"},
		"address":          {of: ours, change: names(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 9)} }), want: "certificate ip"},
		"pinned":           {cert: pinned, want: "certificate pinned"},
		"signed by itself": {cert: alone, want: "certificate alone"},
		"common name":      {of: ours, why: "your certificate does not count here"},
		"foreign":          {of: foreign, change: names(func(c *x509.Certificate) { c.DNSNames = []string{"alice.example"} }), why: "your certificate does not count here"},
		"for servers": {of: ours, change: names(func(c *x509.Certificate) {
			c.DNSNames, c.ExtKeyUsage = []string{"alice.example"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), why: "your certificate does not count here"},
		"ended": {of: ours, change: names(func(c *x509.Certificate) {
			c.DNSNames, c.NotBefore, c.NotAfter = []string{"alice.example"}, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		}), why: "your certificate is good from"},
		"wildcard": {of: ours, change: names(func(c *x509.Certificate) { c.DNSNames = []string{"*.example"} }), why: "your certificate does not count here"},
	} {
		if c.cert == nil {
			c.cert, _ = c.of.issue(t, c.change)
		}
		for range 2 { // remembered, too
			who, err := a.Connection(far, shown(c.cert))
			switch {
			case c.want != "" && (err != nil || who.Name != c.want || !a.Still(who) || who.Until != c.cert.NotAfter):
				t.Errorf("%s: %+v, %v", name, who, err)
			case c.want == "" && (api.KindOf(err) != api.Unknown || who.Role != api.Anonymous || !strings.Contains(err.Error(), c.why)):
				t.Errorf("%s: %+v, %v, want %q", name, who, err, c.why)
			}
		}
	}
	if auth, pool := a.ClientCertificates(); auth != tls.RequestClientCert || pool != nil {
		t.Errorf("with fingerprints of any authority: %v, %v", auth, pool)
	}
}

func TestWhoShowsNothing(t *testing.T) {
	for _, c := range []struct {
		loopback string
		from     netip.Addr
		want     api.Role
	}{
		{"anonymous", here, api.Anonymous},
		{"monitor", here, api.Monitor},
		{"monitor", netip.MustParseAddr("::1"), api.Monitor},
		{"monitor", netip.MustParseAddr("::ffff:127.0.0.1"), api.Monitor},
		{"monitor", far, api.Anonymous},
	} {
		a := open(t, config.Access{Loopback: c.loopback})
		who, err := a.Connection(c.from, nil)
		if err != nil || who.Role != c.want || !a.Still(who) {
			t.Errorf("%s from %v: %+v, %v", c.loopback, c.from, who, err)
		}
		if auth, _ := a.ClientCertificates(); auth != tls.NoClientCert {
			t.Errorf("certificates are asked for, which nobody could have: %v", auth)
		}
	}
}

func TestTokens(t *testing.T) {
	token, hash := NewToken()
	if len(token) != len(tokenPrefix)+43 || !strings.HasPrefix(token, tokenPrefix) {
		t.Fatalf("token %q", token)
	}
	ended, endedHash := NewToken()
	near, nearHash := NewToken()
	a := open(t, config.Access{Tokens: map[string]config.TokenLogin{
		"good":  {Hash: hash, Role: "monitor", Only: []string{"metrics"}, Expires: config.Time(time.Now().Add(time.Hour))},
		"ended": {Hash: strings.ToUpper(endedHash), Role: "admin", Expires: config.Time(time.Now().Add(-time.Second))},
		"near":  {Hash: nearHash, Role: "operator", Expires: config.Time(time.Now().Add(time.Hour)), From: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	}})
	who, err := a.Token(far, token)
	if err != nil || who.Name != "token good" || who.Role != api.Monitor || len(who.Only) != 1 || !a.Still(who) {
		t.Errorf("%+v, %v", who, err)
	}
	if who, err := a.Token(netip.MustParseAddr("::ffff:127.0.0.1"), near); err != nil || who.Role != api.Operator {
		t.Errorf("%+v, %v", who, err)
	}
	for name, bad := range map[string]string{"ended": ended, "elsewhere": near, "none": "", "prefix alone": tokenPrefix, "longer": token + "x",
		"shorter": token[:len(token)-1], "huge": strings.Repeat(token, 1000), "hash": hash, "session": sessionPrefix, "link": oncePrefix} {
		a.failures = NewLimiter(failEvery, failBurst, failEntries)
		if who, err := a.Token(far, bad); api.KindOf(err) != api.Unknown || who.Role != api.Anonymous {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
}

// Guesses are slowed down, and never keep a good token of the same network out.
func TestGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token, hash := NewToken()
		a := open(t, config.Access{Tokens: map[string]config.TokenLogin{"good": {Hash: hash, Role: "monitor", Expires: config.Time(time.Now().Add(time.Hour))}}})
		kinds := map[api.Kind]int{}
		for range 100 {
			_, err := a.Token(far, tokenPrefix+"guess")
			kinds[api.KindOf(err)]++
			if _, err := a.Token(far, token); err != nil {
				t.Fatalf("a good token is kept out: %v", err)
			}
		}
		if kinds[api.Unknown] != failBurst || kinds[api.TooMany] != 100-failBurst {
			t.Errorf("%v", kinds)
		}
		if _, err := a.Token(netip.MustParseAddr("192.0.2.8"), "x"); api.KindOf(err) != api.Unknown {
			t.Errorf("another network pays for it: %v", err)
		}
		time.Sleep(failEvery)
		if _, err := a.Token(far, "x"); api.KindOf(err) != api.Unknown {
			t.Errorf("after a while: %v", err)
		}
	})
}

func TestLinksWorkOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, config.Access{})
		root := api.Caller{Role: api.Admin, Name: "uid 0"}
		once, until, err := a.Link(root, api.Operator)
		if err != nil || time.Until(until) != linkLife {
			t.Fatal(until, err)
		}
		if _, err := a.Token(far, once); err == nil {
			t.Error("a link is a token")
		}
		s, err := a.Redeem(far, once)
		if err != nil || s.Role != "operator" || s.Name != "link of uid 0" {
			t.Fatalf("%+v, %v", s, err)
		}
		if _, err := a.Redeem(far, once); api.KindOf(err) != api.Unknown {
			t.Errorf("a second time: %v", err)
		}
		who, err := a.Token(far, s.Token)
		if err != nil || who.Role != api.Operator || !a.Still(who) {
			t.Errorf("%+v, %v", who, err)
		}
		late, _, err := a.Link(root, api.Monitor)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(linkLife)
		if _, err := a.Redeem(far, late); err == nil {
			t.Error("an old link works")
		}
		time.Sleep(sessionLife - linkLife)
		if a.Still(who) || a.sessions.count() != 0 {
			t.Error("a session that has ended counts")
		}
		if _, err := a.Token(far, s.Token); err == nil {
			t.Error("an old session works")
		}
	})
}

// A token that counts from somewhere only lets nobody in from elsewhere by its links.
func TestLinksAreForTheNetworksOfTheirMaker(t *testing.T) {
	token, hash := NewToken()
	there := netip.MustParseAddr("203.0.113.7")
	a := open(t, config.Access{Tokens: map[string]config.TokenLogin{"a": {Hash: hash, Role: "operator", Expires: config.Time(time.Now().Add(time.Hour)),
		From: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}}})
	who, err := a.Token(there, token)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		once, _, err := a.Link(who, api.Monitor)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Redeem(far, once); err == nil {
			t.Error("a link is followed from elsewhere")
		}
	}
	once, _, err := a.Link(who, api.Monitor)
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.Redeem(there, once)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Token(there, s.Token); err != nil {
		t.Error(err)
	}
	if who, err := a.Token(far, s.Token); err == nil {
		t.Errorf("a session goes on elsewhere: %+v", who)
	}
}

func TestReloadThatDeniesEndsConnections(t *testing.T) {
	token, hash := NewToken()
	access := config.Access{Tokens: map[string]config.TokenLogin{"a": {Hash: hash, Role: "operator", Expires: config.Time(time.Now().Add(time.Hour))}}}
	a := open(t, access)
	who, err := a.Token(far, token)
	if err != nil {
		t.Fatal(err)
	}
	who.From = far
	access.Deny = []netip.Prefix{netip.PrefixFrom(far, far.BitLen())}
	commit, err := a.Prepare(&config.Config{Access: access})
	if err != nil {
		t.Fatal(err)
	}
	if commit(); a.Still(who) {
		t.Error("who is denied goes on")
	}
}

func TestLinksAreNoMoreThanWhoMakesThem(t *testing.T) {
	a := open(t, config.Access{})
	confined := api.Caller{Role: api.Operator, Name: "x", Only: []string{"login", "metrics"}}
	if _, _, err := a.Link(confined, api.Admin); api.KindOf(err) != api.Denied {
		t.Errorf("an operator makes an admin: %v", err)
	}
	once, _, err := a.Link(confined, api.Operator)
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.Redeem(far, once)
	if err != nil {
		t.Fatal(err)
	}
	if who, _ := a.Token(far, s.Token); len(who.Only) != 2 {
		t.Errorf("the link may more: %+v", who)
	}
}

// A reload logs out who is not in it any more, or may something else, and what they let in.
func TestReloadRevokes(t *testing.T) {
	token, hash := NewToken()
	entry := config.TokenLogin{Hash: hash, Role: "operator", Expires: config.Time(time.Now().Add(time.Hour))}
	_, other := NewToken()
	for name, c := range map[string]struct {
		next  map[string]config.TokenLogin
		still bool
	}{
		"same":         {map[string]config.TokenLogin{"a": entry}, true},
		"and another":  {map[string]config.TokenLogin{"a": entry, "b": {Hash: other, Role: "monitor", Expires: entry.Expires}}, true},
		"longer":       {map[string]config.TokenLogin{"a": {Hash: hash, Role: "operator", Expires: config.Time(time.Now().Add(2 * time.Hour))}}, true},
		"gone":         {nil, false},
		"other role":   {map[string]config.TokenLogin{"a": {Hash: hash, Role: "monitor", Expires: entry.Expires}}, false},
		"other token":  {map[string]config.TokenLogin{"a": {Hash: other, Role: "operator", Expires: entry.Expires}}, false},
		"confined":     {map[string]config.TokenLogin{"a": {Hash: hash, Role: "operator", Only: []string{"metrics"}, Expires: entry.Expires}}, false},
		"nothing left": {map[string]config.TokenLogin{"a": {Hash: hash, Role: "operator", Only: []string{}, Expires: entry.Expires}}, false},
		"ends earlier": {map[string]config.TokenLogin{"a": {Hash: hash, Role: "operator", Expires: config.Time(time.Now().Add(time.Minute))}}, false},
		"another name": {map[string]config.TokenLogin{"b": entry}, false},
		"from there":   {map[string]config.TokenLogin{"a": {Hash: hash, Role: "operator", Expires: entry.Expires, From: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}}, false},
	} {
		a := open(t, config.Access{Tokens: map[string]config.TokenLogin{"a": entry}})
		who, err := a.Token(far, token)
		if err != nil {
			t.Fatal(err)
		}
		once, _, err := a.Link(who, api.Monitor)
		if err != nil {
			t.Fatal(err)
		}
		s, err := a.Redeem(far, once)
		if err != nil {
			t.Fatal(err)
		}
		guest, err := a.Token(far, s.Token)
		if err != nil {
			t.Fatal(err)
		}
		commit, err := a.Prepare(&config.Config{Access: config.Access{Tokens: c.next}})
		if err != nil {
			t.Fatal(err)
		}
		if !a.Still(who) {
			t.Errorf("%s: logged out before the commit", name)
		}
		commit()
		if a.Still(who) != c.still || a.Still(guest) != c.still {
			t.Errorf("%s: still %v, the guest %v, want %v", name, a.Still(who), a.Still(guest), c.still)
		}
		if _, err := a.Token(far, s.Token); (err == nil) != c.still {
			t.Errorf("%s: the guest's session: %v", name, err)
		}
	}
}

// Whose authority is trusted no more is logged out, too: by name, and not where the certificate itself is in the policy.
func TestReloadOfAuthorities(t *testing.T) {
	mine, other := newAuthority(t), newAuthority(t)
	byName, _ := mine.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"alice.example.net"} })
	itself, _ := mine.issue(t, nil)
	logins := map[string]config.CertificateLogin{"alice": {SAN: "alice.example.net", Role: "admin"}, "bob": {Fingerprint: fingerprint(itself), Role: "admin"}}
	c := config.Access{ClientCA: mine.file(t), Certificates: logins}
	a := open(t, c)
	alice, err := a.Connection(far, shown(byName))
	if err != nil {
		t.Fatal(err)
	}
	bob, err := a.Connection(far, shown(itself))
	if err != nil {
		t.Fatal(err)
	}
	for _, next := range []struct {
		ca    string
		alice bool
	}{{c.ClientCA, true}, {mine.file(t), true}, {other.file(t), false}, {mine.file(t), true}} {
		c.ClientCA = next.ca
		commit, err := a.Prepare(&config.Config{Access: c})
		if err != nil {
			t.Fatal(err)
		}
		commit()
		if a.Still(alice) != next.alice || !a.Still(bob) {
			t.Errorf("%s: alice stays %v, bob %v", next.ca, a.Still(alice), a.Still(bob))
		}
	}
}

func TestPolicyThatCannotBe(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]config.Access{
		"no such file":              {ClientCA: "/none/ca.pem"},
		"has no certificate in PEM": {ClientCA: empty},
		`there is no "metric"`:      {Tokens: map[string]config.TokenLogin{"a": {Hash: strings.Repeat("0", 64), Role: "monitor", Only: []string{"metric"}}}},
		"must be monitor, operator": {Tokens: map[string]config.TokenLogin{"a": {Hash: strings.Repeat("0", 64), Role: "anonymous"}}},
		"64 hexadecimal digits":     {Tokens: map[string]config.TokenLogin{"a": {Hash: "00", Role: "admin"}}},
	} {
		if _, err := New(&config.Config{Access: c}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Memory for who is logged in is fixed.
func TestSessionsAreBounded(t *testing.T) {
	a := open(t, config.Access{})
	root := api.Caller{Role: api.Admin, Name: "uid 0"}
	var first string
	for i := range 2 * maxSessions {
		once, _, err := a.Link(root, api.Monitor)
		if err != nil {
			t.Fatal(err)
		}
		s, err := a.Redeem(far, once)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = s.Token
		}
	}
	for range 2 * maxLinks {
		if _, _, err := a.Link(root, api.Monitor); err != nil {
			t.Fatal(err)
		}
	}
	if n, l := len(a.sessions.open), len(a.sessions.links); n != maxSessions || l != maxLinks {
		t.Errorf("%d sessions, %d links", n, l)
	}
	if _, err := a.Token(far, first); err == nil {
		t.Error("the oldest session is still there")
	}
}

// Who makes links without end loses his own, and logs nobody else out.
func TestLinksOfOneEvictNoOthers(t *testing.T) {
	a := open(t, config.Access{})
	link := func(who string) string {
		t.Helper()
		once, _, err := a.Link(api.Caller{Role: api.Operator, Name: who}, api.Monitor)
		if err != nil {
			t.Fatal(err)
		}
		return once
	}
	redeem := func(once string) string {
		t.Helper()
		s, err := a.Redeem(far, once)
		if err != nil {
			t.Fatal(err)
		}
		return s.Token
	}
	session, waiting := redeem(link("token alice")), link("token alice")
	for range 2 * maxSessions {
		redeem(link("token bob"))
	}
	for range 2 * maxLinks {
		link("token bob")
	}
	if _, err := a.Token(far, session); err != nil {
		t.Errorf("her session: %v", err)
	}
	redeem(waiting)
}
