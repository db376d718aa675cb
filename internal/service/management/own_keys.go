package management

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/keyring"
)

// Revoker ends cookie keys before their time. Safe for concurrent use.
type Revoker interface {
	// Revocable tells what it would mean, and changes nothing.
	Revocable(ring, key string) (api.Revocation, error)
	Revoke(ctx context.Context, ring, key string, naks int) (api.Revocation, error)
}

// revokeKey plans what nothing undoes.
func (s *Service) revokeKey(_ context.Context, who api.Caller, a api.RevokeArg) (c api.Change[api.Revocation], err error) {
	switch {
	case a.Ring == "" || a.Key == "":
		return c, api.Failf(api.BadArgument, "name a ring and a key, as keys shows them")
	case a.NAKs == 0:
		a.NAKs = keyring.DefaultNAKs
	case a.NAKs < 1 || a.NAKs > keyring.MaxNAKs:
		return c, api.Failf(api.BadArgument, "naks %d: must be from 1 to %d", a.NAKs, keyring.MaxNAKs)
	}
	v, err := s.Revoker.Revocable(a.Ring, a.Key)
	if errors.Is(err, keyring.ErrRevoked) {
		c.Summary, c.Result = fmt.Sprintf("revoke key %.64s of ring %s", a.Key, a.Ring), api.Revocation{Ring: a.Ring, Key: a.Key}
		return c, nil
	}
	if err != nil {
		return c, ofRing(kindOfRevocation(err), err)
	}
	c.Summary = fmt.Sprintf("revoke the %s key %s (%s) of ring %s: cookies under it count no more, though they were promised until %s%s",
		v.State, v.Key, v.Fingerprint, v.Ring, v.PromisedUntil.Format(time.RFC3339), s.opened(v.Rotations))
	c.Before = fmt.Sprintf("the %s key", v.State)
	c.After = revoked(v, a.NAKs)
	c.Do = func(ctx context.Context) (api.Revocation, error) {
		done, err := s.Revoker.Revoke(ctx, a.Ring, a.Key, a.NAKs)
		if done.Key != "" {
			s.tell(api.EventKey, api.Warning, "ring %s: key %s (%s) was revoked by %s; key %s mints now", done.Ring, done.Key, done.Fingerprint, who.Name, done.Current)
		}
		return done, ofRing(kindOfRevocation(err), err)
	}
	return c, nil
}

func revoked(v api.Revocation, naks int) string {
	all := []string{fmt.Sprintf("gone; %d clients a second are told to exchange keys anew, the others get no answer until they ask again", naks)}
	if v.State == api.KeyCurrent {
		all = append(all, "the next key mints at once")
	}
	if len(v.Also) > 0 {
		all = append(all, "key "+strings.Join(v.Also, ", ")+" ends with it, before its time: chronyd has room for four keys")
	}
	if v.Unknown != "" {
		all = append(all, v.Unknown)
	}
	return strings.Join(all, "; ")
}

// opened is how many cookies under a key of that age have come back, as a measure of who is concerned.
func (s *Service) opened(rotations int) string {
	name := map[int]string{-1: "next", 0: "current"}[rotations]
	if name == "" {
		name = fmt.Sprint(rotations)
	}
	for _, c := range s.Opened() {
		if c.Name == name {
			return fmt.Sprintf("; %d cookies of keys of its age have come back since ntptsd started", c.Count)
		}
	}
	return ""
}

func kindOfRevocation(err error) api.Kind {
	switch {
	case errors.Is(err, keyring.ErrUnknownKeyName), errors.Is(err, keyring.ErrUnknownRing):
		return api.NotFound
	case errors.Is(err, keyring.ErrFollowed):
		return api.Conflict
	case errors.Is(err, keyring.ErrFrozen):
		return api.Unavailable
	}
	return api.Unavailable // the key counts no more, but a disk fails: the text says what that means
}
