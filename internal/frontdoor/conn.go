package frontdoor

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// conn is a connection with what it holds, below TLS. It gives that back when it is closed.
type conn struct {
	net.Conn
	port   *Port
	remote netip.Addr
	close  sync.Once

	// Of the goroutine that makes the handshake, until that is over.
	shaking bool
	said    int // octets that the peer has sent meanwhile

	computing atomic.Bool   // holds a place of Port.crypto
	closed    chan struct{} // by Close

	// Guarded by port.mu.
	protocol protocol    // set before anybody else closes it
	stranger bool        // has shown nothing yet, and
	life     *time.Timer // is closed by this
	warned   time.Time   // when it is to be told
	since    time.Time   // when it began to ask over HTTP, or ceased
	asking   bool
}

var errLongHandshake = errors.New("frontdoor: the peer says too much in its handshake")

// Read, in a handshake, gives the place for cryptography back while the peer is waited for, and takes one for what it said.
func (c *conn) Read(b []byte) (int, error) {
	if !c.shaking {
		return c.Conn.Read(b)
	}
	if c.said >= maxHandshake {
		return 0, errLongHandshake
	}
	c.computed()
	n, err := c.Conn.Read(b)
	if c.said += n; err != nil {
		return n, err
	}
	return n, c.compute()
}

// Write may wait for the peer, too.
func (c *conn) Write(b []byte) (int, error) {
	c.computed()
	return c.Conn.Write(b)
}

// compute waits for a place.
func (c *conn) compute() error {
	select {
	case c.port.crypto <- struct{}{}:
		c.computing.Store(true)
		return nil
	case <-c.closed:
		return net.ErrClosed
	}
}

// computed gives the place back.
func (c *conn) computed() {
	if c.computing.CompareAndSwap(true, false) {
		<-c.port.crypto
	}
}

func (c *conn) Close() error {
	err := net.ErrClosed
	c.close.Do(func() {
		err = c.Conn.Close()
		close(c.closed)
		c.computed()
		p := c.port
		p.mu.Lock()
		delete(p.open, c)
		c.unstrange()
		of := c.protocol
		p.mu.Unlock()
		p.budgets.release(of)
		p.Slots.Release(c.remote)
	})
	return err
}

// CloseWrite lets net/http end an answer without losing its end.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// under is our own connection below what it is wrapped in, nil if there is none.
func under(c net.Conn) *conn {
	for {
		switch outer := c.(type) {
		case *conn:
			return outer
		case *prefixed:
			c = outer.Conn
		case *tls.Conn:
			c = outer.NetConn()
		default:
			return nil
		}
	}
}

// prefixed is a connection whose first octets were read already.
type prefixed struct {
	net.Conn
	first []byte
	state *tls.ConnectionState // nil: there is no TLS
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.first) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

// CloseWrite is for net/http, as conn's.
func (p *prefixed) CloseWrite() error {
	if w, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// stateKey is where a request's context keeps the tls.ConnectionState that net/http does not see behind a prefixed;
// judgedKey where it keeps the judged of its connection.
type (
	stateKey  struct{}
	judgedKey struct{}
)

func withState(ctx context.Context, c net.Conn) context.Context {
	if p, ok := c.(*prefixed); ok && p.state != nil {
		ctx = context.WithValue(ctx, stateKey{}, p.state)
	}
	return context.WithValue(ctx, judgedKey{}, &judged{of: under(c)})
}

// connOf is the connection of a request, nil if it is none of ours.
func connOf(r *http.Request) *conn {
	if j, ok := r.Context().Value(judgedKey{}).(*judged); ok {
		return j.of
	}
	return nil
}

// seen lets the request have it.
func seen(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s, ok := r.Context().Value(stateKey{}).(*tls.ConnectionState); ok && r.TLS == nil {
			r.TLS = s
		}
		next.ServeHTTP(w, r)
	})
}

// judged is what became of a certificate: once it did not count it does not for the rest of its connection. To find out costs
// milliseconds, and a stranger's requests nothing.
type judged struct {
	of  *conn
	mu  sync.Mutex // one judgement at a time
	err error
}

func (j *judged) judge(d Doorkeeper, remote netip.Addr, state *tls.ConnectionState) (api.Caller, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return api.Caller{}, j.err
	}
	who, err := d.Connection(remote, state)
	j.err = err
	return who, err
}

// handed is a listener that others hand connections to.
type handed struct {
	ready  chan net.Conn
	closed chan struct{}
	close  sync.Once
}

func newHanded() *handed { return &handed{ready: make(chan net.Conn), closed: make(chan struct{})} }

// hand is false when nobody takes connections any more.
func (h *handed) hand(c net.Conn) bool {
	select {
	case h.ready <- c:
		return true
	case <-h.closed:
		return false
	}
}

func (h *handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.ready:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handed) Close() error {
	h.close.Do(func() { close(h.closed) })
	return nil
}

func (h *handed) Addr() net.Addr { return &net.TCPAddr{} }
