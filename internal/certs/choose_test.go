package certs

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"testing"
	"time"
)

func TestGetCertificateByName(t *testing.T) {
	now := time.Now()
	_, edwards, _ := ed25519.GenerateKey(rand.Reader)
	first, other, wild := valid(t, "First.example"), valid(t, "other.example", "second.example"), valid(t, "*.wild.example")
	otherEdwards := issue(t, edwards, now.Add(-time.Hour), now.Add(time.Hour), "other.example")
	dir := folder(t.TempDir())
	files := open(t, new(logged), dir.put(t, "first", first), dir.put(t, "other", other),
		dir.put(t, "wild", wild), dir.put(t, "edwards", otherEdwards))

	ed := []tls.SignatureScheme{tls.Ed25519}
	tests := []struct {
		name    string
		schemes []tls.SignatureScheme
		want    issued
	}{
		{"first.example", nil, first},
		{"OTHER.example", nil, other},
		{"other.example.", nil, other},
		{"second.example", nil, other},
		{"other.example", ed, otherEdwards},
		{"a.wild.example", nil, wild},
		{"a.b.wild.example", nil, first},
		{"wild.example", nil, first},
		{"", nil, first},
		{"", ed, otherEdwards},
		{"192.0.2.1", nil, first},
		{"unknown.example", nil, first},
		{"unknown.example", ed, otherEdwards},
		{"localhost", nil, first},
		{"second.example", ed, other}, // none fits: the handshake will say so
	}
	for _, test := range tests {
		if got := served(t, files, test.name, test.schemes...); !bytes.Equal(got, test.want.certificate) {
			t.Errorf("%q with %v gets the wrong certificate", test.name, test.schemes)
		}
	}
}

func TestNoCertificateIsAnError(t *testing.T) {
	files := open(t, new(logged))
	if _, err := files.GetCertificate(&tls.ClientHelloInfo{}); err == nil {
		t.Error("a certificate out of nothing")
	}
}
