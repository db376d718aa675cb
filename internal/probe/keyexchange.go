package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/ntptsd/ntptsd/internal/api/view"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/ntske"
)

// maxResponse is what a client should accept at most, RFC 8915 section 4.
const maxResponse = 65536

// maxCookies kept: what a client needs, RFC 8915 section 4.1.6; a server that sends more gains nothing.
const maxCookies = 8

// session is what a key exchange leaves: two keys and the cookies not yet spent.
type session struct {
	c2s, s2c *aead.AEAD
	initial  [][]byte // from the key exchange
	returned [][]byte // from the time server
	refilled bool     // it has returned some
}

// exchangeKeys runs NTS-KE, RFC 8915 section 4, and says where the time server is.
func exchangeKeys(ctx context.Context, o Options) (*session, *KE, netip.AddrPort, error) {
	var none netip.AddrPort
	start := time.Now()
	conn, err := dial(ctx, o)
	if err != nil {
		return nil, nil, none, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	state := conn.ConnectionState()
	if state.NegotiatedProtocol != ntske.ALPN {
		return nil, nil, none, fmt.Errorf("probe: the server did not select %q by ALPN: this port does not speak NTS-KE", ntske.ALPN)
	}
	resp, err := ask(conn, o.offered())
	if err != nil && ctx.Err() != nil {
		return nil, nil, none, fmt.Errorf("probe: the key exchange did not end: %w", context.Cause(ctx))
	}
	if err != nil {
		return nil, nil, none, err
	}
	if len(resp.AEADs) == 0 {
		return nil, nil, none, errors.New("probe: the server supports none of the AEADs offered; try others with --aead")
	}
	s, err := newSession(&state, resp)
	if err != nil {
		return nil, nil, none, err
	}
	ke := describe(&state, resp, time.Since(start))
	ke.Address = conn.RemoteAddr().String()
	host := resp.Server
	if host == "" {
		host = netip.MustParseAddrPort(ke.Address).Addr().String()
	}
	server, err := resolve(ctx, host, orPort(resp.Port, ntpPort))
	if err != nil && resp.Server != "" { // the server's fault, not the asker's: no DNSError to be matched
		err = fmt.Errorf("probe: the key exchange sends its clients to %q, which cannot be resolved: %v", resp.Server, err)
	}
	return s, ke, server, err
}

func (o Options) offered() []aead.ID {
	if len(o.AEADs) == 0 {
		return []aead.ID{aead.AESSIVCMAC256}
	}
	return o.AEADs
}

func dial(ctx context.Context, o Options) (*tls.Conn, error) {
	d := tls.Dialer{
		NetDialer: &net.Dialer{},
		Config: &tls.Config{
			MinVersion:             tls.VersionTLS13,
			NextProtos:             []string{ntske.ALPN},
			ServerName:             o.Host,
			RootCAs:                o.Roots,
			SessionTicketsDisabled: true,
		},
	}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(o.Host, strconv.Itoa(int(kePort(o)))))
	if err != nil {
		return nil, err
	}
	return conn.(*tls.Conn), nil
}

// ask sends the request and reads the response.
func ask(conn *tls.Conn, offered []aead.ID) (ntske.Response, error) {
	req := ntske.Request{
		Protocols: []uint16{0},
		AEADs:     offered,
		Compliant: slices.Contains(offered, aead.AES128GCMSIV),
	}
	if _, err := conn.Write(req.AppendTo(nil)); err != nil {
		return ntske.Response{}, err
	}
	b, err := ntske.ReadMessage(conn, nil, maxResponse)
	if err != nil {
		return ntske.Response{}, err
	}
	resp, err := ntske.ParseResponse(b)
	if err != nil {
		return ntske.Response{}, err
	}
	if len(resp.AEADs) == 1 && !slices.Contains(offered, resp.AEADs[0]) {
		return ntske.Response{}, fmt.Errorf("probe: the server chose %v, which was not offered", resp.AEADs[0])
	}
	if len(resp.AEADs) == 1 && len(resp.Cookies) == 0 {
		return ntske.Response{}, errors.New("probe: the server sent no cookie")
	}
	return resp, nil
}

func newSession(state *tls.ConnectionState, resp ntske.Response) (*session, error) {
	id := resp.AEADs[0]
	c2s, s2c, err := ntske.ExportKeys(state, id, resp.Compliant)
	if err != nil {
		return nil, err
	}
	s := &session{}
	if s.c2s, err = aead.New(id, c2s); err != nil {
		return nil, err
	}
	if s.s2c, err = aead.New(id, s2c); err != nil {
		return nil, err
	}
	for _, c := range resp.Cookies[:min(len(resp.Cookies), maxCookies)] {
		s.initial = append(s.initial, slices.Clone(c))
	}
	return s, nil
}

// describe fills in what an operator wants to see of a key exchange.
func describe(state *tls.ConnectionState, resp ntske.Response, took time.Duration) *KE {
	ke := &KE{
		Duration:   took,
		Seconds:    took.Seconds(),
		TLSVersion: tls.VersionName(state.Version),
		Group:      state.CurveID.String(),
		AEAD:       resp.AEADs[0].String(),
		Compliant:  resp.Compliant,
		Cookies:    len(resp.Cookies),
		CookieLen:  len(resp.Cookies[0]),
		Server:     resp.Server,
		Port:       resp.Port,
	}
	if cert := earliestExpiry(state.VerifiedChains); cert != nil {
		ke.Expires, ke.ExpiresOf = cert.NotAfter, view.Printable(cert.Subject.String())
	}
	return ke
}

// earliestExpiry is the certificate whose end ends the best chain first. Several chains: the one that lasts longest
// counts, since a client needs only one.
func earliestExpiry(chains [][]*x509.Certificate) *x509.Certificate {
	var best *x509.Certificate
	for _, chain := range chains {
		first := slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
		if best == nil || first.NotAfter.After(best.NotAfter) {
			best = first
		}
	}
	return best
}
