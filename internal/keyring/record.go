package keyring

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// The record, our own file. Lines of words with one blank between; times in UTC. Keys stand oldest first, so that the
// last line is the next key and the one before it mints. The sum is SHA-256 over everything above its line.
//
//	ntptsd-keys 1
//	dialect native
//	rotate-every 24h0m0s
//	keep 7
//	published yes
//	saved 2026-11-22T10:00:00Z
//	# id aead created mint-from accept-until fingerprint secret
//	key 1c9b4f02 15 2026-11-21T10:00:00Z 2026-11-22T10:00:00Z 2026-11-30T10:00:00Z 5d0c1e7a 31479c92...
//	key e07a2d55 15 2026-11-22T10:00:00Z 2026-11-23T10:00:00Z 2026-12-01T10:00:00Z 0b91cc34 9927c252...
//	sum 6c1f...
//
// A followed set is version 2: it may have one key only, and below "published" a line tells which one mints,
//
//	mints 1c9b4f02
//
// Version 3 is a sealed one: see seal.
//
// There is one way to write a record: whatever does not come out again octet for octet as it was read is refused.
const (
	recordMagic   = "ntptsd-keys "
	recordColumns = "# id aead created mint-from accept-until fingerprint secret\n"
	sumLine       = "sum "

	maxRecord = 64 << 10 // octets of a record, which is bounded by nativeMaxKeys lines of 300
)

var (
	errTorn    = errors.New("is torn: its checksum is missing or wrong")
	errForeign = errors.New("is no key record of ntptsd")
	errVersion = errors.New("is a key record of another version of ntptsd")
)

// record is what the file holds: the set, and the time of the ring at which its ends were right.
type record struct {
	saved time.Time
	set   *KeySet

	sealed bool // it was when it was read
}

func (r record) appendTo(b []byte) []byte {
	start, s := len(b), r.set
	version, mints := "1", ""
	if s.followed {
		version, mints = "2", fmt.Sprintf("mints %08x\n", s.current().id)
	}
	b = fmt.Appendf(b, "%s%s\ndialect %v\nrotate-every %v\nkeep %d\npublished %s\n%ssaved %s\n%s", recordMagic, version,
		s.dialect, s.interval, s.keep, yesNo(s.published), mints, stamp(r.saved), recordColumns)
	for i := range s.keys {
		k := &s.keys[i]
		b = fmt.Appendf(b, "key %08x %d %s %s %s %s %s\n", k.id, k.alg,
			stamp(k.created), stamp(k.mintFrom), stamp(k.acceptUntil), k.fingerprint(), k.secret.hex())
	}
	sum := sha256.Sum256(b[start:])
	return fmt.Appendf(b, "%s%s\n", sumLine, hex.EncodeToString(sum[:]))
}

// parseRecord reads what appendTo wrote. Its errors show no secret.
func parseRecord(b []byte) (record, error) {
	version, _, _ := strings.Cut(string(b[:min(len(b), 64)]), "\n")
	version, ours := strings.CutPrefix(version, recordMagic)
	switch {
	case !ours && strings.HasPrefix(recordMagic, version): // cut off within the magic, or empty
		return record{}, errTorn
	case !ours:
		return record{}, errForeign
	}
	body, ok := checkSum(b)
	if !ok {
		return record{}, errTorn
	}
	if version != "1" && version != "2" { // after the sum, which all versions keep: a torn version is torn
		return record{}, fmt.Errorf("%w (%q)", errVersion, version)
	}
	r, err := parseBody(body)
	if err != nil {
		return record{}, err
	}
	if !bytes.Equal(r.appendTo(nil), b) {
		return record{}, errors.New("was not written by ntptsd: it says the same in other words")
	}
	return r, nil
}

// checkSum splits off the last line and compares.
func checkSum(b []byte) (body []byte, ok bool) {
	at := bytes.LastIndex(b, []byte("\n"+sumLine)) + 1
	body = b[:at]
	sum := sha256.Sum256(body)
	return body, string(b[at:]) == sumLine+hex.EncodeToString(sum[:])+"\n"
}

func parseBody(body []byte) (record, error) {
	r := record{set: &KeySet{}}
	var mints uint64
	for line := range strings.Lines(string(body)) {
		word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		var err error
		switch word {
		case "dialect":
			r.set.dialect, err = cookie.ParseDialect(rest)
		case "rotate-every":
			r.set.interval, err = time.ParseDuration(rest)
		case "keep":
			r.set.keep, err = strconv.Atoi(rest)
		case "published":
			r.set.published = rest == yesNo(true)
		case "mints":
			r.set.followed = true
			mints, err = strconv.ParseUint(rest, 16, 32)
		case "saved":
			r.saved, err = time.Parse(time.RFC3339Nano, rest)
		case "key":
			err = r.set.parseKey(rest)
		}
		if err != nil {
			return record{}, fmt.Errorf("has a wrong line %q: %w", word, err)
		}
	}
	if r.set.followed {
		r.set.primary = slices.IndexFunc(r.set.keys, func(k key) bool { return k.id == uint32(mints) })
	}
	return r, r.set.check()
}

// parseKey adds a key. It quotes nothing of the line, which holds the secret.
func (s *KeySet) parseKey(line string) error {
	words := strings.Split(line, " ")
	if len(words) != 7 {
		return errors.New("a key has 7 words")
	}
	id, err := strconv.ParseUint(words[0], 16, 32)
	if err != nil {
		return errors.New("key id")
	}
	alg, err := strconv.ParseUint(words[1], 10, 16)
	if err != nil {
		return errors.New("key aead")
	}
	k := key{id: uint32(id), alg: aead.ID(alg)}
	for i, at := range []*time.Time{&k.created, &k.mintFrom, &k.acceptUntil} {
		if *at, err = time.Parse(time.RFC3339Nano, words[2+i]); err != nil {
			return errors.New("key time")
		}
	}
	if k.secret, err = parseSecret(k.alg, words[6]); err != nil {
		return err
	}
	if k, err = k.sealing(s.dialect); err != nil {
		return err
	}
	s.keys = append(s.keys, k)
	return nil
}

// check is what every set keeps to, wherever it came from.
func (s *KeySet) check() error {
	least := 2
	switch {
	case s.dialect == cookie.Chrony:
		least = chronyKeys
	case s.followed:
		least = 1
	}
	if n := len(s.keys); n < least || n > maxKeys(s.dialect) {
		return fmt.Errorf("has %d keys, dialect %v takes %d to %d", n, s.dialect, least, maxKeys(s.dialect))
	}
	if s.mints() < 0 || s.mints() >= len(s.keys) {
		return errors.New("has no key that mints")
	}
	p := policy{section: "keyring", dialect: s.dialect, alg: s.current().alg, interval: s.interval, keep: s.keep}
	if err := p.check(); err != nil {
		return fmt.Errorf("has a wrong setting: %w", err)
	}
	seen := make(map[uint32]bool, len(s.keys))
	for i := range s.keys {
		id := s.keys[i].id
		if seen[id] {
			return fmt.Errorf("has two keys with the id %08x", id)
		}
		seen[id] = true
		if i > 0 && s.dialect == cookie.Chrony && id&3 != (s.keys[i-1].id+1)&3 {
			return fmt.Errorf("has the key %08x out of sequence for chronyd", id)
		}
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
