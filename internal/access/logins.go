package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

const (
	// maxToken is how much of a token is looked at: ours have 50 characters, and hashing megabytes is for free only to the
	// one who sends them.
	maxToken = 128
	// maxChain bounds the certificates of a client that are looked at: each may cost signatures to be verified.
	maxChain = 4
	// maxVerified is how many certificates are remembered to be good.
	maxVerified = 256
)

// ended is why something does not count that was good once, or will be.
type ended string

func (e ended) Error() string { return string(e) }

func (l *login) caller(until time.Time) api.Caller {
	if l.used != nil {
		l.used.Store(time.Now().Unix())
	}
	return api.Caller{Role: l.role, Name: l.name, Only: l.only, Login: l.id, Until: until}
}

// knows tells whether what somebody logged in with is still in the policy as it was.
func (p *policy) knows(who api.Caller) bool {
	l, ok := p.logins[who.Login]
	return ok && (l.until.IsZero() || !l.until.Before(who.Until))
}

// token compares with all tokens, in a time that does not depend on which one it is.
func (p *policy) token(remote netip.Addr, token string, now time.Time) (api.Caller, error) {
	hash := sha256.Sum256([]byte(token[:min(len(token), maxToken+1)]))
	found := -1
	for i := range p.tokens {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(hash[:], p.tokens[i].hash[:]), i, found)
	}
	switch {
	case found < 0 || len(token) > maxToken:
		return api.Caller{}, api.Failf(api.Unknown, "this token does not count here")
	case !now.Before(p.tokens[found].until):
		return api.Caller{}, api.Fail(api.Unknown, ended("this token has ended: make another one with ntptsd token"))
	}
	if err := p.tokens[found].admits(remote); err != nil {
		return api.Caller{}, err
	}
	return p.tokens[found].caller(p.tokens[found].until), nil
}

// admits refuses addresses that the token does not count from.
func (t *tokenLogin) admits(remote netip.Addr) error {
	if !t.from.Allowed(remote.Unmap()) {
		return api.Failf(api.Unknown, "this token, or the one that let you in, does not count from your address")
	}
	return nil
}

// from is the same for who came by a link that somebody with a token made.
func (p *policy) from(login string, remote netip.Addr) error {
	if i := slices.IndexFunc(p.tokens, func(t tokenLogin) bool { return t.id == login }); i >= 0 {
		return p.tokens[i].admits(remote)
	}
	return nil
}

// certificate is who shows the chain, leaf first. crypto/tls has checked that the peer has the leaf's key.
func (p *policy) certificate(chain []*x509.Certificate, at moment) (api.Caller, error) {
	leaf := chain[0]
	if at.outside(leaf) {
		return api.Caller{}, api.Fail(api.Unknown, ended(fmt.Sprintf("your certificate is good from %s to %s, and it is %s here",
			leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339), at.now.UTC().Format(time.RFC3339))))
	}
	sum := sha256.Sum256(leaf.Raw)
	fingerprint, untrusted := hex.EncodeToString(sum[:]), false
	if p.blocked[fingerprint] {
		return api.Caller{}, api.Failf(api.Unknown, "your certificate was revoked here: only an admin lets it in again, by access restore")
	}
	for i := range p.certs {
		c := &p.certs[i]
		switch {
		case c.fingerprint != "":
			if c.fingerprint == fingerprint {
				return c.caller(leaf.NotAfter), nil
			}
			continue
		case untrusted || !hasName(leaf, c.san):
			continue
		}
		if p.trusts(sum, chain, at.within(chain[:min(len(chain), maxChain)])) == nil {
			return c.caller(leaf.NotAfter), nil
		}
		untrusted = true // for all that have a name of it
	}
	return api.Caller{}, notHere(fingerprint)
}

// notHere is one text for all: what a stranger calls himself must not find out what others are called here.
func notHere(fingerprint string) error {
	return api.Failf(api.Unknown, "your certificate does not count here: [access.certificate] has neither a san of it with a good chain, nor its SHA-256, %s", fingerprint)
}

// trusts verifies a chain, and remembers the good ones: a program asks many times with the same.
func (p *policy) trusts(sum [sha256.Size]byte, chain []*x509.Certificate, now time.Time) error {
	p.mu.Lock()
	until := p.good[sum]
	p.mu.Unlock()
	if now.Before(until) {
		return nil
	}
	others := x509.NewCertPool()
	for _, c := range chain[1:min(len(chain), maxChain)] {
		others.AddCert(c)
	}
	found, err := chain[0].Verify(x509.VerifyOptions{Roots: p.clients, Intermediates: others, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.good == nil || len(p.good) >= maxVerified {
		p.good = make(map[[sha256.Size]byte]time.Time)
	}
	p.good[sum] = endOf(found[0])
	return nil
}

// endOf is when the first certificate of a chain ends.
func endOf(chain []*x509.Certificate) time.Time {
	until := chain[0].NotAfter
	for _, c := range chain[1:] {
		if c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	return until
}

// verified are the hashes of certificates whose chain was found good, and until when it is.
type verified struct {
	mu   sync.Mutex
	good map[[sha256.Size]byte]time.Time // guarded by mu
}

// hasName knows the alternative names of a certificate, RFC 5280 section 4.2.1.6, each kind by its form alone: whom an
// authority lets choose a URI has not chosen a DNS name. The common name is for people.
func hasName(c *x509.Certificate, name string) bool {
	addr, err := netip.ParseAddr(name)
	switch {
	case err == nil:
		return slices.ContainsFunc(c.IPAddresses, func(ip net.IP) bool {
			a, ok := netip.AddrFromSlice(ip)
			return ok && a.Unmap() == addr.Unmap()
		})
	case strings.ContainsAny(name, ":/"):
		return slices.ContainsFunc(c.URIs, func(u *url.URL) bool { return u.String() == name })
	case strings.Contains(name, "@"):
		return slices.Contains(c.EmailAddresses, name)
	}
	return slices.ContainsFunc(c.DNSNames, func(n string) bool { return strings.EqualFold(n, name) })
}
