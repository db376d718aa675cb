package timeserver

import (
	"net/netip"
	"sync/atomic"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/api"
)

// UseBans makes the server refuse whom they ban, before it looks at anything else. To be called before Run.
func (s *Server) UseBans(b *access.Bans) {
	for _, w := range s.workers {
		w.responder.bans = b
	}
}

// Banned counts the requests that were refused because their network is banned.
func (s *Server) Banned() uint64 { return s.verdict(Banned) }

// drainOf is the switch that the workers of an address share.
func (s *Server) drainOf(at netip.AddrPort) *atomic.Bool {
	for _, w := range s.workers {
		if w.conn.LocalAddr() == at {
			return w.drained
		}
	}
	return new(atomic.Bool)
}

// Listeners are the addresses where it answers. Safe for concurrent use.
func (s *Server) Listeners() (all []api.Listener) {
	for i, w := range s.workers {
		if i > 0 && s.workers[i-1].conn.LocalAddr() == w.conn.LocalAddr() {
			continue
		}
		all = append(all, api.Listener{Name: listenerName(w.conn.LocalAddr()), Service: "timeserver", Transport: "udp",
			Address: w.conn.LocalAddr().String(), Drains: true, Draining: w.drained.Load()})
	}
	return all
}

func listenerName(a netip.AddrPort) string { return a.String() + "/udp" }

// DrainListener lets an address answer nobody any more, or again: clients that hear nothing ask another server. It tells
// whether there is that address. It lasts until ntptsd ends. Safe for concurrent use.
func (s *Server) DrainListener(name string, drain bool) (known bool) {
	for _, w := range s.workers {
		if listenerName(w.conn.LocalAddr()) == name {
			w.drained.Store(drain)
			known = true
		}
	}
	if known {
		s.log.Info("a socket was drained or serves again", "address", name, "drained", drain)
	}
	return known
}
