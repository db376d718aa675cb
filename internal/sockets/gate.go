package sockets

import (
	"net"
	"os"
	"sync"
	"syscall"
)

// gate keeps what a new ntptsd shares with the old one from its services until the old one has given it away: whoever comes
// before that is served by the old one, as if there were no new one.
type gate struct {
	opened chan struct{}
	once   sync.Once
}

func newGate() *gate { return &gate{opened: make(chan struct{})} }

func (g *gate) open() { g.once.Do(func() { close(g.opened) }) }

// gated is a listener behind a gate.
type gated struct {
	shared
	gate   *gate
	closed chan struct{}
	once   sync.Once
}

// shared is a listener that can be handed over.
type shared interface {
	net.Listener
	syscall.Conn
}

// behind puts listeners behind the gate; nil: there is none.
func (g *gate) behind(all []net.Listener) {
	for i, l := range all {
		all[i] = g.guard(l)
	}
}

func (g *gate) guard(l net.Listener) net.Listener {
	if s, ok := l.(shared); ok && g != nil {
		return &gated{shared: s, gate: g, closed: make(chan struct{})}
	}
	return l
}

func (g *gated) Accept() (net.Conn, error) {
	select {
	case <-g.gate.opened:
		return g.shared.Accept()
	case <-g.closed:
		return nil, &net.OpError{Op: "accept", Net: g.Addr().Network(), Addr: g.Addr(), Err: net.ErrClosed}
	}
}

func (g *gated) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.shared.Close()
}

// turnstile is the gate of one UDP socket, which Interrupt passes by, too.
type turnstile struct {
	gate        *gate
	interrupted chan struct{}
	once        sync.Once
	passed      bool // of the goroutine that reads
}

func newTurnstile(g *gate) *turnstile {
	if g == nil {
		return nil
	}
	return &turnstile{gate: g, interrupted: make(chan struct{})}
}

// wait returns when the socket may be read.
func (t *turnstile) wait() error {
	if t == nil || t.passed {
		return nil
	}
	select {
	case <-t.gate.opened:
		t.passed = true
		return nil
	case <-t.interrupted:
		return os.ErrDeadlineExceeded
	}
}

func (t *turnstile) interrupt() {
	if t != nil {
		t.once.Do(func() { close(t.interrupted) })
	}
}

// guard puts all that was opened behind the gate.
func (s *Set) guard() {
	if s.gate == nil {
		return
	}
	for _, all := range [][]net.Listener{s.KeyExchange, s.Monitoring, s.MonitoringPlain, s.Challenges.HTTP, s.Challenges.ALPN} {
		s.gate.behind(all)
	}
	if s.Control != nil {
		s.Control = s.gate.guard(s.Control)
	}
	for _, u := range s.Time {
		u.turn = newTurnstile(s.gate)
	}
}
