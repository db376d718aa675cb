package keyring

import (
	"context"
	"errors"
	"fmt"
)

// ErrFrozen tells that no key rotates and no file is written, since a newer ntptsd is about to read them and go on.
var ErrFrozen = errors.New("keyring: another ntptsd is taking over the keys: try again when that is done")

// Freeze implements daemon.Handover: the records are as the keys in use are, and stay so. A neighbour's file is followed in
// memory.
func (a *Rings) Freeze(ctx context.Context) error {
	for i, r := range a.All() {
		if err := r.freeze(); err != nil {
			for _, frozen := range a.All()[:i] {
				frozen.thaw()
			}
			return err
		}
	}
	return nil
}

// Thaw implements daemon.Handover.
func (a *Rings) Thaw() {
	for _, r := range a.All() {
		r.thaw()
	}
}

func (r *Ring) freeze() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unlisted {
		if err := r.saveRevoked(r.set.Load().revoked); err != nil {
			return fmt.Errorf("%s: the list of revoked keys cannot be saved, and a newer ntptsd would not know all: %w", section(r.name), err)
		}
	}
	if r.dirty {
		if err := r.record(r.set.Load()); err != nil {
			return fmt.Errorf("%s: the record cannot be saved, and a newer ntptsd would not know all: %w", section(r.name), err)
		}
	}
	r.frozen = true
	return nil
}

func (r *Ring) thaw() {
	r.mu.Lock()
	r.frozen = false
	r.mu.Unlock()
	r.rouse()
}
