package keyexchange

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/ntptsd/ntptsd/protocol/ntske"
)

const (
	usualRequest = 512         // octets that any known client's request fits into
	lingerTime   = time.Second // a client that has read its response closes within a round trip
	maxLinger    = 16 << 10    // octets that a client may still send meanwhile

	// Octets on the wire: crypto/tls alone would gather 64 KiB of any message, and update keys for as long as it is asked to.
	maxHandshake = 16 << 10 // a ClientHello with post-quantum key shares takes 2 KiB
	maxFraming   = 17 << 10 // around a request: a record padded to the full (RFC 8446 section 5.4), or many small ones
)

var (
	errNoALPN  = errors.New("keyexchange: the client offers no ALPN")
	errTooMuch = errors.New("keyexchange: the client sends more than an exchange needs")
)

// exchange is one connection from accept to close: the net.Conn below TLS, and what is known of it. One goroutine's.
type exchange struct {
	net.Conn
	from     netip.Addr
	settings *settings // as they were at accept
	accepted time.Time
	room     int // octets that the client may still send

	greeted bool // the ClientHello is complete
	oldTLS  bool // and does not offer TLS 1.3
	noALPN  bool // or does not offer ntske/1
}

// until moves the one deadline of the connection; times count from accept, so that no stage can stretch another's.
func (e *exchange) until(t time.Duration) { _ = e.SetDeadline(e.accepted.Add(t)) }

// SetWriteDeadline is for crypto/tls, which gives its close_notify five seconds more whatever was set before.
func (e *exchange) SetWriteDeadline(t time.Time) error {
	if end := e.accepted.Add(e.settings.totalTime); t.After(end) {
		t = end
	}
	return e.Conn.SetWriteDeadline(t)
}

// Read bounds what the client may send until serve allows more.
func (e *exchange) Read(b []byte) (int, error) {
	if e.room <= 0 {
		return 0, errTooMuch
	}
	n, err := e.Conn.Read(b[:min(len(b), e.room)])
	e.room -= n
	return n, err
}

// greet is tls.Config.GetConfigForClient: the ClientHello is here, and nothing has been computed for it yet.
func greet(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	e := hello.Conn.(*exchange)
	e.greeted = true
	e.until(e.settings.requestTime)
	if !slices.Contains(hello.SupportedVersions, tls.VersionTLS13) {
		e.oldTLS = true
		return nil, nil // crypto/tls refuses it with the right alert
	}
	e.noALPN = !slices.Contains(hello.SupportedProtos, ntske.ALPN)
	if len(hello.SupportedProtos) == 0 {
		return nil, errNoALPN // crypto/tls would serve it; other offers it refuses with the right alert
	}
	return nil, nil
}

// serve runs one exchange. The error says more than the verdict, for the debug log.
func (s *Server) serve(e *exchange) (Verdict, error) {
	defer e.Close()
	e.until(e.settings.helloTime)
	e.room = maxHandshake
	conn := tls.Server(e, s.tls)
	if err := conn.Handshake(); err != nil {
		return s.failed(e, err), err
	}
	state := conn.ConnectionState()
	s.metrics.handshake(state.CurveID, time.Since(e.accepted))

	e.room = e.settings.maxMessage + maxFraming
	request, err := ntske.ReadMessage(conn, make([]byte, 0, usualRequest), e.settings.maxMessage)
	var a answer
	switch {
	case err == nil:
		a, err = e.settings.answer(question{request, e.from, &state, rand.Reader}, s.board.Load(), s.rings)
	case errors.Is(err, ntske.ErrTooLong), errors.Is(err, errTooMuch):
		a = failure(TooLarge, ntske.ErrorBadRequest)
	case errors.Is(err, ntske.ErrTruncated), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, os.ErrDeadlineExceeded):
		a = failure(Incomplete, ntske.ErrorBadRequest)
	default:
		return Gone, err
	}
	e.until(e.settings.totalTime)
	if _, err := conn.Write(a.response); err != nil {
		return Gone, err
	}
	s.metrics.answered(a)
	e.hangUp(conn)
	return a.verdict, err
}

// failed counts what is behind the verdict HandshakeFailed.
func (s *Server) failed(e *exchange, err error) Verdict {
	v := e.failedHandshake(err)
	if v == HandshakeFailed {
		s.metrics.failures[e.failure(err)].Add(1)
	}
	return v
}

func (e *exchange) failedHandshake(err error) Verdict {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && e.greeted:
		return HandshakeTimeout
	case errors.Is(err, os.ErrDeadlineExceeded):
		return HelloTimeout
	case e.noALPN:
		return NoALPN
	}
	if isHangUp(err) {
		return Gone
	}
	return HandshakeFailed
}

// isHangUp tells the end of a connection from what crypto/tls objects to; its alerts are net.OpErrors, too, of other Ops.
func isHangUp(err error) bool {
	var network *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) ||
		errors.As(err, &network) && (network.Op == "read" || network.Op == "write")
}

// hangUp says goodbye and waits a little for the end of the connection: closing a socket with unread octets resets it, and
// a reset can overtake the response. What still comes is not worth decrypting.
func (e *exchange) hangUp(conn *tls.Conn) {
	_ = conn.CloseWrite()
	if half, ok := e.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	end := e.accepted.Add(e.settings.totalTime)
	if linger := time.Now().Add(lingerTime); linger.Before(end) {
		end = linger
	}
	_ = e.SetDeadline(end)
	_, _ = io.CopyN(io.Discard, e.Conn, maxLinger)
}
