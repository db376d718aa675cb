package keyring

import (
	"context"
	"fmt"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Rotate rotates now. It fails rather than break a promise: ErrUnsynchronised, ErrUnpublished, ErrPromised; ErrFollowed.
func (r *Ring) Rotate(ctx context.Context) error {
	if k, _ := r.toAsk(true); k != nil {
		r.ask(ctx, k) // what is known of the neighbour may be old
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.observe()
	p := r.policy.Load()
	switch {
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

// mayMint tells why the next key must not mint yet, though somebody wants it to: nil if whoever reads the neighbour's file
// has proved to know it or has had it for an interval.
func (r *Ring) mayMint(p *policy, set *KeySet) error {
	switch {
	case p.neighbour == nil:
		return nil
	case r.states.neighbour.on():
		return fmt.Errorf("%w: %s", ErrUnpublished, r.states.neighbour)
	case !r.knows(p):
		return fmt.Errorf("%w: %s", ErrUnpublished, r.states.unproved)
	case !r.asks(p) && !set.due(r.at):
		return fmt.Errorf("%w: the neighbour must know it for %v, until %s; then the keys rotate by themselves",
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
	if set.published && r.knows(p) && !r.states.held.on() {
		at := set.next().mintFrom
		v.NextRotation = &at
	}
	return v
}

func (s *KeySet) view() []api.Key {
	keys := make([]api.Key, 0, len(s.keys))
	for i := range s.keys {
		k, state := &s.keys[i], "old"
		switch {
		case i == s.mints():
			state = "current"
		case i > s.mints():
			state = "next"
		}
		keys = append(keys, api.Key{ID: fmt.Sprintf("%08x", k.id), Fingerprint: k.fingerprint(), AEAD: uint16(k.alg), State: state,
			Created: k.created, MintFrom: k.mintFrom, AcceptUntil: k.acceptUntil})
	}
	return keys
}
