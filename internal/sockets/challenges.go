package sockets

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/ntptsd/ntptsd/internal/config"
)

// What FileDescriptorName= says for the challenges of a certificate authority.
const (
	nameCertsHTTP = "certs-http"
	nameCertsALPN = "certs-alpn"
)

// Challenges are the sockets on which a certificate authority looks whether we hold our names.
type Challenges struct {
	HTTP, ALPN []net.Listener // http-01 and tls-alpn-01

	http, alpn []netip.AddrPort // what they were opened for
}

func (c *Challenges) all() []net.Listener { return append(c.HTTP[:len(c.HTTP):len(c.HTTP)], c.ALPN...) }

// openChallenges opens what the challenges in use need. A socket unit may hand them over; they are not deferred, since ports 80
// and 443 are looked at by many who only want to see whether they are open.
func (s *Set) openChallenges(c *config.ACMECerts, from *inheritance) error {
	var err, alpnErr error
	s.Challenges.http, s.Challenges.alpn = challengeAddresses(c)
	if list := s.Challenges.http; len(list) > 0 {
		s.Challenges.HTTP, err = openChallenge("certs.acme.http-listen", nameCertsHTTP, list, from)
	}
	if list := s.Challenges.alpn; len(list) > 0 {
		s.Challenges.ALPN, alpnErr = openChallenge("certs.acme.tls-alpn-listen", nameCertsALPN, list, from)
	}
	return errors.Join(err, alpnErr)
}

func openChallenge(key, name string, list []netip.AddrPort, from *inheritance) ([]net.Listener, error) {
	if inherited := from.takeTCP(name, list); len(inherited) > 0 {
		return inherited, nil
	}
	var opened []net.Listener
	for _, addr := range list {
		l, err := takeOrListen(name, addr, list, from, 0)
		if err != nil {
			return opened, fmt.Errorf("%s: %w; if a web server has that port, use another challenge: see ntptsd-certs(7)", key, explain(addr.String(), err))
		}
		opened = append(opened, l)
	}
	return opened, nil
}

// acmeShown is the section whose certificate somebody shows.
func acmeShown(cfg *config.Config) *config.ACMECerts {
	if cfg.Shows(config.ACME) {
		return cfg.Certs.ACME
	}
	return nil
}

func challengeAddresses(c *config.ACMECerts) (http, alpn []netip.AddrPort) {
	if c.Uses(config.ChallengeHTTP) {
		http = c.HTTPListen
	}
	if c.Uses(config.ChallengeALPN) {
		alpn = c.ALPNListen
	}
	return http, alpn
}

// changes are what the open sockets cannot follow.
func (c *Challenges) changes(next *config.ACMECerts) (refusals []error) {
	http, alpn := challengeAddresses(next)
	for _, k := range []struct {
		key      string
		old, new []netip.AddrPort
	}{{"certs.acme.http-listen", c.http, http}, {"certs.acme.tls-alpn-listen", c.alpn, alpn}} {
		if fmt.Sprint(k.old) != fmt.Sprint(k.new) {
			refusals = append(refusals, fmt.Errorf("%s, or whether challenges uses it, changed from %v to %v: restart ntptsd to change it", k.key, k.old, k.new))
		}
	}
	return refusals
}
