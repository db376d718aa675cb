package keyexchange

import (
	"strings"
	"sync/atomic"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/api"
)

// drains are what an operator has drained beside targets. They last until ntptsd ends.
type drains struct {
	host      atomic.Bool   // clients are sent to other targets, if there are any
	listeners []atomic.Bool // connections are closed at accept
}

// UseBans makes the server refuse whom they ban, before it looks at anything else. To be called before Run.
func (s *Server) UseBans(b *access.Bans) { s.bans = b }

// Banned counts the connections that were refused because their network is banned.
func (s *Server) Banned() uint64 { return s.metrics.connections[Banned].Load() }

// DrainHost lets this host have as few new clients as can be: they are sent to targets elsewhere, where there are such that
// are of use. It goes on answering, for who cannot go elsewhere must not lose its time; who steers clients by /readyz and
// /fit, which say no meanwhile, takes them away. Safe for concurrent use.
func (s *Server) DrainHost(drain bool) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if old := s.board.Load(); old != nil {
		b := *old
		b.drained = drain
		s.board.Store(&b)
	}
	if s.drains.host.Swap(drain) != drain {
		s.log.Info("this host was drained or serves again", "drained", drain)
	}
}

// Draining tells whether it is drained.
func (s *Server) Draining() bool { return s.drains.host.Load() }

// drainsToo tells whether a target is the host of the key exchange itself, one without a name, and that drains.
func (p *place) drainsToo(host bool) bool { return host && strings.HasPrefix(p.id, api.ThisHost) }

// Listeners are the addresses where it answers. Safe for concurrent use.
func (s *Server) Listeners() (all []api.Listener) {
	for i, l := range s.listeners {
		all = append(all, api.Listener{Name: l.Addr().String() + "/tcp", Service: "keyexchange", Transport: "tcp",
			Address: l.Addr().String(), Drains: true, Draining: s.drains.listeners[i].Load()})
	}
	return all
}

// DrainListener lets an address close what comes at once, or serve again. Exchanges under way finish. It tells whether there is
// that address. Safe for concurrent use.
func (s *Server) DrainListener(name string, drain bool) (known bool) {
	for i, l := range s.listeners {
		if l.Addr().String()+"/tcp" == name {
			s.drains.listeners[i].Store(drain)
			s.log.Info("a listener was drained or serves again", "address", name, "drained", drain)
			return true
		}
	}
	return false
}
