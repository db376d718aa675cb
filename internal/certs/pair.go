package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

// maxFile bounds a PEM file: a path that names a disk image by mistake must not become memory.
const maxFile = 1 << 20

// pair is a certificate with its key as it was loaded. Immutable.
type pair struct {
	files       config.Pair
	certificate *tls.Certificate
	loose       bool // others may read or change the key file
}

// load reads and checks a pair. Its errors name the file and what to do.
func load(files config.Pair) (*pair, error) {
	chain, _, err := read(files.Certificate)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	key, mode, err := read(files.Key)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	defer clear(key)
	p, err := newPair(files, chain, key)
	if err != nil {
		return nil, err
	}
	p.loose = mode.Perm()&0o026 != 0
	if err := prove(p, nil, time.Time{}); err != nil {
		return nil, fmt.Errorf("certificate %s: a client of our own, which tried it first, refused it: %w", files.Certificate, err)
	}
	return p, nil
}

// newPair checks a chain and its key, both PEM.
func newPair(files config.Pair, chain, key []byte) (*pair, error) {
	c, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s and key %s are no pair: %v; put both files of one issue there, as PEM, the certificate with its chain",
			files.Certificate, files.Key, err)
	}
	if err := whole(chain, &c); err != nil {
		return nil, fmt.Errorf("certificate %s: %w; put the whole chain there, as PEM", files.Certificate, err)
	}
	if !servesTLS13(&c) {
		return nil, fmt.Errorf("certificate %s: TLS 1.3 cannot sign with its kind of key; use ECDSA P-256, P-384, Ed25519 or RSA from 2048 bits",
			files.Certificate)
	}
	return &pair{files: files, certificate: &c}, nil
}

func read(name string) ([]byte, os.FileMode, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, 0, fmt.Errorf("%w; put it there or correct its path in the configuration", err)
	case err != nil:
		return nil, 0, fmt.Errorf("%w; make it readable for the user that ntptsd runs as", err)
	case !info.Mode().IsRegular(): // to open a pipe would wait for ever
		return nil, 0, fmt.Errorf("%s is not a regular file; name a PEM file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, fmt.Errorf("%w; make it readable for the user that ntptsd runs as", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s is larger than %d octets; name a PEM file", name, maxFile)
	}
	return b, info.Mode(), err
}

// whole tells whether all of the chain is there: crypto/tls parses the leaf only, and skips what is cut off behind it.
func whole(text []byte, c *tls.Certificate) error {
	blocks := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		blocks++
	}
	if begun := bytes.Count(text, []byte("-----BEGIN")); begun != blocks {
		return fmt.Errorf("of %d PEM blocks only %d are whole", begun, blocks)
	}
	for i, der := range c.Certificate {
		if _, err := x509.ParseCertificate(der); err != nil {
			return fmt.Errorf("number %d of the chain: %w", i+1, err)
		}
	}
	return nil
}

// servesTLS13 asks crypto/tls whether a client that takes every signature could be served.
func servesTLS13(c *tls.Certificate) bool {
	return (&tls.ClientHelloInfo{
		SupportedVersions: []uint16{tls.VersionTLS13},
		SignatureSchemes: []tls.SignatureScheme{
			tls.ECDSAWithP256AndSHA256, tls.ECDSAWithP384AndSHA384, tls.ECDSAWithP521AndSHA512, tls.Ed25519, tls.PSSWithSHA256,
		},
	}).SupportsCertificate(c) == nil
}

// names are what a client may call this pair, in lower case; a wildcard begins with "*.".
func (p *pair) names() []string {
	names := make([]string, 0, len(p.certificate.Leaf.DNSNames))
	for _, name := range p.certificate.Leaf.DNSNames {
		names = append(names, strings.ToLower(name))
	}
	return names
}

// validity says why a client should not accept the pair now. It is never a reason of ours to refuse: the clock may be
// what is wrong, and it is we who could correct it.
func (p *pair) validity(now time.Time) string {
	switch leaf := p.certificate.Leaf; {
	case now.Before(leaf.NotBefore):
		return "not yet valid"
	case now.After(leaf.NotAfter):
		return "expired"
	}
	return ""
}

// stamp is what a look at both files tells without reading them; nil for a file that cannot be seen.
type stamp struct{ certificate, key os.FileInfo }

func look(files config.Pair) stamp {
	certificate, _ := os.Stat(files.Certificate)
	key, _ := os.Stat(files.Key)
	return stamp{certificate, key}
}

func (s stamp) equal(t stamp) bool {
	return unchanged(s.certificate, t.certificate) && unchanged(s.key, t.key)
}

func unchanged(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
