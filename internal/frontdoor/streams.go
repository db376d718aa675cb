package frontdoor

import (
	"net/netip"
	"sync"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Streams last for hours, so they have bounds of their own, below those of connections: who follows must not keep others from
// asking, nor one network all others from following.
const (
	maxStreams          = 1200 // in all
	maxStreamsOfNetwork = 1000

	// The same of a hundred connections, where there are few. HTTP has 70.
	shareOfStreams          = 60
	shareOfStreamsOfNetwork = 50
)

// streams counts those that are open, in all and by network.
type streams struct {
	most, mostOfNetwork int

	mu        sync.Mutex
	open      int // guarded by mu, as below
	byNetwork map[netip.Prefix]int
}

func newStreams(connections int) *streams {
	return &streams{
		most:          max(1, min(maxStreams, connections*shareOfStreams/100)),
		mostOfNetwork: max(1, min(maxStreamsOfNetwork, connections*shareOfStreamsOfNetwork/100)),
		byNetwork:     make(map[netip.Prefix]int),
	}
}

// enter counts one more, which leave takes back.
func (s *streams) enter(from netip.Addr) (leave func(), err error) {
	n := networkOf(from)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.byNetwork[n] >= s.mostOfNetwork:
		return nil, api.Failf(api.Unavailable, "your network has %d streams open already; try again later", s.mostOfNetwork)
	case s.open >= s.most:
		return nil, api.Failf(api.Unavailable, "%d streams are open already; try again later", s.most)
	}
	s.open++
	s.byNetwork[n]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
		if s.byNetwork[n]--; s.byNetwork[n] == 0 {
			delete(s.byNetwork, n)
		}
	}, nil
}

func (s *streams) opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// networkOf is an IPv4 address, an IPv6 /64 or one link-local address, the unit of all limits; of the control socket the
// zero one.
func networkOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() && !a.IsLinkLocalUnicast() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits) // fails for the zero address only
	return p
}
