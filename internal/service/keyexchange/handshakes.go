package keyexchange

import (
	"fmt"
	"net/netip"
	"sync/atomic"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/visitors"
)

// Handshakes tells of all key exchanges since the start. Safe for concurrent use.
func (s *Server) Handshakes() api.Handshakes {
	m := s.metrics
	h := api.Handshakes{
		Open:        s.slots.Taken(),
		Connections: make([]api.Count, 0, verdicts),
		Failures:    make([]api.Count, 0, failures),
		Responses:   make([]api.Count, 0, len(m.responses)),
		Groups:      make([]api.Count, 0, len(m.groups)),
		Cookies:     m.cookies.Load(),
	}
	for v := range verdicts {
		h.Connections = append(h.Connections, count(v, &m.connections[v]))
	}
	for f := range failures {
		h.Failures = append(h.Failures, count(f, &m.failures[f]))
	}
	for i := range m.responses {
		h.Responses = append(h.Responses, count(sessionAEADs[i], &m.responses[i]))
	}
	for i := range m.groups {
		h.Groups = append(h.Groups, count(tlsGroups[i], &m.groups[i]))
	}
	q := m.latency.quantiles(.5, .9, .99)
	h.MedianSeconds, h.NinetiethSeconds, h.NinetyNinthSeconds = q[0], q[1], q[2]
	return h
}

func count(name fmt.Stringer, n *atomic.Uint64) api.Count {
	return api.Count{Name: name.String(), Count: n.Load()}
}

// Refused counts the connections that a limit has refused. Safe for concurrent use.
func (s *Server) Refused() (n uint64) {
	for _, v := range []Verdict{Full, NetworkFull, RateLimited} {
		n += s.metrics.connections[v].Load()
	}
	return n
}

// Visitors remember which networks make most key exchanges, refused ones included; nil without the section [keyexchange].
func (s *Server) Visitors() *visitors.Table { return s.visitors }

// remember counts a connection for its network. One lock does: the kernel gives us fewer connections than that can take.
func (s *Server) remember(from netip.Addr, v Verdict) {
	s.visitors.Begin()
	defer s.visitors.End()
	s.visitors.Add(from, v.kind())
}
