package certs

import (
	"context"
	"errors"
	"slices"
	"time"
)

const freezePoll = 20 * time.Millisecond

// Freeze implements daemon.Handover: no renewal begins any more, and those under way are waited for, since what an authority
// answers must be written down by the one who asked.
func (f *Files) Freeze(ctx context.Context) error {
	f.setFrozen(true)
	for f.renewing() {
		select {
		case <-ctx.Done():
			f.setFrozen(false)
			return errors.New("a certificate is being renewed: try again when certs says that it is")
		case <-time.After(freezePoll):
		}
	}
	return nil
}

// Thaw ends that.
func (f *Files) Thaw() { f.setFrozen(false) }

func (f *Files) setFrozen(frozen bool) {
	if s := f.house.storage; s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.frozen = frozen
	}
}

// renewing tells whether a keeper does something that is written, one that a reload has replaced among them.
func (f *Files) renewing() bool {
	f.mu.Lock()
	all := slices.Concat(f.keepers, f.replaced)
	f.mu.Unlock()
	return slices.ContainsFunc(all, (*keeper).isRenewing)
}

func (k *keeper) isRenewing() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.renews
}

func (s *storage) isFrozen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.frozen
}
