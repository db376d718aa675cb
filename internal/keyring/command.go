package keyring

import (
	"context"
	"fmt"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

// Rotate rotates now. It fails rather than break a promise: ErrUnsynchronised, ErrUnpublished, ErrPromised; ErrFollowed.
// What proves that the next key is known is the neighbour's answer alone: whoever copies its file to further hosts must have
// done so, and let them load it, before.
func (r *Ring) Rotate(ctx context.Context) error {
	if q, _ := r.toAsk(true); q != nil {
		r.ask(ctx, q) // what is known of the neighbour may be old
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.observe()
	p := r.policy.Load()
	switch {
	case r.frozen:
		return ErrFrozen
	case p.follow:
		return fmt.Errorf("%w: rotate them there, and %s is followed", ErrFollowed, p.neighbour.path)
	case !r.clock.Synchronised():
		return fmt.Errorf("%w: nothing rotates until it is", ErrUnsynchronised)
	}
	r.advance()
	if err := r.mayMint(p, r.adjust()); err != nil {
		return err
	}
	defer r.rouse()
	return r.rotate()
}

// mayMint tells why the next key must not mint yet, though somebody wants it to: nil if it has been in the neighbour's file
// for an interval, or if the neighbour has proved to know it and is next door. One that we cannot tell to read its file
// (NTPsec, or chronyd without neighbour-socket) may be one of several that read a copy, each in its time.
func (r *Ring) mayMint(p *policy, set *KeySet) error {
	switch {
	case p.neighbour == nil:
		return nil
	case r.states.neighbour.on():
		return fmt.Errorf("%w: %s", ErrUnpublished, r.states.neighbour)
	case !set.fits():
		return set.promises()
	case !r.knows(p):
		return fmt.Errorf("%w: %s", ErrUnpublished, r.states.unproved)
	case !set.due(r.at) && (!r.asks(p) || p.socket == "" || p.socket == config.None):
		return fmt.Errorf("%w: all who read the neighbour's file must have it for %v, until %s; then the keys rotate by themselves",
			ErrUnpublished, set.interval, set.next().mintFrom.Format(time.RFC3339))
	}
	return nil
}

// View tells about the ring, never a secret.
func (r *Ring) View() api.Ring {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, set := r.policy.Load(), r.set.Load()
	v := api.Ring{Name: r.name, Dialect: p.dialect.String(), Owner: p.owner, Keys: []api.Key{}, Problem: r.states.problem()}
	if p.neighbour != nil {
		v.NeighbourFile = p.neighbour.path
	}
	if set != nil {
		v.Keys = set.view()
	}
	if p.follow {
		return v
	}
	v.RotateEverySeconds = p.interval.Seconds()
	v.NextRotation = r.nextRotation()
	return v
}

// nextRotation is when the next key mints; nil if the neighbour decides, or if something must happen first.
func (r *Ring) nextRotation() *time.Time {
	p, set := r.policy.Load(), r.set.Load()
	if p.follow || set == nil || !set.published || !r.knows(p) || r.states.held.on() || r.states.full.on() {
		return nil
	}
	at := set.next().mintFrom
	return &at
}

func (s *KeySet) view() []api.Key {
	keys := make([]api.Key, 0, len(s.keys))
	for i := range s.keys {
		k, state := &s.keys[i], "old"
		switch {
		case i == s.mints():
			state = api.KeyCurrent
		case i > s.mints():
			state = api.KeyNext
		}
		keys = append(keys, api.Key{ID: fmt.Sprintf("%08x", k.id), Fingerprint: k.fingerprint(), AEAD: uint16(k.alg), State: state,
			Created: k.created, MintFrom: k.mintFrom, AcceptUntil: k.acceptUntil,
			AgeSeconds: max(time.Since(k.created).Seconds(), 0)})
	}
	return keys
}
