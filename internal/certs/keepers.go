package certs

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ntptsd/ntptsd/internal/config"
)

// storageFolder is where pairs that renew themselves lie, in the state directory.
const storageFolder = "certs"

// prepareKeepers makes those that the configuration wants and nobody is yet. An Issuer is made anew each time: its files may
// have changed. hire puts them to work.
func (f *Files) prepareKeepers(cfg *config.Config) (keepers []*keeper, hire func(), err error) {
	if f.house.storage == nil {
		f.house.storage = &storage{dir: filepath.Join(cfg.StateDirectory, storageFolder)}
	}
	f.mu.Lock()
	old := slices.Clone(f.keepers)
	f.mu.Unlock()
	var errs []error
	issuers := make(map[*keeper]Issuer)
	for _, want := range f.wanted(cfg) {
		issuer, err := want.make()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		i := slices.IndexFunc(old, func(k *keeper) bool { return k.name == want.name && k.same(want.section) })
		k := (*keeper)(nil)
		if i >= 0 {
			k = old[i]
		} else {
			k = newKeeper(f.house, want.name, want.names, want.section, issuer)
		}
		keepers, issuers[k] = append(keepers, k), issuer
	}
	hire = func() {
		for _, k := range old {
			if !slices.Contains(keepers, k) {
				k.retire()
			}
		}
		for k, issuer := range issuers {
			k.use(issuer)
			if _, ours := issuer.(*own); ours && k.pair() == nil { // it takes a millisecond, so the first client need not wait
				k.attempt(context.Background())
			}
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.keepers = keepers
		f.replaced = slices.DeleteFunc(append(f.replaced, old...), func(k *keeper) bool { return slices.Contains(keepers, k) || !k.isRenewing() })
	}
	return keepers, hire, errors.Join(errs...)
}

// want is a section that some service shows the certificate of.
type want struct {
	name    string
	names   []string
	section any
	make    func() (Issuer, error)
}

func (f *Files) wanted(cfg *config.Config) (all []want) {
	if c := cfg.Certs.Authority; c != nil && cfg.Shows(config.Authority) {
		all = append(all, want{config.Authority, c.Names, c, func() (Issuer, error) { return newOwn(c) }})
	}
	if c := cfg.Certs.ACME; c != nil && cfg.Shows(config.ACME) {
		all = append(all, want{config.ACME, c.Names, c, func() (Issuer, error) {
			if f.resources.ACME == nil {
				return nil, errors.New("certs.acme: this program has no ACME client")
			}
			return f.resources.ACME(c)
		}})
	}
	return all
}

func (k *keeper) use(issuer Issuer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.issuer = issuer
}

// Check tells what is wrong with the pairs of a configuration without opening or asking anything but files.
func Check(cfg *config.Config, acme func(c *config.ACMECerts) (Issuer, error)) (errs []error) {
	f := &Files{resources: Resources{ACME: acme}}
	for _, w := range f.wanted(cfg) {
		if _, err := w.make(); err != nil {
			errs = append(errs, err)
		}
	}
	for _, p := range slices.Concat(Pairs(cfg), ServicesPairs(cfg)) {
		if p.Managed() {
			continue
		}
		if _, err := load(p); err != nil {
			errs = append(errs, fmt.Errorf("certs: %w", err))
		}
	}
	return errs
}

// Renew lets the pair be renewed now, and waits until it was or ctx ends: the work goes on then. name is acme or authority,
// or one of the names that such a pair has.
func (f *Files) Renew(ctx context.Context, name string) error {
	kept := f.kept()
	i := slices.IndexFunc(kept, func(k *keeper) bool {
		return k.name == name || slices.ContainsFunc(k.names, func(n string) bool { return strings.EqualFold(n, name) })
	})
	if i < 0 {
		return fmt.Errorf("%q is not a certificate that ntptsd renews itself: name acme, authority or one of their names; files are taken on by a reload of certificates", name)
	}
	return kept[i].renew(ctx)
}

// ReloadFiles reads all certificate files again, changed or not, and names those that cannot be used: what is served instead
// of them stays.
func (f *Files) ReloadFiles() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, w := range f.watched {
		if w.keeper != nil {
			continue
		}
		w.seen = look(w.files)
		w.tried = w.seen
		p, err := load(w.files)
		if err != nil {
			w.broken = err.Error()
			errs = append(errs, err)
			continue
		}
		w.broken, w.pair = "", p
		f.warnValidity(w)
	}
	f.show()
	f.metrics.reloaded(len(errs) == 0)
	return errors.Join(errs...)
}
