package keyring

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// maxLife bounds how far ahead an end can be announced; beyond lies the end of time.Duration.
const maxLife = 200 * 365 * 24 * time.Hour

// policy is what the configuration says about the ring, with its defaults.
type policy struct {
	dialect   cookie.Dialect
	alg       aead.ID // of new keys
	interval  time.Duration
	keep      int
	file      string
	neighbour *neighbour // nil: none
}

// newPolicy reads the section. It repeats the checks of package config that the ring's own promises rest on.
func newPolicy(cfg *config.Config) (policy, error) {
	c := cfg.KeyRing
	if c.Dialect == "" {
		c.Dialect = cookie.Native.String()
	}
	dialect, err := cookie.ParseDialect(c.Dialect)
	if err != nil {
		return policy{}, fmt.Errorf("keyring.dialect: %w", err)
	}
	p := policy{dialect: dialect, alg: aead.ID(c.AEAD), interval: time.Duration(c.RotateEvery), keep: c.Keep, file: c.File}
	p.fill(cfg.StateDirectory)
	if c.NeighbourFile != "" {
		if p.neighbour, err = newNeighbour(p.dialect, p.alg, c.NeighbourFile, c.NeighbourFormat); err != nil {
			return policy{}, err
		}
	}
	return p, errors.Join(p.check(), checkOwner(c.Owner))
}

func (p *policy) fill(stateDirectory string) {
	if p.alg == 0 {
		p.alg = aead.AESSIVCMAC256
	}
	if p.file == "" {
		p.file = filepath.Join(stateDirectory, "keys")
	}
	interval, keep := 24*time.Hour, 7
	if p.dialect == cookie.Chrony {
		interval, keep = 7*24*time.Hour, chronyKeys-2
	}
	if p.interval == 0 {
		p.interval = interval
	}
	if p.keep == 0 {
		p.keep = keep
	}
}

func (p *policy) check() error {
	var errs []error
	if !p.dialect.SealsWith(p.alg) {
		errs = append(errs, fmt.Errorf("keyring.aead: dialect %v has no keys of %v", p.dialect, p.alg))
	}
	if p.interval < time.Second {
		errs = append(errs, fmt.Errorf("keyring.rotate-every: %v is less than 1s", p.interval))
	}
	most := maxKeep(p.dialect)
	switch {
	case p.dialect == cookie.Chrony && p.keep != most:
		errs = append(errs, fmt.Errorf("keyring.keep: %d, but chronyd has room for exactly %d old keys", p.keep, most))
	case p.keep < 1 || p.keep > most:
		errs = append(errs, fmt.Errorf("keyring.keep: %d is not between 1 and %d", p.keep, most))
	case p.interval > maxLife/time.Duration(p.keep+2):
		errs = append(errs, fmt.Errorf("keyring.rotate-every: %v times keep is more than 200 years", p.interval))
	}
	return errors.Join(errs...)
}

// maxKeep is how many old keys fit beside the current and the next one where the keys must fit.
func maxKeep(d cookie.Dialect) int {
	if d == cookie.NTPsec {
		return ntpsecFileKeys - 2
	}
	return maxKeys(d) - 2
}

func checkOwner(owner string) error {
	if owner != "" && owner != "ntptsd" {
		return fmt.Errorf("keyring.owner: %q: only ntptsd can rotate the keys in this version", owner)
	}
	return nil
}

// admits tells whether a set that is on disk can go on under this policy without breaking an announced end.
func (p *policy) admits(s *KeySet, at time.Time) error {
	if s.dialect != p.dialect {
		return fmt.Errorf("keyring.dialect: the keys in %s are of dialect %v: another dialect would end all cookies "+
			"before their announced end; set dialect = %q, or another keyring.file", p.file, s.dialect, s.dialect)
	}
	if n, until := s.promised(at); p.keep < s.keep && n > p.keep {
		return fmt.Errorf("keyring.keep: %d would end %d keys before their announced end, the last of them at %s: keep %d",
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
		return fmt.Errorf("keyring.aead: the ring has keys of %v, and all keys of an NTPsec file have one length: set %d", alg, alg)
	case p.alg.NonceLen() > alg.NonceLen():
		// chronyd sends nothing at all when its reply's cookies are longer than the one that came.
		return fmt.Errorf("keyring.aead: the ring has keys of %v, and cookies must not grow: set %d", alg, alg)
	}
	return nil
}
