package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// errNotOurs tells that the neighbour's file has keys that the record does not know.
var errNotOurs = errors.New("holds keys that are not in the record")

// neighbour is the key file of the daemon next door.
type neighbour struct {
	dialect cookie.Dialect
	format  string
	path    string
}

func newNeighbour(d cookie.Dialect, alg aead.ID, path, format string) (*neighbour, error) {
	if format == "" && d == cookie.Chrony {
		format = nks0
	}
	if format == "" && d == cookie.NTPsec {
		format = ntpsecKeys
	}
	switch n := (&neighbour{dialect: d, format: format, path: path}); {
	case d == cookie.Native:
		return nil, errors.New("keyring.neighbour-file: no neighbour reads keys of the native dialect: set dialect, or leave it out")
	case format == nks0 && alg == aead.AES128GCMSIV:
		return nil, fmt.Errorf("keyring.neighbour-format: nks0 takes keys of %v only: set nks1, which chronyd 4.4 and later read",
			aead.AESSIVCMAC256)
	case d == cookie.Chrony && (format == nks0 || format == nks1), d == cookie.NTPsec && format == ntpsecKeys:
		return n, nil
	}
	return nil, fmt.Errorf("keyring.neighbour-format: %q is no format of dialect %v", format, d)
}

// read returns the text of the file and its keys, newest first; neither if it is missing or empty, as somebody makes
// it to say who may read it. Its group may read, for that is how the neighbour may.
func (n *neighbour) read() ([]byte, []key, error) {
	b, _, err := readKeys(n.path, maxNeighbourFile, 0o027)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("keyring.neighbour-file: %w", err)
	}
	keys, err := parseFormat(n.dialect, string(b))
	if err != nil {
		return nil, nil, fmt.Errorf("keyring.neighbour-file: %s is no key file of dialect %v (%w): "+
			"it is left alone; name another file, or move it away", n.path, n.dialect, err)
	}
	if n.dialect == cookie.Chrony {
		slices.Reverse(keys)
	}
	return b, keys, nil
}

// write brings the file up to the set, if it is ours to write and not there yet.
func (n *neighbour) write(s *KeySet, replace writer) error {
	old, keys, err := n.read()
	if err != nil {
		return err
	}
	if !s.wrote(keys) {
		return fmt.Errorf("keyring.neighbour-file: %s %w, as if the neighbour rotated them itself: it is left alone; "+
			"stop that (ntsrotate 0 for chronyd), then move the file away", n.path, errNotOurs)
	}
	text := appendFormat(nil, n.format, s.keys)
	if bytes.Equal(old, text) {
		return nil
	}
	if err := replace(n.path, text, 0o600); err != nil {
		return fmt.Errorf("keyring.neighbour-file: %s: %w", n.path, err)
	}
	return nil
}

// wrote tells whether s, or the set before it, can have been the source of the keys, newest first. The set before it had
// keys that have ended since, but its newest are ours: that is the file after a crash between the record and it.
func (s *KeySet) wrote(keys []key) bool { return len(keys) == 0 || s.has(keys[0]) }

func (s *KeySet) has(k key) bool {
	return slices.ContainsFunc(s.keys, func(own key) bool {
		return own.id == k.id && own.alg == k.alg && own.secret == k.secret
	})
}

// adopt makes the first set from the keys of a neighbour, newest first, so that no cookie of its dies.
func adopt(p policy, keys []key, at time.Time) (*KeySet, error) {
	s := &KeySet{dialect: p.dialect, interval: p.interval, keep: p.keep}
	for _, k := range slices.Backward(keys) {
		k.created, k.mintFrom, k.acceptUntil = at, at, at
		k, err := k.sealing(p.dialect)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, k)
	}
	if p.dialect == cookie.NTPsec { // has no next key: what stands first, mints
		next, err := s.freshKey(p.alg, at)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, next)
	}
	s.begin(at)
	s.promiseAdopted(at)
	return s, errors.Join(s.check(), p.admits(s, at))
}

// promiseAdopted gives the keys what their maker promised, in its own intervals if those were longer: the current key and
// the newest old one may have minted until just now, and each older one has an interval less to live.
func (s *KeySet) promiseAdopted(at time.Time) {
	most, interval := chronyKeys-2, 7*24*time.Hour
	if s.dialect == cookie.NTPsec {
		most, interval = ntpsecFileKeys-1, 24*time.Hour
	}
	interval = max(interval, s.interval)
	current, old := s.current(), s.old()
	current.acceptUntil = later(current.acceptUntil, at.Add(interval*time.Duration(most)))
	for i := range old {
		left := max(1, most-(len(old)-1-i))
		old[i].acceptUntil = at.Add(interval * time.Duration(left))
	}
}
