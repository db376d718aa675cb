package certs

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

const day = 24 * time.Hour

// patience is how many failures in a row are nothing to look after yet, as long as there is a valid certificate.
const patience = 1

// View is what is shown to clients now, and what is wrong with it. Safe for concurrent use.
func (f *Files) View() []api.Certificate {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	all := []api.Certificate{}
	told := make(map[string]bool) // one certificate may be listed with two keys' names
	for _, w := range f.watched {
		if told[w.files.Certificate] {
			continue
		}
		told[w.files.Certificate] = true
		all = append(all, w.view(now))
	}
	return all
}

func (w *watch) view(now time.Time) api.Certificate {
	c := api.Certificate{File: w.files.Certificate, Names: []string{}, Source: api.CertificateFile, State: api.CertificateMissing}
	if w.pair != nil {
		w.pair.fill(&c, now)
	}
	if w.broken != "" {
		c.State, c.LastError = api.CertificateFailing, bounded(w.broken)
		add(&c.Problem, "its files have changed and cannot be used, the pair from before stays: "+w.broken)
	}
	if w.keeper != nil {
		w.keeper.fill(&c)
	}
	return c
}

func (p *pair) fill(c *api.Certificate, now time.Time) {
	leaf := p.certificate.Leaf
	sum := sha256.Sum256(leaf.Raw)
	c.Names, c.Issuer, c.Fingerprint = p.names(), leaf.Issuer.String(), hex.EncodeToString(sum[:])
	c.NotBefore, c.NotAfter, c.DaysLeft = leaf.NotBefore.UTC(), leaf.NotAfter.UTC(), leaf.NotAfter.Sub(now).Hours()/day.Hours()
	for _, ip := range leaf.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	v := p.validity(now)
	c.State = cmp.Or(v, api.CertificateValid) // they share their words
	if v != "" {
		c.Problem = v + " by this machine's clock"
	}
}

// fill adds what the keeper knows.
func (k *keeper) fill(c *api.Certificate) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c.Source = k.name
	c.LastError, c.LastErrorAt, c.LastSuccess = k.lastError, moment(k.lastFailed), moment(k.lastGood)
	if a, ok := k.issuer.(Accountant); ok {
		c.Account = bounded(a.Account())
	}
	if k.current != nil {
		c.RenewAt = moment(k.renewAt())
	} else {
		c.Names = append(c.Names, k.names...)
	}
	switch {
	case k.renews:
		c.State = api.CertificateRenewing
	case k.failures > 0:
		c.State, c.NextAttempt = api.CertificateFailing, moment(k.next)
	case k.waits:
		c.State = api.CertificateWaiting
		add(&c.Problem, "it is to be renewed, but the clock is not synchronised: what it says may be wrong")
	}
	switch {
	case k.unsaved != nil:
		add(&c.Problem, k.lastError)
	case k.failures > patience || k.failures > 0 && (k.current == nil || c.Problem != ""):
		add(&c.Problem, "it cannot be renewed, and is tried again by itself: "+k.lastError)
	case k.current == nil:
		add(&c.Problem, "there is none yet; until then clients of TLS are turned away")
	}
}

func add(problem *string, text string) {
	if *problem != "" {
		text = *problem + "; " + text
	}
	*problem = text
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.Round(0).UTC()
	return &t
}
