package frontdoor

import (
	"net"
	"sync"
)

// bounded is a listener that accepts no more while too many of its connections are open; the rest wait in the kernel.
type bounded struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	close  sync.Once
}

func newBounded(l net.Listener, most int) *bounded {
	return &bounded{Listener: l, slots: make(chan struct{}, most), closed: make(chan struct{})}
}

func (b *bounded) Accept() (net.Conn, error) {
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
	return &slotted{Conn: c, release: sync.OnceFunc(func() { <-b.slots })}, nil
}

func (b *bounded) Close() error {
	b.close.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

// slotted gives its slot back when it is closed.
type slotted struct {
	net.Conn
	release func()
}

func (s *slotted) Close() error {
	defer s.release()
	return s.Conn.Close()
}
