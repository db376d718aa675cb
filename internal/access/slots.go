package access

import (
	"errors"
	"net/netip"
	"sync"
)

// Why Acquire refuses.
var (
	ErrFull        = errors.New("access: all slots are taken")
	ErrNetworkFull = errors.New("access: all slots of this address or /64 are taken")
)

// Slots bound what is held at once, in total and by one IPv4 address or IPv6 /64. Safe for concurrent use.
type Slots struct {
	mu         sync.Mutex
	total      int // guarded by mu, as all below
	perNetwork int
	taken      int
	byNetwork  map[network]int // only those that hold a slot, so at most total of them
}

// NewSlots makes total slots, of which one network may hold perPrefix.
func NewSlots(total, perPrefix int) *Slots {
	return &Slots{total: total, perNetwork: perPrefix, byNetwork: make(map[network]int)}
}

// Resize changes both bounds. Slots that are held stay so; with too many of them none is given until enough came back.
func (s *Slots) Resize(total, perPrefix int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total, s.perNetwork = total, perPrefix
}

// Acquire takes a slot, or tells why not: ErrFull or ErrNetworkFull. Each slot taken is given back by one Release.
func (s *Slots) Acquire(addr netip.Addr) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := networkOf(addr)
	if s.byNetwork[n] >= s.perNetwork { // first, so that one network's excess is never counted as everybody's
		return ErrNetworkFull
	}
	if s.taken >= s.total {
		return ErrFull
	}
	s.taken++
	s.byNetwork[n]++
	return nil
}

// Release gives back a slot that Acquire gave for the same address.
func (s *Slots) Release(addr netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := networkOf(addr)
	if s.byNetwork[n] == 0 {
		panic("access: Release without Acquire")
	}
	s.taken--
	if s.byNetwork[n]--; s.byNetwork[n] == 0 {
		delete(s.byNetwork, n)
	}
}

// Taken is the number of slots held now.
func (s *Slots) Taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}
