package frontdoor

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/tunnel"
)

func (p *Port) tlsConfig() *tls.Config {
	c := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             alpns(),
		GetCertificate:         p.Certificates.GetCertificate,
		SessionTicketsDisabled: true, // whose certificate is judged once more after a reload
	}
	c.GetConfigForClient = p.greet
	return c
}

// greet chooses the client authorities, which change with a reload. Connections share a configuration until they do.
func (p *Port) greet(*tls.ClientHelloInfo) (*tls.Config, error) {
	asks, authorities := p.Doorkeeper.ClientCertificates()
	if c := p.greeting.Load(); c != nil && c.ClientAuth == asks && c.ClientCAs == authorities {
		return c, nil
	}
	c := p.tls.Clone()
	c.GetConfigForClient = nil
	c.ClientAuth, c.ClientCAs = asks, authorities
	p.greeting.Store(c)
	return c, nil
}

// beginTLS makes the handshake and hands the connection to the protocol that was agreed upon.
func (p *Port) beginTLS(ctx context.Context, c *conn) {
	t := tls.Server(c, p.tls)
	c.shaking = true
	shaking, cancel := context.WithTimeout(ctx, p.HelloTimeout)
	err := t.HandshakeContext(shaking)
	cancel()
	c.computed()
	c.shaking = false
	if err != nil {
		p.log.Debug("a handshake failed", "from", c.remote, "error", err)
		p.metrics.count(ofNone, handshakeFailed)
		_ = c.Close()
		return
	}
	state := t.ConnectionState()
	if state.NegotiatedProtocol == "" { // a person with openssl s_client, or an HTTP client that knows no ALPN
		p.beginUnnamed(ctx, c, t, &state)
		return
	}
	p.begin(ctx, c, t, byALPN(state.NegotiatedProtocol), &state)
}

func (p *Port) beginPlain(ctx context.Context, c *conn) { p.beginUnnamed(ctx, c, c, nil) }

// beginUnnamed looks at the first octets, and greets whoever waits to be greeted.
func (p *Port) beginUnnamed(ctx context.Context, c *conn, over net.Conn, state *tls.ConnectionState) {
	first, http := sniff(over)
	of := ofLine
	if http {
		of = ofHTTP
	}
	p.begin(ctx, c, &prefixed{over, first, state}, of, state)
}

// begin serves a connection whose protocol is known. HTTP goes to a server of its own; the others end with us.
func (p *Port) begin(ctx context.Context, c *conn, over net.Conn, of protocol, state *tls.ConnectionState) {
	served := [protocols]Protocol{ofLine: p.Line, ofMode6: p.Mode6, ofCmdmon: p.Cmdmon}[of]
	if of != ofHTTP && served == nil {
		p.refuse(over, of, notServed, "this is not served here", state)
		return
	}
	const tooMany = "too many connections; try again later"
	if of == ofHTTP { // who asks is found out for each request
		if !c.belongs(of, true) {
			p.refuse(over, of, crowded, tooMany, state)
			return
		}
		p.metrics.count(of, accepted)
		if !p.handed.hand(over) {
			_ = over.Close()
		}
		return
	}
	who, err := p.Doorkeeper.Connection(c.remote, state)
	if err != nil {
		p.refuse(over, of, unknown, err.Error(), state)
		return
	}
	stranger := who.Role == api.Anonymous
	if !c.belongs(of, stranger) {
		p.refuse(over, of, crowded, tooMany, state)
		return
	}
	p.metrics.count(of, accepted)
	if stranger {
		over = &guest{over, c}
	}
	served.Serve(ctx, over, who)
	_ = over.Close()
}

// refuse says why as the protocol would, where a client can take it without having asked, and ends.
func (p *Port) refuse(over net.Conn, of protocol, v verdict, why string, state *tls.ConnectionState) {
	p.metrics.count(of, v)
	_ = over.SetWriteDeadline(time.Now().Add(refusalTimeout))
	switch {
	case of == ofHTTP && (state == nil || state.NegotiatedProtocol != "h2"):
		refuse(over)
		return
	case of == ofLine && v == unknown:
		_, _ = fmt.Fprintf(over, "%d %s\r\n", lineLogIn, why)
	case of == ofLine:
		_, _ = fmt.Fprintf(over, "%d %s\r\n", lineBusy, why)
	case of == ofMode6, of == ofCmdmon: // it stands where the answer to a greeting would
		frame, _ := tunnel.AppendFrame(nil, tunnel.AppendAnswer(nil, why)) // never fails: a reason is cut
		_, _ = over.Write(frame)
	}
	_ = over.Close()
}

// The console's codes.
const (
	lineBusy  = 450 // try again later
	lineLogIn = 530
)

// methods are how a request begins.
var methods = [...]string{"GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE ", "OPTIONS ", "CONNECT ", "TRACE "} // never assigned again

// longestMethod is how many octets sniff looks at.
const longestMethod = len("OPTIONS ")

// isHTTP tells whether the first octets of a connection are those of a request; undecided: they may still become it.
func isHTTP(first []byte) (http, undecided bool) {
	for _, m := range methods {
		switch {
		case bytes.HasPrefix(first, []byte(m)):
			return true, false
		case len(first) < len(m) && bytes.HasPrefix([]byte(m), first):
			undecided = true
		}
	}
	return false, undecided
}

// sniff reads as little as it takes to tell HTTP from lines, for firstOctets at most: people wait to be greeted.
func sniff(c net.Conn) (first []byte, http bool) {
	_ = c.SetReadDeadline(time.Now().Add(firstOctets))
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	var b [longestMethod]byte
	for n := 0; n < len(b); {
		more, err := c.Read(b[n:])
		n += more
		first = b[:n]
		http, undecided := isHTTP(first)
		if http || !undecided || err != nil {
			return first, http
		}
	}
	return first, false
}
