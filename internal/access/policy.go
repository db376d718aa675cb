package access

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

// policy is what a configuration says. Immutable, but for what it remembers of certificates.
type policy struct {
	admitted *Prefixes
	clients  *x509.CertPool     // nil: fingerprints alone
	here     login              // who has shown nothing, but comes from this host
	certs    []certificateLogin // by name
	tokens   []tokenLogin       // by name
	logins   map[string]*login  // all of them by id
	blocked  map[string]bool    // fingerprints of certificates that were revoked, whatever name they have

	verified
}

// login is somebody whom the policy knows.
type login struct {
	id    string // what api.Caller.Login says: all that must be as it was for a caller to stay
	of    string // what it is known by, whatever it may: see shutOut
	name  string
	role  api.Role
	only  []string
	until time.Time // zero: what is shown says when it ends
	used  *atomic.Int64
}

type certificateLogin struct {
	login
	san         string
	fingerprint string // lower-case hexadecimal
}

type tokenLogin struct {
	login
	hash     [sha256.Size]byte
	networks []netip.Prefix
	from     *Prefixes // networks
}

func newPolicy(c *config.Access) (*policy, error) {
	p := &policy{admitted: NewPrefixes(c.Allow, c.Deny)}
	var errs []error
	trusted := ""
	if c.ClientCA != "" {
		pool, sum, err := readAuthorities(c.ClientCA)
		p.clients, trusted = pool, "/"+hex.EncodeToString(sum[:])
		errs = append(errs, err)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Certificates)) {
		l, err := newCertificate(name, c.Certificates[name])
		if l.san != "" { // of whom the authorities say that he is called so
			l.id += trusted
		}
		p.certs, errs = append(p.certs, l), append(errs, err, checkOnly(KindCertificate, name, l.only))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Tokens)) {
		l, err := newTokenLogin(name, c.Tokens[name])
		p.tokens, errs = append(p.tokens, l), append(errs, err, checkOnly(KindToken, name, l.only))
	}
	p.here = login{name: "somebody on this host"}
	if role, _ := api.ParseRole(c.Loopback); role > api.Anonymous {
		p.here.role, p.here.id = role, "loopback/"+role.String()
	}
	return p, errors.Join(errs...)
}

// byFingerprint is how the id of a certificate begins that is known by its SHA-256.
const byFingerprint = "certificate/sha256/"

func newCertificate(name string, c config.CertificateLogin) (certificateLogin, error) {
	l, err := newLogin(KindCertificate, name, c.Role, c.Only)
	fingerprint := strings.ToLower(strings.ReplaceAll(c.Fingerprint, ":", ""))
	l.id += "/" + c.SAN + fingerprint
	if l.of = byFingerprint + fingerprint; c.SAN != "" {
		l.of = "certificate/san/" + c.SAN
	}
	return certificateLogin{l, c.SAN, fingerprint}, err
}

func newTokenLogin(name string, c config.TokenLogin) (tokenLogin, error) {
	l, err := newLogin(KindToken, name, c.Role, c.Only)
	t := tokenLogin{login: l, networks: c.From, from: NewPrefixes(c.From, nil)}
	hash, bad := hex.DecodeString(c.Hash)
	if bad != nil || len(hash) != sha256.Size {
		err = errors.Join(err, fmt.Errorf("access.token.%s.hash: must be 64 hexadecimal digits", name))
	}
	copy(t.hash[:], hash)
	t.until = time.Time(c.Expires)
	t.id += "/" + hex.EncodeToString(t.hash[:])
	for _, from := range c.From {
		t.id += "/" + from.String()
	}
	t.of = "token/" + hex.EncodeToString(t.hash[:])
	return t, err
}

func newLogin(kind, name, role string, only []string) (login, error) {
	r, ok := api.ParseRole(role)
	if !ok || r == api.Anonymous {
		return login{}, fmt.Errorf("access.%s.%s.role: must be monitor, operator or admin", kind, name)
	}
	id := kind + "/" + name + "/" + r.String()
	if only != nil {
		id += fmt.Sprintf("/%q", only)
	}
	return login{id: id, name: kind + " " + name, role: r, only: only}, nil
}

// checkOnly checks the words that only the table of commands knows.
func checkOnly(kind, name string, only []string) error {
	known := []string{api.DoorMetrics, api.DoorStream, api.DoorMode6, api.DoorCmdmon}
	for _, c := range api.Commands() {
		known = append(known, c.Declaration().Name)
	}
	for _, word := range only {
		if !slices.Contains(known, word) {
			return fmt.Errorf("access.%s.%s.only: there is no %q; what there is: %s", kind, name, word, strings.Join(known, ", "))
		}
	}
	return nil
}

func readAuthorities(path string) (pool *x509.CertPool, sum [sha256.Size]byte, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, sum, fmt.Errorf("access.client-ca: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxCAFile {
		return nil, sum, fmt.Errorf("access.client-ca: %s: must be a file of at most %d octets", path, maxCAFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, sum, fmt.Errorf("access.client-ca: %w", err)
	}
	pool = x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, sum, fmt.Errorf("access.client-ca: %s has no certificate in PEM", path)
	}
	return pool, sha256.Sum256(b), nil
}
