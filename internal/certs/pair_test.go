package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

// issued is a certificate with its key, both PEM, made for one test.
type issued struct{ certificate, key []byte }

func issue(t *testing.T, key crypto.Signer, from, until time.Time, names ...string) issued {
	t.Helper()
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{SerialNumber: serial, NotBefore: from, NotAfter: until, DNSNames: names}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return issued{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

func ecdsaKey(t *testing.T, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func valid(t *testing.T, names ...string) issued {
	t.Helper()
	now := time.Now()
	return issue(t, ecdsaKey(t, elliptic.P256()), now.Add(-time.Hour), now.Add(time.Hour), names...)
}

func write(t *testing.T, name string, b []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, b, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

// folder is where a test keeps pairs, by name.
type folder string

func (f folder) pair(name string) config.Pair {
	return config.Pair{
		Certificate: filepath.Join(string(f), name+".pem"),
		Key:         filepath.Join(string(f), name+".key"),
	}
}

func (f folder) put(t *testing.T, name string, c issued) config.Pair {
	t.Helper()
	p := f.pair(name)
	write(t, p.Certificate, c.certificate, 0o644)
	write(t, p.Key, c.key, 0o600)
	return p
}

func TestOpenFilesNamesEverythingThatIsWrong(t *testing.T) {
	dir := folder(t.TempDir())
	a, b := valid(t, "a.example"), valid(t, "b.example")
	now := time.Now()
	spoilt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no certificate")})
	tests := []struct {
		name string
		pair issued
		want []string
	}{
		{"mismatch", issued{a.certificate, b.key}, []string{"mismatch.pem", "mismatch.key", "no pair"}},
		{"text", issued{[]byte("hello"), a.key}, []string{"text.pem"}},
		{"empty", issued{a.certificate, nil}, []string{"empty.key"}},
		{"large", issued{make([]byte, maxFile+1), a.key}, []string{"large.pem", "larger than"}},
		{"cut", issued{append(bytes.Clone(a.certificate), b.certificate[:300]...), a.key}, []string{"cut.pem", "of 2 PEM blocks only 1"}},
		{"spoilt", issued{append(bytes.Clone(a.certificate), spoilt...), a.key}, []string{"spoilt.pem", "number 2 of the chain"}},
		{"p224", issue(t, ecdsaKey(t, elliptic.P224()), now, now.Add(time.Hour), "c.example"), []string{"p224.pem", "P-256"}},
	}
	var pairs []config.Pair
	want := []string{"missing.pem", "no such file", "put it there", "not a regular file"}
	for _, test := range tests {
		pairs = append(pairs, dir.put(t, test.name, test.pair))
		want = append(want, test.want...)
	}
	pairs = append(pairs, dir.pair("missing"), config.Pair{Certificate: string(dir), Key: string(dir)})
	_, err := OpenFiles(pairs, slog.New(slog.DiscardHandler))
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in:\n%v", part, err)
		}
	}
}

func TestALooseKeyIsAWarning(t *testing.T) {
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: false, 0o660: true, 0o644: true, 0o602: true} {
		dir, log := folder(t.TempDir()), new(logged)
		pair := dir.put(t, "a", valid(t, "ntp.example"))
		if err := os.Chmod(pair.Key, mode); err != nil {
			t.Fatal(err)
		}
		open(t, log, pair)
		if got := strings.Contains(log.String(), "level=WARN"); got != want {
			t.Errorf("mode %o: warned is %v:\n%s", mode, got, log)
		}
	}
}
