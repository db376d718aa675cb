package access

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

// with is the policy of a configuration with what commands have let in and shut out. used has when each login was used last.
func (p *policy) with(g *granted, used map[string]*atomic.Int64) *policy {
	n := &policy{admitted: p.admitted, clients: p.clients, here: p.here, logins: make(map[string]*login), blocked: make(map[string]bool)}
	for _, s := range g.Revoked {
		if fingerprint, ok := strings.CutPrefix(s.Of, byFingerprint); ok {
			n.blocked[fingerprint] = true
		}
	}
	// A certificate that was issued is its own, also where a name of it is somebody's in the configuration: it comes first.
	for i := range g.Issued {
		c, t, err := g.Issued[i].login()
		switch {
		case err != nil: // it was checked when it was made and when it was read
		case g.Issued[i].Kind == KindCertificate:
			n.certs = append(n.certs, c)
		default:
			n.tokens = append(n.tokens, t)
		}
	}
	n.certs, n.tokens = append(n.certs, p.certs...), append(n.tokens, p.tokens...)
	n.certs = slices.DeleteFunc(n.certs, func(c certificateLogin) bool { return g.revoked(c.of) != nil })
	n.tokens = slices.DeleteFunc(n.tokens, func(t tokenLogin) bool { return g.revoked(t.of) != nil })
	for i := range n.certs {
		n.certs[i].used = used[n.certs[i].of]
		n.logins[n.certs[i].id] = &n.certs[i].login
	}
	for i := range n.tokens {
		n.tokens[i].used = used[n.tokens[i].of]
		n.logins[n.tokens[i].id] = &n.tokens[i].login
	}
	n.logins[n.here.id] = &n.here
	return n
}

// all are the logins of the configuration and of commands, those that were revoked included. a.mu is held.
func (a *Access) all() (list []api.Grant) {
	add := func(l *login, g api.Grant) {
		g.Kind, g.Name, _ = strings.Cut(l.name, " ")
		g.Role, g.Only = l.role.String(), l.only
		if !l.until.IsZero() {
			g.Until = new(l.until.UTC())
		}
		if u := a.used[l.of]; u != nil && u.Load() != 0 {
			g.LastUse = new(time.Unix(u.Load(), 0).UTC())
		}
		if s := a.granted.revoked(l.of); s != nil {
			g.Revoked, g.RevokedBy = new(s.At.UTC()), s.By
		}
		g.Of = l.of
		list = append(list, g)
	}
	for i := range a.base.certs {
		c := &a.base.certs[i]
		add(&c.login, api.Grant{Source: api.FromConfiguration, Shows: cmp.Or(c.san, c.fingerprint)})
	}
	for i := range a.base.tokens {
		t := &a.base.tokens[i]
		add(&t.login, api.Grant{Source: api.FromConfiguration, From: textsOf(t.networks)})
	}
	for i := range a.granted.Issued {
		g := &a.granted.Issued[i]
		c, t, err := g.login()
		v := api.Grant{Source: api.FromCommand, IssuedBy: g.By}
		switch {
		case err != nil:
		case g.Kind == KindCertificate:
			v.Shows = g.Hash
			add(&c.login, v)
		default:
			v.From = textsOf(g.From)
			add(&t.login, v)
		}
	}
	return list
}

// Grants are all who may log in at the services port, and who may no more.
func (a *Access) Grants() []api.Grant {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.all()
	if here := a.base.here; here.role > api.Anonymous {
		list = append(list, api.Grant{Kind: kindLoopback, Name: here.name, Role: here.role.String(), Source: api.FromConfiguration})
	}
	return list
}

// Named are the logins that a name stands for: NAME, token/NAME or certificate/NAME. api.NotFound if it is nobody's.
func (a *Access) Named(text string) ([]api.Grant, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.named(text)
}

func (a *Access) named(text string) (found []api.Grant, err error) {
	kind, name := kindAndName(text)
	for _, g := range a.all() {
		if g.Name == name && (kind == "" || g.Kind == kind) {
			found = append(found, g)
		}
	}
	if len(found) == 0 {
		return nil, api.Failf(api.NotFound, "nobody is called %.80q here; access lists all", text)
	}
	return found, nil
}

// Grantable tells why somebody cannot be let in: nil if he can. Hash is not looked at.
func (a *Access) Grantable(g Grant) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.grantable(g)
}

func (a *Access) grantable(g Grant) error {
	if !config.IsLoginName(g.Name) {
		return api.Failf(api.BadArgument, "the name %.80q must have letters, digits and any of . _ @ -, at most 64 of them", g.Name)
	}
	if role, ok := api.ParseRole(g.Role); !ok || role == api.Anonymous {
		return api.Failf(api.BadArgument, "role %.64q: must be monitor, operator or admin", g.Role)
	}
	if g.Hash == "" {
		g.Hash = strings.Repeat("0", 64)
	}
	if _, _, err := g.login(); err != nil {
		return api.Fail(api.BadArgument, err)
	}
	if err := checkOnly(g.Kind, g.Name, g.Only); err != nil {
		return api.Fail(api.BadArgument, err)
	}
	for _, old := range a.all() {
		ended := old.Until != nil && !g.Issued.Before(*old.Until)
		switch {
		case old.Kind == g.Kind && old.Name == g.Name && (old.Source != api.FromCommand || !ended):
			return api.Failf(api.Conflict, "there is a %s %s already (%s): take another name, as %s-2", g.Kind, g.Name, old.Source, g.Name)
		case g.Kind == KindCertificate && old.Kind == KindCertificate && strings.EqualFold(old.Shows, g.Name):
			return api.Failf(api.Conflict, "the configuration lets certificates with the name %s in as certificate %s: take another name", g.Name, old.Name)
		}
	}
	if issued := a.without(g); len(issued) >= maxGranted {
		return api.Failf(api.Conflict, "%d logins were issued, which is as many as can be: those that have ended go when their name is issued again", maxGranted)
	}
	return nil
}

// without are the grants that stay when a new one comes: not the ended one of its name, nor, when all places are taken, those
// that ended a month ago.
func (a *Access) without(g Grant) []Grant {
	const forgotten = 30 * 24 * time.Hour
	list := slices.DeleteFunc(slices.Clone(a.granted.Issued), func(old Grant) bool { return old.Kind == g.Kind && old.Name == g.Name })
	if len(list) >= maxGranted {
		list = slices.DeleteFunc(list, func(old Grant) bool { return old.Until.Add(forgotten).Before(g.Issued) })
	}
	return list
}

// Grant lets somebody in, once that is on disk.
func (a *Access) Grant(g Grant) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.grantable(g); err != nil {
		return err
	}
	n := a.granted.clone()
	n.Issued = append(a.without(g), g)
	if err := a.save(n); err != nil {
		return api.Failf(api.Unavailable, "nobody was let in, since that cannot be written: %w", err)
	}
	a.granted = n
	a.publish()
	return nil
}

// Revoke shuts out those that a name stands for, at once: their sessions and streams end, too. It lasts over restarts and
// reloads. If it cannot be written it counts all the same, and is written as soon as that can be.
func (a *Access) Revoke(text, by string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	found, err := a.named(text)
	if err != nil {
		return err
	}
	n := a.granted.clone()
	for _, g := range found {
		if n.revoked(g.Of) == nil {
			n.Revoked = append(n.Revoked, shutOut{g.Of, g.Kind + " " + g.Name, time.Now().UTC(), by})
		}
	}
	for i := 0; len(n.Revoked) > maxShutOut && i < len(n.Revoked); { // the oldest who could not come back now
		if of := n.Revoked[i].Of; slices.ContainsFunc(a.all(), func(g api.Grant) bool { return g.Of == of }) {
			i++
			continue
		}
		n.Revoked = slices.Delete(n.Revoked, i, i+1)
	}
	a.granted = n
	a.publish()
	if err := a.save(n); err != nil {
		a.unsaved = true
		return api.Failf(api.Unavailable, "%s counts no more, but would again after a restart until this is written, which is tried again: %w", text, err)
	}
	a.unsaved = false
	return nil
}

// Restore lets those in again that a name stands for, once that is on disk.
func (a *Access) Restore(text string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	found, err := a.named(text)
	if err != nil {
		return err
	}
	n := a.granted.clone()
	n.Revoked = slices.DeleteFunc(n.Revoked, func(s shutOut) bool {
		return slices.ContainsFunc(found, func(g api.Grant) bool { return g.Of == s.Of })
	})
	if err := a.save(n); err != nil {
		return api.Failf(api.Unavailable, "nobody was let in, since that cannot be written: %w", err)
	}
	a.granted, a.unsaved = n, false
	a.publish()
	return nil
}

// saveAgain writes what could not be written.
func (a *Access) saveAgain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.unsaved && !a.frozen && a.save(a.granted) == nil {
		a.unsaved = false
	}
}

// Freeze writes what is not on disk yet, and nothing from then on: a newer process takes over.
func (a *Access) Freeze(context.Context) error {
	a.saveAgain()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.unsaved {
		return errors.New("what commands let in and shut out cannot be written")
	}
	a.frozen = true
	return nil
}

// Thaw ends that.
func (a *Access) Thaw() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.frozen = false
}

// publish makes the policy that counts from now on. a.mu is held.
func (a *Access) publish() {
	used := make(map[string]*atomic.Int64)
	for _, g := range a.all() {
		if used[g.Of] = a.used[g.Of]; used[g.Of] == nil {
			used[g.Of] = new(atomic.Int64)
		}
	}
	a.used = used
	a.policy.Store(a.base.with(a.granted, used))
}

func textsOf[T interface{ String() string }](list []T) (all []string) {
	for _, p := range list {
		all = append(all, p.String())
	}
	return all
}
