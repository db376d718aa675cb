package certs

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

func TestAuthorityIssues(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	ca, root, err := NewAuthority("test CA", now)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(root.Certificate) {
		t.Fatal("the authority's certificate is not PEM")
	}
	server, err := ca.Issue(ForServer, []string{"time.example.net", "192.0.2.1", "2001:db8::1"}, now)
	if err != nil {
		t.Fatal(err)
	}
	client, err := ca.Issue(ForClient, []string{"operator"}, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		leaf Issued
		dns  string
		use  x509.ExtKeyUsage
		when time.Time
		ok   bool
	}{
		{"by name", server, "time.example.net", x509.ExtKeyUsageServerAuth, now, true},
		{"by IPv4 address", server, "192.0.2.1", x509.ExtKeyUsageServerAuth, now, true},
		{"by IPv6 address", server, "2001:db8::1", x509.ExtKeyUsageServerAuth, now, true},
		{"a client half an hour behind", server, "time.example.net", x509.ExtKeyUsageServerAuth, now.Add(-30 * time.Minute), true},
		{"another name", server, "other.example.net", x509.ExtKeyUsageServerAuth, now, false},
		{"a server is no client", server, "time.example.net", x509.ExtKeyUsageClientAuth, now, false},
		{"the operator", client, "operator", x509.ExtKeyUsageClientAuth, now, true},
		{"the operator is no server", client, "operator", x509.ExtKeyUsageServerAuth, now, false},
		{"after its end", server, "time.example.net", x509.ExtKeyUsageServerAuth, now.Add(LeafLife + time.Second), false},
	} {
		pair, err := tls.X509KeyPair(c.leaf.Certificate, c.leaf.Key)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		_, err = pair.Leaf.Verify(x509.VerifyOptions{
			Roots: roots, DNSName: c.dns, CurrentTime: c.when, KeyUsages: []x509.ExtKeyUsage{c.use},
		})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := ca.Issue(ForServer, nil, now); err == nil {
		t.Error("a certificate without a name was issued")
	}
}

func TestLongNamesFitTheSubject(t *testing.T) {
	long := strings.Repeat("a", 60) + ".example.net"
	ca, root, err := NewAuthority("private CA of "+long, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Issue(ForServer, []string{long}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []Issued{root, leaf} {
		pair, err := tls.X509KeyPair(i.Certificate, i.Key)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(pair.Leaf.Subject.CommonName); n != maxCommonName {
			t.Errorf("a common name of %d octets, want %d", n, maxCommonName)
		}
	}
}

func TestAuthoritySignsLeavesOnly(t *testing.T) {
	now := time.Now()
	_, root, err := NewAuthority("test CA", now)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(root.Certificate, root.Key)
	if err != nil {
		t.Fatal(err)
	}
	if c := pair.Leaf; !c.IsCA || c.MaxPathLen != 1 || c.KeyUsage&x509.KeyUsageCertSign == 0 {
		t.Errorf("the root: CA %v, path length %d, usage %b", c.IsCA, c.MaxPathLen, c.KeyUsage)
	}
}
