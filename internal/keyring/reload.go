package keyring

import (
	"cmp"
	"errors"

	"github.com/ntptsd/ntptsd/internal/config"
)

// Prepare checks a new configuration: rotate-every and keep can change while ntptsd runs, as far as no announced end breaks.
func (r *Ring) Prepare(cfg *config.Config) (commit func(), err error) {
	p, err := newPolicy(cfg, r.name)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	err = r.policy.Load().fixed(p)
	if set := r.set.Load(); set != nil {
		err = errors.Join(p.admits(set, r.at), err)
	}
	if err != nil {
		return nil, err
	}
	return func() {
		r.policy.Store(&p)
		r.rouse()
	}, nil
}

// fixed tells what of a new policy needs a restart.
func (p *policy) fixed(n policy) error {
	var errs []error
	refuse := func(key string, is any) {
		errs = append(errs, p.errorf(key, "restart ntptsd to change it from %v", is))
	}
	if p.owner != n.owner {
		refuse("owner", p.owner)
	}
	if p.file != n.file {
		refuse("file", p.file)
	}
	if p.seal != n.seal {
		refuse("seal", cmp.Or(p.seal, "none"))
	}
	if p.sealed != n.sealed {
		refuse("sealed", p.sealed)
	}
	if p.alg != n.alg {
		refuse("aead", uint16(p.alg))
	}
	switch {
	case p.dialect != n.dialect: // admits has said why not
	case (p.neighbour == nil) != (n.neighbour == nil), p.neighbour != nil && p.neighbour.path != n.neighbour.path:
		refuse("neighbour-file", p.neighbourPath())
	case p.neighbour != nil && p.neighbour.format != n.neighbour.format:
		refuse("neighbour-format", p.neighbour.format)
	case p.socket != n.socket:
		refuse("neighbour-socket", p.socket)
	case p.server != n.server:
		refuse("neighbour-server", p.server)
	}
	return errors.Join(errs...)
}

func (p *policy) neighbourPath() string {
	if p.neighbour == nil {
		return "none"
	}
	return p.neighbour.path
}
