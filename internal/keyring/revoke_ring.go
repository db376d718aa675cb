package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Beside a record stands the list of what was revoked. It is written first: whoever starts on a record that still has one of
// them, after a crash between the two, finishes what was begun. It has no secret.
const (
	revokedSuffix  = ".revoked"
	maxRevokedFile = 64 << 10
)

var (
	// ErrUnknownKeyName tells that a ring has no key of that id or fingerprint.
	ErrUnknownKeyName = errors.New("keyring: no such key")
	// ErrRevoked tells that it was revoked before.
	ErrRevoked = errors.New("keyring: the key was revoked already")
)

type revokedEntry struct {
	ID          string    `json:"id"`
	Fingerprint string    `json:"fingerprint"`
	Revoked     time.Time `json:"revoked"`
	Until       time.Time `json:"until"` // what was announced as its end
	NAKs        int       `json:"naks"`  // a second
}

func appendRevoked(all []*Revoked) []byte {
	entries := make([]revokedEntry, 0, len(all))
	for _, r := range all {
		entries = append(entries, revokedEntry{fmt.Sprintf("%08x", r.id), r.fingerprint, r.at.UTC(), r.until.UTC(), r.naks})
	}
	b, _ := json.MarshalIndent(entries, "", "  ") // texts and numbers
	return append(b, '\n')
}

func parseRevoked(b []byte) (all []*Revoked, err error) {
	var entries []revokedEntry
	if err := json.Unmarshal(b, &entries); err != nil {
		return nil, err
	}
	if len(entries) > maxRevoked {
		return nil, fmt.Errorf("it has %d entries, at most %d are kept", len(entries), maxRevoked)
	}
	for _, e := range entries {
		id, err := strconv.ParseUint(e.ID, 16, 32)
		if err != nil || e.Fingerprint == "" || e.NAKs < 1 || e.NAKs > MaxNAKs {
			return nil, errors.New("an entry lacks something")
		}
		all = append(all, newRevoked(uint32(id), e.Fingerprint, e.Revoked, e.Until, e.NAKs))
	}
	return all, nil
}

// openRevoked reads the list, and takes what is on it out of the record, where a crash has left it.
func (r *Ring) openRevoked(p policy) error {
	b, _, err := readKeys(p.file+revokedSuffix, maxRevokedFile, 0o022)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var all []*Revoked
	if err == nil {
		all, err = parseRevoked(b)
	}
	if err != nil {
		return p.errorf("file", "%s%s, the list of revoked keys: %w: restore it, or move it away after a look at what it revoked (the audit log tells)",
			p.file, revokedSuffix, err)
	}
	set := r.set.Load()
	if set == nil || p.follow {
		return nil
	}
	n := *set
	n.revoked = all
	r.set.Store(&n)
	for _, gone := range all {
		if i := slices.IndexFunc(r.set.Load().keys, func(k key) bool { return gone.is(&k) }); i >= 0 {
			if err := r.finishRevocation(p, i, gone); err != nil {
				return p.errorf("file", "the revocation of key %08x cannot be finished: %w", gone.id, err)
			}
			r.log.Warn("the revocation of a cookie key was finished, which the end of ntptsd had interrupted", "key", fmt.Sprintf("%08x", gone.id))
		}
	}
	return nil
}

func (r *Ring) finishRevocation(p policy, i int, gone *Revoked) error {
	set := r.set.Load()
	n, err := set.revoke(i, gone, p.alg, r.at, p.neighbour == nil)
	if err != nil {
		return err
	}
	n.revoked = set.revoked
	if err := r.write(p, record{saved: r.at, set: n}); err != nil {
		return err
	}
	r.set.Store(n)
	return nil
}

// saveRevoked writes the list. mu is held.
func (r *Ring) saveRevoked(all []*Revoked) error {
	path := r.policy.Load().file + revokedSuffix
	err := r.save(path, appendRevoked(all), 0o600)
	r.unlisted = err != nil
	return err
}

// tendRevoked forgets what would have ended by now, as far as anybody knows what time it is, and writes again what could not
// be written. mu is held.
func (r *Ring) tendRevoked() {
	set := r.set.Load()
	if set == nil || r.frozen || len(set.revoked) == 0 && !r.unlisted {
		return
	}
	n := *set
	if r.clock.Synchronised() {
		n.revoked = slices.DeleteFunc(slices.Clone(set.revoked), func(k *Revoked) bool { return !k.until.After(r.at) })
	}
	if len(n.revoked) == len(set.revoked) && !r.unlisted {
		return
	}
	if r.saveRevoked(n.revoked) == nil {
		r.set.Store(&n)
	}
}

// Revocable tells what the revocation of a key would mean, and changes nothing. ErrUnknownKeyName, ErrRevoked, ErrFollowed.
func (r *Ring) Revocable(name string) (api.Revocation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, err := r.toRevoke(name)
	if err != nil {
		return api.Revocation{}, err
	}
	return r.consequences(i), nil
}

// toRevoke finds the key. mu is held.
func (r *Ring) toRevoke(name string) (int, error) {
	p, set := r.policy.Load(), r.set.Load()
	if p.follow {
		return 0, fmt.Errorf("%w: what is in %s is theirs. Stop that daemon, move the file away, start it again: it makes new keys, and they are followed",
			ErrFollowed, p.neighbour.path)
	}
	i := set.named(name)
	if i >= 0 {
		return i, nil
	}
	for _, k := range set.revoked {
		if fmt.Sprintf("%08x", k.id) == name || k.fingerprint == name {
			return 0, fmt.Errorf("%w: %s, at %s", ErrRevoked, name, k.at.UTC().Format(time.RFC3339))
		}
	}
	return 0, fmt.Errorf("%w in ring %s: %.64q; keys lists ids and fingerprints", ErrUnknownKeyName, r.name, name)
}

// consequences are what it would mean to revoke the key at i. mu is held.
func (r *Ring) consequences(i int) api.Revocation {
	p, set := r.policy.Load(), r.set.Load()
	k := &set.keys[i]
	v := api.Revocation{Ring: r.name, Key: fmt.Sprintf("%08x", k.id), Fingerprint: k.fingerprint(), State: set.view()[i].State,
		PromisedUntil: k.acceptUntil.UTC(), Rotations: set.mints() - i, Also: []string{}}
	for _, k := range set.evicts(i, r.at) {
		v.Also = append(v.Also, fmt.Sprintf("%08x", k.id))
	}
	if i == set.mints() && p.neighbour != nil && (!set.published || !r.knows(p)) {
		v.Unknown = fmt.Sprintf("who reads %s may not know key %08x yet, which mints at once: until it has read the file, it refuses new cookies", p.neighbour.path, set.next().id)
	}
	return v
}

// Revoke ends a key now, whatever was promised, in memory first: whatever the disk says, no cookie under it counts any more.
// naks is how many a second of those who come with one are told to exchange keys anew. An unsynchronised clock is no
// hindrance. The neighbour is told to read its file, and asked, before it returns.
func (r *Ring) Revoke(ctx context.Context, name string, naks int) (api.Revocation, error) {
	v, err := r.revoke(name, naks)
	if v.Key == "" {
		return v, err
	}
	if q, _ := r.toAsk(true); q != nil {
		r.ask(ctx, q)
	}
	r.rouse()
	r.mu.Lock()
	defer r.mu.Unlock()
	set := r.set.Load()
	v.Current, v.Next, v.Problem = fmt.Sprintf("%08x", set.current().id), fmt.Sprintf("%08x", set.next().id), r.states.problem()
	return v, err
}

func (r *Ring) revoke(name string, naks int) (v api.Revocation, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.observe()
	if r.frozen {
		return v, ErrFrozen
	}
	if !r.policy.Load().follow && r.clock.Synchronised() {
		r.advance()
		r.adjust()
	}
	i, err := r.toRevoke(name)
	if err != nil {
		return v, err
	}
	p, set := r.policy.Load(), r.set.Load()
	k := &set.keys[i]
	gone := newRevoked(k.id, k.fingerprint(), r.at, k.acceptUntil, naks)
	n, err := set.revoke(i, gone, p.alg, r.at, p.neighbour == nil)
	if err != nil {
		return v, err // the policy has checked: cannot be
	}
	v = r.consequences(i)
	v.NAKs = naks
	r.set.Store(n)
	err = errors.Join(r.saveRevoked(n.revoked), r.record(n))
	r.metrics.revoked.Inc()
	r.log.Warn("cookie key revoked by an operator", "key", v.Key, "fingerprint", v.Fingerprint, "state", v.State,
		"promised_until", v.PromisedUntil, "current", n.current().fingerprint())
	r.unprove()
	r.mend()
	if err != nil {
		return v, fmt.Errorf("key %s counts no more, but is on disk still, and is back after a restart until this is written, which is tried again: %w", v.Key, err)
	}
	return v, nil
}

// Revoke revokes a key of a ring: see Ring.Revoke. ErrUnknownRing.
func (a *Rings) Revoke(ctx context.Context, ring, key string, naks int) (api.Revocation, error) {
	r, err := a.named(ring)
	if err != nil {
		return api.Revocation{}, err
	}
	return r.Revoke(ctx, key, naks)
}

// Revocable tells what that would mean: see Ring.Revocable. ErrUnknownRing.
func (a *Rings) Revocable(ring, key string) (api.Revocation, error) {
	r, err := a.named(ring)
	if err != nil {
		return api.Revocation{}, err
	}
	return r.Revocable(key)
}

func (a *Rings) named(ring string) (*Ring, error) {
	if r := a.rings[ring]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("%w: %.64q; keys lists them", ErrUnknownRing, ring)
}
