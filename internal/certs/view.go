package certs

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

const day = 24 * time.Hour

// View is what is shown to clients now, and what is wrong with it. Safe for concurrent use.
func (f *Files) View() []api.Certificate {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	all := []api.Certificate{}
	told := make(map[string]bool) // one certificate may be listed with two keys' names
	for i, p := range f.current.Load().pairs {
		if told[p.files.Certificate] {
			continue
		}
		told[p.files.Certificate] = true
		c := p.view(now)
		if w := f.watched[i]; w.broken != "" {
			if c.Problem != "" {
				c.Problem += "; "
			}
			c.Problem += "its files have changed and cannot be used, the pair from before stays: " + w.broken
		}
		all = append(all, c)
	}
	return all
}

func (p *pair) view(now time.Time) api.Certificate {
	leaf := p.certificate.Leaf
	sum := sha256.Sum256(leaf.Raw)
	c := api.Certificate{File: p.files.Certificate, Names: p.names(), Issuer: leaf.Issuer.String(), Fingerprint: hex.EncodeToString(sum[:]),
		NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(), DaysLeft: leaf.NotAfter.Sub(now).Hours() / day.Hours()}
	for _, ip := range leaf.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	if v := p.validity(now); v != "" {
		c.Problem = v + " by this machine's clock"
	}
	return c
}
