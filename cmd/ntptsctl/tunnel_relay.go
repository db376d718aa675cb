package main

import (
	"bufio"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/ntptsd/ntptsd/protocol/tunnel"
)

const (
	// sendTimeout is for a frame to be taken: a server that does not read is left.
	sendTimeout = 10 * time.Second
	// maxErrors in a row of the local socket.
	maxErrors = 100
	// trusted is how long a port that is silent stays the program's: somebody else may have it then.
	trusted = time.Second
)

// relay carries the datagrams that come to a local socket from one program, and the answers back.
type relay struct {
	local net.PacketConn
	dial  func() (net.Conn, error)       // again, when the server has ended the connection
	mine  func(from netip.AddrPort) bool // whether a datagram comes from the program

	mu    sync.Mutex
	asker net.Addr  // guarded by mu, as heard: the socket that asked last
	heard time.Time // when
}

// way is a connection and the goroutine that reads it.
type way struct {
	net.Conn
	ended chan struct{} // closed when nobody reads any more
}

// run carries until the local socket is closed. conn is the connection to begin with, and is closed too.
func (r *relay) run(conn net.Conn) {
	w := r.start(conn)
	defer func() { w.end() }()
	room := make([]byte, tunnel.MaxDatagram+1)
	for bad := 0; bad < maxErrors; {
		n, from, err := r.local.ReadFrom(room)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			bad++
			continue
		}
		bad = 0
		if n == 0 || n > tunnel.MaxDatagram || !r.accept(from) {
			continue
		}
		if w.send(room[:n]) == nil {
			continue
		}
		w.end()
		if conn, err = r.dial(); err != nil {
			continue // the program tries again, or gives up
		}
		w = r.start(conn)
		_ = w.send(room[:n])
	}
}

// accept remembers whom to answer.
func (r *relay) accept(from net.Addr) bool {
	udp, ok := from.(*net.UDPAddr)
	r.mu.Lock()
	defer r.mu.Unlock()
	last, known := r.asker.(*net.UDPAddr)
	same := ok && known && last.AddrPort() == udp.AddrPort() && time.Since(r.heard) <= trusted
	if !same && (!ok || !r.mine(udp.AddrPort())) {
		return false
	}
	r.asker, r.heard = from, time.Now()
	return true
}

func (r *relay) start(conn net.Conn) *way {
	w := &way{conn, make(chan struct{})}
	go func() {
		defer close(w.ended)
		defer conn.Close()
		in := bufio.NewReader(conn)
		room := make([]byte, tunnel.MaxDatagram)
		for {
			datagram, err := tunnel.ReadFrame(in, room)
			if err != nil {
				return
			}
			r.mu.Lock()
			asker := r.asker
			r.mu.Unlock()
			if asker != nil {
				_, _ = r.local.WriteTo(datagram, asker) // who does not wait any more loses it
			}
		}
	}()
	return w
}

// send fails when the connection has ended, too, which a write would not notice at once.
func (w *way) send(datagram []byte) error {
	select {
	case <-w.ended:
		return net.ErrClosed
	default:
	}
	frame, err := tunnel.AppendFrame(nil, datagram)
	if err != nil {
		return err
	}
	if err := w.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	_, err = w.Write(frame)
	return err
}

func (w *way) end() {
	_ = w.Close()
	<-w.ended
}
