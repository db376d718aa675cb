package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

const (
	maxVisitors    = 64              // connections at once of a socket: everybody looks at ports 80 and 443
	visitorTimeout = 5 * time.Second // for all of a visit
	maxHead        = 4096            // octets of a request
)

// Challenges answers authorities on ports 80 and 443, while there is something to answer. A daemon.Service.
type Challenges struct {
	http, alpn []net.Listener

	mu           sync.Mutex
	tokens       map[string]string           // guarded by mu; path to answer
	certificates map[string]*tls.Certificate // guarded by mu; server name to what proves it
}

// NewChallenges will serve on the sockets for http-01 and for tls-alpn-01, and close them in the end.
func NewChallenges(http, alpn []net.Listener) *Challenges {
	return &Challenges{http: http, alpn: alpn, tokens: make(map[string]string), certificates: make(map[string]*tls.Certificate)}
}

// Run serves until ctx is done. That a socket breaks is a challenge that fails, and no reason to end.
func (c *Challenges) Run(ctx context.Context) error {
	server := &http.Server{Handler: http.HandlerFunc(c.answer), ReadTimeout: visitorTimeout, WriteTimeout: visitorTimeout, MaxHeaderBytes: maxHead,
		ErrorLog: log.New(io.Discard, "", 0)}
	server.SetKeepAlivesEnabled(false)
	var tasks sync.WaitGroup
	for _, l := range c.http {
		tasks.Go(func() { server.Serve(&limited{Listener: l, room: make(chan struct{}, maxVisitors)}) })
	}
	for _, l := range c.alpn {
		tasks.Go(func() { c.serveALPN(&limited{Listener: l, room: make(chan struct{}, maxVisitors)}) })
	}
	<-ctx.Done()
	server.Close()
	for _, l := range slices.Concat(c.http, c.alpn) {
		l.Close()
	}
	tasks.Wait()
	return nil
}

func (c *Challenges) answer(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	text, ok := c.tokens[r.URL.Path]
	c.mu.Unlock()
	if !ok || r.Method != http.MethodGet {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream") // RFC 8555 section 8.3
	io.WriteString(w, text)
}

func (c *Challenges) serveALPN(l net.Listener) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{acmez.ACMETLS1Protocol}, GetCertificate: c.proof, SessionTicketsDisabled: true}
	var visits sync.WaitGroup
	defer visits.Wait()
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(100 * time.Millisecond) // descriptors may be short
			continue
		}
		visits.Go(func() {
			defer conn.Close()
			if !c.pending() {
				return
			}
			conn.SetDeadline(time.Now().Add(visitorTimeout))
			tls.Server(conn, config).Handshake()
		})
	}
}

func (c *Challenges) pending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.certificates) > 0
}

func (c *Challenges) proof(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	certificate, ok := c.certificates[strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))]
	if !ok || !slices.Contains(hello.SupportedProtos, acmez.ACMETLS1Protocol) {
		return nil, errors.New("no challenge is under way for this name")
	}
	return certificate, nil
}

type httpSolver struct{ *Challenges }

func (s httpSolver) Present(_ context.Context, c acme.Challenge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[c.HTTP01ResourcePath()] = c.KeyAuthorization
	return nil
}

func (s httpSolver) CleanUp(_ context.Context, c acme.Challenge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, c.HTTP01ResourcePath())
	return nil
}

type alpnSolver struct{ *Challenges }

func (s alpnSolver) Present(_ context.Context, c acme.Challenge) error {
	certificate, err := acmez.TLSALPN01ChallengeCert(c)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certificates[serverName(c.Identifier.Value)] = certificate
	return nil
}

func (s alpnSolver) CleanUp(_ context.Context, c acme.Challenge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.certificates, serverName(c.Identifier.Value))
	return nil
}

// serverName is what the authority asks for: an address has its name in the reverse tree, RFC 8738 section 6.
func serverName(identifier string) string {
	addr, err := netip.ParseAddr(identifier)
	if err != nil {
		return strings.ToLower(identifier)
	}
	var b strings.Builder
	octets := addr.AsSlice()
	slices.Reverse(octets)
	if addr.Is4() {
		for _, o := range octets {
			fmt.Fprintf(&b, "%d.", o)
		}
		return b.String() + "in-addr.arpa"
	}
	for _, o := range octets {
		fmt.Fprintf(&b, "%x.%x.", o&0xf, o>>4)
	}
	return b.String() + "ip6.arpa"
}

// limited is a listener with room for so many connections at once.
type limited struct {
	net.Listener
	room chan struct{}
}

func (l *limited) Accept() (net.Conn, error) {
	l.room <- struct{}{}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.room
		return nil, err
	}
	return &visitor{Conn: conn, leave: sync.OnceFunc(func() { <-l.room })}, nil
}

type visitor struct {
	net.Conn
	leave func()
}

func (v *visitor) Close() error {
	defer v.leave()
	return v.Conn.Close()
}
