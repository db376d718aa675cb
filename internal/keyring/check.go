package keyring

import (
	"errors"
	"io/fs"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

// Check tells what a start with this configuration would find in the files of its rings, and changes nothing. wrong would
// end the start; bearable are problems that it would go on with. It does not ask whose the files are: the daemon may run as
// somebody else.
func Check(cfg *config.Config) (bearable, wrong []error) {
	for _, name := range ringNames(cfg) {
		b, w := checkRing(cfg, name)
		if b != nil {
			bearable = append(bearable, b)
		}
		if w != nil {
			wrong = append(wrong, w)
		}
	}
	return bearable, wrong
}

func checkRing(cfg *config.Config, name string) (bearable, wrong error) {
	p, err := newPolicy(cfg, name)
	if err != nil {
		return nil, err
	}
	var s *seal
	if p.seal != "" {
		if s, err = readSeal(p.seal); err != nil {
			return nil, p.errorf("seal", "%w", err)
		}
	}
	rec, _, err := readRecord(p.file, s)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, p.errorf("file", "%w", err)
	case err == nil && p.admits(rec.set, rec.saved) != nil:
		return nil, p.admits(rec.set, rec.saved)
	case p.neighbour == nil:
		return nil, nil
	case !p.follow && (rec.set == nil || rec.set.followed):
		if _, err = firstKeySet(p, rec.set, time.Now()); err == nil {
			err = p.neighbour.checkFolder()
		}
		return nil, err
	}
	_, h, err := p.neighbour.read()
	switch {
	case err != nil || p.follow:
		return err, nil
	case rec.set.wrote(h):
		return p.neighbour.checkFolder(), nil
	}
	if _, err = rec.set.learn(h, rec.saved); err != nil {
		err = p.notOurs(err)
	}
	return err, nil
}
