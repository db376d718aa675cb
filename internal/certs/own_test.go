package certs

import (
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

// private is what ntptsd init makes: a root, and below it an authority for some servers.
func private(t *testing.T, names ...string) (cfg *config.Config, root *x509.CertPool) {
	t.Helper()
	ca, rootPEM, err := NewAuthority("root", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.ServerAuthority("servers", names, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	put := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	root = x509.NewCertPool()
	root.AppendCertsFromPEM(rootPEM.Certificate)
	cfg = config.Default()
	cfg.StateDirectory = filepath.Join(dir, "state")
	cfg.KeyExchange = &config.KeyExchange{Certificate: config.Authority}
	cfg.Certs.Authority = &config.AuthorityCerts{Names: names, Certificate: put("ca.pem", server.Certificate), Key: put("ca.key", server.Key),
		Life: config.Duration(day)}
	return cfg, root
}

// verify is what a client makes of the chain that is served.
func verify(t *testing.T, f *Files, roots *x509.CertPool, name string, at time.Time) error {
	t.Helper()
	chain := f.current.Load().pairs[0].certificate.Certificate
	between := x509.NewCertPool()
	for _, der := range chain[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		between.AddCert(c)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		t.Fatal(err)
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: name, CurrentTime: at})
	return err
}

func TestOwnAuthorityRenewsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, root := private(t, "time.example.org", "192.0.2.1", "2001:db8::1", "localhost")
		f, _ := start(t, cfg, nil, nil)
		before := only(t, f) // at once
		if before.State != api.CertificateValid || before.Source != api.CertificateAuthority {
			t.Fatalf("%+v", before)
		}
		for _, n := range []string{"time.example.org", "192.0.2.1", "2001:db8::1", "localhost"} {
			if err := verify(t, f, root, n, time.Now()); err != nil {
				t.Errorf("%s: %v", n, err)
			}
		}
		os.Remove(cfg.Certs.Authority.Key) // a renewal needs nothing but memory
		time.Sleep(time.Until(*before.RenewAt))
		settle()
		after := only(t, f)
		if after.Fingerprint == before.Fingerprint || after.DaysLeft < 0.9 {
			t.Errorf("%+v", after)
		}
		if err := verify(t, f, root, "time.example.org", time.Now()); err != nil {
			t.Error(err)
		}
	})
}

// Clients on the clock before a false jump, and after it, take the certificate that was made then.
func TestOwnAuthorityAndAClockThatJumped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, root := private(t, "time.example.org")
		clock := &clockOf{ok: true}
		f, _ := start(t, cfg, nil, clock)
		settle()
		truth, before := time.Now(), only(t, f)
		clock.set(false)
		time.Sleep(20 * time.Hour)
		settle()
		if got := only(t, f); got.Fingerprint != before.Fingerprint || got.State != api.CertificateWaiting {
			t.Errorf("while the old one is good by every clock: %+v", got)
		}
		time.Sleep(8 * time.Hour)
		settle()
		if got := only(t, f); got.Fingerprint == before.Fingerprint {
			t.Fatalf("it has ended by our clock: %+v", got)
		}
		for _, at := range []time.Time{truth, time.Now()} {
			if err := verify(t, f, root, "time.example.org", at); err != nil {
				t.Errorf("at %v: %v", at, err)
			}
		}
	})
}

// A start without a battery: 1970, and no certificate.
func TestOwnAuthorityBeforeItWasMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, _ := private(t, "time.example.org")
		made := time.Now() // the clock of the bubble cannot go back, so the authority is made in the future
		ca, rootPEM, _ := NewAuthority("root", made.Add(1000*day))
		later, _ := ca.ServerAuthority("servers", []string{"time.example.org"}, made.Add(1000*day))
		os.WriteFile(cfg.Certs.Authority.Certificate, later.Certificate, 0o600)
		os.WriteFile(cfg.Certs.Authority.Key, later.Key, 0o600)
		root := x509.NewCertPool()
		root.AppendCertsFromPEM(rootPEM.Certificate)
		f, _ := start(t, cfg, nil, &clockOf{})
		settle()
		if got := only(t, f); got.State != api.CertificateNotYetValid {
			t.Errorf("%+v", got)
		}
		served(t, f, "time.example.org")
		if err := verify(t, f, root, "time.example.org", made.Add(1000*day+12*time.Hour)); err != nil {
			t.Error(err)
		}
	})
}

func TestServerAuthorityCanDoNothingElse(t *testing.T) {
	now := time.Now()
	ca, rootPEM, err := NewAuthority("root", now)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := ca.ServerAuthority("servers", []string{"time.example.org"}, now)
	if err != nil {
		t.Fatal(err)
	}
	server, err := ParseAuthority(issued.Certificate, issued.Key)
	if err != nil {
		t.Fatal(err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(rootPEM.Certificate)
	between.AppendCertsFromPEM(issued.Certificate)
	for _, c := range []struct {
		what  string
		use   Use
		names []string
		good  bool
	}{
		{"its server", ForServer, []string{"time.example.org"}, true},
		{"another server", ForServer, []string{"mail.example.org"}, false},
		{"an address", ForServer, []string{"192.0.2.1"}, false},
		{"an IPv6 address", ForServer, []string{"2001:db8::1"}, false},
		{"an operator", ForClient, []string{"operator"}, false},
		{"an operator of its name", ForClient, []string{"time.example.org"}, false},
	} {
		made, err := server.Issue(c.use, c.names, now)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(made.Certificate)
		leaf, _ := x509.ParseCertificate(block.Bytes)
		usage := x509.ExtKeyUsageServerAuth
		if c.use == ForClient {
			usage = x509.ExtKeyUsageClientAuth
		}
		_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}})
		if (err == nil) != c.good {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestClientAuthorityCanBeNoServer(t *testing.T) {
	ca, rootPEM, err := NewAuthority("root", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	issued, err := ca.ClientAuthority("clients", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	clients, err := ParseAuthority(issued.Certificate, issued.Key)
	if err != nil {
		t.Fatal(err)
	}
	if !clients.Certifies(ForClient) || clients.Certifies(ForServer) || !ca.Certifies(ForClient) {
		t.Error("it does not know what it is for")
	}
	if _, err := clients.ClientAuthority("below", time.Now()); err == nil {
		t.Error("it makes another authority")
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(rootPEM.Certificate)
	for use, good := range map[Use]x509.ExtKeyUsage{ForClient: x509.ExtKeyUsageClientAuth, ForServer: x509.ExtKeyUsageServerAuth} {
		made, err := clients.Issue(use, []string{"alice"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		p, err := newPair(config.Pair{}, made.Certificate, made.Key)
		if err != nil {
			t.Fatal(err)
		}
		between := x509.NewCertPool()
		between.AppendCertsFromPEM(made.Certificate)
		_, err = p.certificate.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{good}})
		if (err == nil) != (use == ForClient) {
			t.Errorf("use %d: %v", use, err)
		}
	}
}

func TestAuthorityThatMayNotIsRefusedAtOnce(t *testing.T) {
	cfg, _ := private(t, "time.example.org")
	for what, change := range map[string]func(a *config.AuthorityCerts){
		"no client would take": func(a *config.AuthorityCerts) { a.Names = []string{"other.example.org"} },
		"no such file":         func(a *config.AuthorityCerts) { a.Key += ".gone" },
		"are no pair":          func(a *config.AuthorityCerts) { a.Key = a.Certificate },
		"is no authority's":    func(a *config.AuthorityCerts) { a.Certificate, a.Key = leafFiles(t) },
	} {
		next := *cfg
		a := *cfg.Certs.Authority
		change(&a)
		next.Certs.Authority = &a
		if _, err := Open(&next, Resources{}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
		if errs := Check(&next, nil); len(errs) != 1 {
			t.Errorf("%s: check tells %v", what, errs)
		}
	}
}

func leafFiles(t *testing.T) (certificate, key string) {
	t.Helper()
	bundle := bundleFor(t, time.Hour, "time.example.org")
	path := filepath.Join(t.TempDir(), "leaf.pem")
	if err := os.WriteFile(path, bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, path
}
