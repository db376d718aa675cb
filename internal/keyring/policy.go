package keyring

import (
	"errors"
	"fmt"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// Who rotates the keys.
const ownerNtptsd, ownerNeighbour = "ntptsd", "neighbour"

// maxLife bounds how far ahead an end can be announced; beyond lies the end of time.Duration.
const maxLife = 200 * 365 * 24 * time.Hour

// policy is what the configuration says about the ring.
type policy struct {
	section   string // of the configuration
	dialect   cookie.Dialect
	alg       aead.ID // of new keys
	interval  time.Duration
	keep      int
	file      string
	owner     string
	follow    bool       // the neighbour owns the keys
	neighbour *neighbour // nil: none
	socket    string     // of the neighbour
	server    string     // likewise; see proves
	seal      string     // of the record; empty: none
	sealed    bool       // the record is written sealed
}

// newPolicy reads a ring's section. It repeats the checks of package config that the ring's own promises rest on.
func newPolicy(cfg *config.Config, ring string) (policy, error) {
	c, _ := cfg.Ring(ring)
	p := policy{section: section(ring), alg: aead.ID(c.AEAD), interval: time.Duration(c.RotateEvery), keep: c.Keep,
		file: c.File, owner: c.Owner, follow: c.Owner == ownerNeighbour, socket: c.NeighbourSocket, server: c.NeighbourServer,
		seal: c.Seal, sealed: c.WritesSealed()}
	var err error
	if p.dialect, err = cookie.ParseDialect(c.Dialect); err != nil {
		return policy{}, p.errorf("dialect", "%w", err)
	}
	if c.NeighbourFile != "" {
		p.neighbour, err = newNeighbour(p, c.NeighbourFile, c.NeighbourFormat)
	}
	return p, errors.Join(err, p.check(), p.checkOwner())
}

// errorf is what is wrong with a key of the section.
func (p *policy) errorf(key, format string, args ...any) error {
	return fmt.Errorf("%s.%s: %w", p.section, key, fmt.Errorf(format, args...))
}

func (p *policy) check() error {
	var errs []error
	if !p.dialect.SealsWith(p.alg) {
		errs = append(errs, p.errorf("aead", "dialect %v has no keys of %v", p.dialect, p.alg))
	}
	if p.interval < time.Second {
		errs = append(errs, p.errorf("rotate-every", "%v is less than 1s", p.interval))
	}
	most := maxKeep(p.dialect)
	switch {
	case p.dialect == cookie.Chrony && p.keep != most:
		errs = append(errs, p.errorf("keep", "%d, but chronyd has room for exactly %d old keys", p.keep, most))
	case p.keep < 1 || p.keep > most:
		errs = append(errs, p.errorf("keep", "%d is not between 1 and %d", p.keep, most))
	case p.interval > maxLife/time.Duration(p.keep+2):
		errs = append(errs, p.errorf("rotate-every", "%v times keep is more than 200 years", p.interval))
	}
	return errors.Join(errs...)
}

// maxKeep is how many old keys fit beside the current and the next one where the keys must fit.
func maxKeep(d cookie.Dialect) int { return fileKeys(d) - 2 }

func (p *policy) checkOwner() error {
	switch {
	case p.owner == ownerNtptsd && p.dialect == cookie.NTPDRS:
		return p.errorf("owner", "ntpd-rs rewrites its file itself: set %q", ownerNeighbour)
	case p.follow && p.neighbour == nil:
		return p.errorf("neighbour-file", "is required where the neighbour owns the keys")
	case !p.follow && p.owner != ownerNtptsd:
		return p.errorf("owner", "%q is neither %q nor %q", p.owner, ownerNtptsd, ownerNeighbour)
	}
	return nil
}

// proves tells whether the neighbour must answer a cookie under the next key before that one is called published.
func (p *policy) proves() bool { return p.server != "" && p.server != config.None }

// admits tells whether a set that is on disk can go on under this policy without breaking an announced end. Where the
// neighbour owns the keys, it decides about the rest.
func (p *policy) admits(s *KeySet, at time.Time) error {
	if s.dialect != p.dialect {
		return p.errorf("dialect", "the keys in %s are of dialect %v: another dialect would end all cookies "+
			"before their announced end; set dialect = %q, or another file", p.file, s.dialect, s.dialect)
	}
	if p.follow {
		return nil
	}
	if n, until := s.promised(at); p.keep < s.keep && n > p.keep {
		return p.errorf("keep", "%d would end %d keys before their announced end, the last of them at %s: keep %d",
			p.keep, n-p.keep, until.Format(time.RFC3339), s.keep)
	}
	for i := range s.keys {
		if err := p.admitsAEAD(s.keys[i].alg); err != nil {
			return err
		}
	}
	return nil
}

// admitsAEAD tells whether new keys may follow one of that AEAD.
func (p *policy) admitsAEAD(alg aead.ID) error {
	switch {
	case alg == p.alg:
		return nil
	case p.dialect == cookie.NTPsec:
		return p.errorf("aead", "the ring has keys of %v, and all keys of an NTPsec file have one length: set %d", alg, alg)
	case p.alg.NonceLen() > alg.NonceLen():
		// chronyd sends nothing at all when its reply's cookies are longer than the one that came.
		return p.errorf("aead", "the ring has keys of %v, and cookies must not grow: set %d", alg, alg)
	}
	return nil
}
