package keyring

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"golang.org/x/sys/unix"
)

// neighbour is the key file of the daemon next door.
type neighbour struct {
	section string // of the configuration
	dialect cookie.Dialect
	format  string
	path    string
}

func newNeighbour(p policy, path, format string) (*neighbour, error) {
	n := &neighbour{section: p.section, dialect: p.dialect, format: format, path: path}
	switch {
	case p.dialect == cookie.Native:
		return nil, p.errorf("neighbour-file", "no neighbour reads keys of the native dialect: set dialect, or leave it out")
	case p.follow: // whatever format it has
		return n, nil
	case format == nks0 && p.alg == aead.AES128GCMSIV:
		return nil, p.errorf("neighbour-format", "nks0 takes keys of %v only: set nks1, which chronyd 4.4 and later read",
			aead.AESSIVCMAC256)
	case p.dialect == cookie.Chrony && (format == nks0 || format == nks1), p.dialect == cookie.NTPsec && format == ntpsecKeys:
		return n, nil
	}
	return nil, p.errorf("neighbour-format", "%q is no format of dialect %v", format, p.dialect)
}

// read returns the file and its keys; neither if it is missing or empty, as somebody makes it to say who may read it. Its
// group may read, for that is how the neighbour may.
func (n *neighbour) read() ([]byte, *held, error) {
	b, _, err := readKeys(n.path, maxNeighbourFile, 0o027)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return nil, nil, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: ntptsd runs as user %d, who must be able to read it, as its owner or in its group", err, os.Geteuid())
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s.neighbour-file: %w", n.section, err)
	}
	h, err := parseFormat(n.dialect, b)
	if err != nil {
		return nil, nil, fmt.Errorf("%s.neighbour-file: %s is no key file of dialect %v (%w): it is left alone; "+
			"find out who wrote it, name another file, or move it away", n.section, n.path, n.dialect, err)
	}
	return b, h, nil
}

// checkFolder tells whether we can make the file, or a new one in its place.
func (n *neighbour) checkFolder() error {
	dir := filepath.Dir(n.path)
	if err := unix.Faccessat(unix.AT_FDCWD, dir+"/.", unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return fmt.Errorf("%s.neighbour-file: user %d cannot write to the folder %s (%w): correct the path, "+
			"or run ntptsd as a user who may, such as the neighbour's own", n.section, os.Geteuid(), dir, err)
	}
	return nil
}

// wrote tells whether s, or the set before it, can have been the source of a file. The set before it had keys that have
// ended since, but its newest are ours: that is the file after a crash between the record and it.
func (s *KeySet) wrote(h *held) bool { return h == nil || s.owns(h.keys[len(h.keys)-1]) }

// find is the key of s that is k, whatever its times; nil if there is none.
func (s *KeySet) find(k key) *key {
	if s == nil {
		return nil
	}
	i := slices.IndexFunc(s.keys, k.same)
	if i < 0 {
		return nil
	}
	return &s.keys[i]
}

func (k key) same(other key) bool {
	return k.id == other.id && k.alg == other.alg && k.secret == other.secret
}

// adopt makes a set of ours from the keys of a neighbour, so that no cookie of its dies. known is the set that we had of
// them, or nil.
func adopt(p policy, h *held, known *KeySet, at time.Time) (*KeySet, error) {
	s, err := h.set(p, known, at)
	if err != nil {
		return nil, err
	}
	if p.dialect == cookie.NTPsec { // has no next key: what stands first, mints
		next, err := s.freshKey(p.alg, at)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, next)
	}
	s.begin(at)
	s.promiseAdopted(known, at)
	return s, errors.Join(s.check(), p.admits(s, at))
}

// mirror is the set of a neighbour that owns the keys: exactly what its file holds.
func mirror(p policy, h *held, known *KeySet, at time.Time) (*KeySet, error) {
	s, err := h.set(p, known, at)
	if err != nil {
		return nil, err
	}
	s.published, s.followed, s.primary = true, true, h.primary
	if k := known.find(*s.current()); k == nil || known.current() != k {
		s.current().mintFrom = at
	}
	s.promiseAdopted(known, at)
	return s, s.check()
}

// set has the keys of a file, with the times that they had in the known set, if they were there.
func (h *held) set(p policy, known *KeySet, at time.Time) (*KeySet, error) {
	s := &KeySet{dialect: p.dialect, interval: p.interval, keep: p.keep}
	for _, k := range h.keys {
		k.created, k.mintFrom, k.acceptUntil = at, at, at
		if old := known.find(k); old != nil {
			k.created, k.mintFrom, k.acceptUntil = old.created, old.mintFrom, old.acceptUntil
		}
		k, err := k.sealing(p.dialect)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, k)
	}
	return s, nil
}

// promiseAdopted gives the keys what their maker promised, in its own intervals if those were longer: the current key and
// the newest old one may have minted until just now, and each older one has an interval less to live. What the known set
// has promised stays.
func (s *KeySet) promiseAdopted(known *KeySet, at time.Time) {
	most, interval := chronyKeys-2, 7*24*time.Hour
	switch s.dialect {
	case cookie.NTPsec:
		most, interval = ntpsecFileKeys-1, 24*time.Hour
	case cookie.NTPDRS:
		most, interval = 7, 24*time.Hour // its defaults
	}
	interval = max(interval, s.interval)
	for i := range s.keys {
		left := most
		if i < s.mints() {
			left = max(1, most-(s.mints()-1-i))
		}
		if i > s.mints() && !s.followed {
			break // begin has promised its life
		}
		s.keys[i].acceptUntil = later(s.keys[i].acceptUntil, at.Add(interval*time.Duration(left)))
	}
	for i := range s.keys {
		if old := known.find(s.keys[i]); old != nil {
			s.keys[i].acceptUntil = later(s.keys[i].acceptUntil, old.acceptUntil)
		}
	}
}
