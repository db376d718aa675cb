package frontdoor

import (
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/ntptsd/ntptsd/internal/api"
)

// bounded is a listener that accepts no more while too many of its connections are open; the rest wait in the kernel. Some
// are kept for admins: what the others hold open must not lock them out. It knows who is at the other end of each.
type bounded struct {
	net.Listener
	role   func(net.Conn) api.Caller
	slots  chan struct{} // everybody's
	others chan struct{} // those of them that callers below admin may hold
	closed chan struct{}
	close  sync.Once
}

func newBounded(l net.Listener, role func(net.Conn) api.Caller, most, forAdmins int) *bounded {
	return &bounded{Listener: l, role: role, slots: make(chan struct{}, most), others: make(chan struct{}, most-forAdmins),
		closed: make(chan struct{})}
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		select {
		case b.slots <- struct{}{}:
		case <-b.closed:
			return nil, net.ErrClosed
		}
		c, err := b.Listener.Accept()
		if err != nil {
			<-b.slots
			return nil, err
		}
		if s := b.admit(c); s != nil {
			return s, nil
		}
		refuse(c)
		<-b.slots
	}
}

// refuse answers before anything was asked. Nothing was written to the socket yet: this fits into its buffer.
func refuse(c net.Conn) {
	const status = http.StatusServiceUnavailable
	body, _ := encode(problemOf(status, api.Unavailable, "too many connections; try again later")) // never fails: strings
	_, _ = fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), problemMedia, len(body), body)
	_ = c.Close()
}

// admit gives the connection its slots, nil if it gets none.
func (b *bounded) admit(c net.Conn) *slotted {
	s := &slotted{Conn: c, caller: b.role(c)}
	if s.caller.Role == api.Admin {
		s.release = sync.OnceFunc(func() { <-b.slots })
		return s
	}
	select {
	case b.others <- struct{}{}:
		s.release = sync.OnceFunc(func() { <-b.others; <-b.slots })
		return s
	default:
		return nil
	}
}

func (b *bounded) Close() error {
	b.close.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

// slotted gives its slots back when it is closed.
type slotted struct {
	net.Conn
	caller  api.Caller
	release func()
}

func (s *slotted) Close() error {
	defer s.release()
	return s.Conn.Close()
}
