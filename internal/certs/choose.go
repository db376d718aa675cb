package certs

import (
	"crypto/tls"
	"errors"
	"strings"
)

var errNone = errors.New("certs: there is no certificate yet")

// snapshot is all pairs in the order of the configuration, and who is served which. Immutable.
type snapshot struct {
	pairs                 []*pair
	keyExchange, services chooser
}

// newSnapshot: the first are the key exchange's, what is left is for the services port, which otherwise has the same. Pairs that
// are still to be made are passed over.
func newSnapshot(watched []*watch, keyExchange int) *snapshot {
	all := pairsOf(watched)
	s := &snapshot{pairs: all, keyExchange: newChooser(pairsOf(watched[:keyExchange])), services: newChooser(pairsOf(watched[keyExchange:]))}
	if len(watched) == keyExchange {
		s.services = s.keyExchange
	}
	return s
}

func pairsOf(watched []*watch) (pairs []*pair) {
	for _, w := range watched {
		if w.pair != nil {
			pairs = append(pairs, w.pair)
		}
	}
	return pairs
}

// chooser has some of the pairs, and what they are called. Immutable.
type chooser struct {
	pairs  []*pair
	byName map[string][]*pair
}

func newChooser(pairs []*pair) chooser {
	c := chooser{pairs: pairs, byName: make(map[string][]*pair)}
	for _, p := range pairs {
		for _, name := range p.names() {
			c.byName[name] = append(c.byName[name], p)
		}
	}
	return c
}

// choose answers a client that named a host by the pairs of that host, anybody else by all pairs from the first on: some
// clients send no name, others an address. Of several pairs the first wins whose kind of key the client takes.
func (c chooser) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	candidates := c.named(strings.ToLower(strings.TrimSuffix(hello.ServerName, ".")))
	if len(candidates) == 0 {
		candidates = c.pairs
	}
	if len(candidates) == 0 {
		return nil, errNone
	}
	anyName := *hello
	anyName.ServerName = "" // judged above; here only the client's signatures count
	for _, p := range candidates {
		if anyName.SupportsCertificate(p.certificate) == nil {
			return p.certificate, nil
		}
	}
	return candidates[0].certificate, nil
}

// named are the pairs for exactly this name, or else for its wildcard, which stands for one label (RFC 9525 section 6.3).
func (c chooser) named(host string) []*pair {
	if pairs := c.byName[host]; len(pairs) > 0 || host == "" {
		return pairs
	}
	_, parent, found := strings.Cut(host, ".")
	if !found {
		return nil
	}
	return c.byName["*."+parent]
}
