package certs

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

// own is the Issuer of a section [certs.authority]. The authority's files were read when it was made, so that a renewal needs
// nothing but memory.
type own struct {
	authority *Authority
	life      time.Duration
}

// newOwn reads the authority and lets it make a certificate on trial: one that may not have these names is refused now.
func newOwn(c *config.AuthorityCerts) (*own, error) {
	certificate, _, err := read(c.Certificate)
	if err != nil {
		return nil, fmt.Errorf("certs.authority.certificate: %w", err)
	}
	key, _, err := read(c.Key)
	if err != nil {
		return nil, fmt.Errorf("certs.authority.key: %w", err)
	}
	defer clear(key)
	a, err := ParseAuthority(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("certs.authority: %s and %s: %w; put both files of one authority there, as PEM", c.Certificate, c.Key, err)
	}
	o := &own{authority: a, life: time.Duration(c.Life)}
	trial, err := a.IssueFor(ForServer, c.Names, a.cert.NotBefore, a.cert.NotAfter) // whatever our clock says
	if err != nil {
		return nil, fmt.Errorf("certs.authority: %s cannot sign: %w", c.Certificate, err)
	}
	p, err := newPair(config.Pair{Certificate: config.Authority}, trial.Certificate, trial.Key)
	if err == nil {
		err = prove(p, c.Names, momentFor(p, true))
	}
	if err != nil {
		return nil, fmt.Errorf("certs.authority: what %s signs for these names no client would take: %w; correct names, or make an authority for them (ntptsd init --ca)",
			c.Certificate, err)
	}
	return o, nil
}

// Issue implements Issuer. If nobody knows whether the clock has jumped ahead, the new certificate is good from where the
// old one was: also for those whose clock has not jumped. If it is before the authority was made, as after a start without a
// battery, it is certainly wrong, and that moment the best guess.
func (o *own) Issue(_ context.Context, order Order) ([]byte, error) {
	now, ca := time.Now(), o.authority.cert
	if now.After(ca.NotAfter) && !order.Doubtful {
		return nil, fmt.Errorf("the authority itself has ended on %s: make another and let clients trust it", ca.NotAfter.Format(time.DateOnly))
	}
	if now.Before(ca.NotBefore) {
		now = ca.NotBefore
	}
	from := now.Add(-backdate)
	if p := order.Previous; p != nil && order.Doubtful && p.NotBefore.Before(from) {
		from = p.NotBefore
	}
	issued, err := o.authority.IssueFor(ForServer, order.Names, from, now.Add(o.life))
	if err != nil {
		return nil, err
	}
	return slices.Concat(issued.Key, issued.Certificate), nil
}
