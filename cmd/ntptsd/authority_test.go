package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crypto/x509"
	"encoding/pem"

	"github.com/ntptsd/ntptsd/internal/certs"
	"github.com/ntptsd/ntptsd/internal/config"
)

// The authority is the one of [certs.authority], or what init has left beside client-ca; who has neither is told what to do.
func TestClientAuthoritySigns(t *testing.T) {
	now := time.Now()
	_, root, err := certs.NewAuthority("test", now)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := func(name string, content []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	ca, key := path("ca.pem", root.Certificate), path("ca.key", root.Key)
	bare := path("alone.pem", root.Certificate)
	for _, c := range []struct {
		what string
		cfg  config.Config
		want string
	}{
		{"init", config.Config{Access: config.Access{ClientCA: ca}}, ""},
		{"own", config.Config{Certs: config.Certs{Authority: &config.AuthorityCerts{Certificate: ca, Key: key}}, Access: config.Access{ClientCA: bare}}, ""},
		{"none", config.Config{}, "ntptsd init makes one"},
		{"no key", config.Config{Access: config.Access{ClientCA: bare}}, "or sign where the key is"},
		{"no pair", config.Config{Certs: config.Certs{Authority: &config.AuthorityCerts{Certificate: key, Key: ca}}}, "no pair"},
		{"a folder", config.Config{Access: config.Access{ClientCA: dir}}, "must be a file"},
	} {
		a := clientAuthority{func() *config.Config { return &c.cfg }}
		certificate, private, err := a.IssueClient("alice", now.Add(time.Hour))
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", c.what, err)
			}
			continue
		}
		if err != nil || len(private) == 0 {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		block, _ := pem.Decode(certificate)
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(root.Certificate)
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil || leaf.NotAfter.After(now.Add(time.Hour)) {
			t.Errorf("%s: %v, until %v", c.what, err, leaf.NotAfter)
		}
	}
}
