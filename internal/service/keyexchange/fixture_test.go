package keyexchange

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/internal/probe"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/ntptsd/ntptsd/protocol/ntske"
)

const host = "ntp.example"

var (
	chronyRequest = unhex("80010002 0000 80040002 000f 80000000")
	badRequest    = unhex("80020002 0001 80000000")
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// defaults are those of the manual.
func defaults() *config.Config {
	return &config.Config{KeyExchange: &config.KeyExchange{
		Listen:         []netip.AddrPort{netip.MustParseAddrPort("[::]:4460")},
		AEADs:          []uint16{15, 16, 17, 30},
		MaxConnections: 1000, MaxConnectionsPerPrefix: 64, MaxMessage: 4096,
		HelloTimeout:   config.Duration(2 * time.Second),
		RequestTimeout: config.Duration(3 * time.Second),
		TotalTimeout:   config.Duration(5 * time.Second),
		WhenNoneFit:    "least-bad", ProbeEvery: config.Duration(16 * time.Second), MaxRootDistance: config.Duration(time.Second),
	}}
}

// certificates can be exchanged between two connections.
type certificates struct {
	atomic.Pointer[tls.Certificate]
}

func (c *certificates) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.Load(), nil
}

func issue(t testing.TB) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{
		SerialNumber: serial, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// ring is a fixed set of keys, or none.
type ring struct{ set *keyring.KeySet }

func (r ring) KeySet(string) *keyring.KeySet { return r.set }

func newRing(t testing.TB, d cookie.Dialect) ring {
	t.Helper()
	set, err := keyring.NewTestKeySet(d)
	if err != nil {
		t.Fatal(err)
	}
	return ring{set}
}

// quiet takes debug lines and fails the test for any other: no peer may write into the log.
type quiet struct{ t testing.TB }

func (quiet) Enabled(context.Context, slog.Level) bool { return true }
func (q quiet) WithAttrs([]slog.Attr) slog.Handler     { return q }
func (q quiet) WithGroup(string) slog.Handler          { return q }
func (q quiet) Handle(_ context.Context, r slog.Record) error {
	if r.Level > slog.LevelDebug {
		q.t.Errorf("a peer made us log %v: %s", r.Level, r.Message)
	}
	return nil
}

// pipes is a listener whose connections are net.Pipes from addresses of the test's choice.
type pipes struct {
	incoming chan net.Conn
	closed   chan struct{}
}

type pipeEnd struct {
	net.Conn
	from netip.Addr
}

func (p pipeEnd) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.from, 40000))
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.incoming:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { close(l.closed); return nil }
func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipes) dial(from string) net.Conn {
	client, server := net.Pipe()
	l.incoming <- pipeEnd{server, netip.MustParseAddr(from)}
	return client
}

// fixture is a server that runs.
type fixture struct {
	*Server
	t     testing.TB
	ring  ring
	certs *certificates
	end   context.CancelFunc
	ended chan error
	dials int
}

func start(t testing.TB, cfg *config.Config, l net.Listener, before ...func(*Server)) *fixture {
	return startWith(t, cfg, l, newRing(t, cookie.Native), before...)
}

func startWith(t testing.TB, cfg *config.Config, l net.Listener, keys ring, before ...func(*Server)) *fixture {
	t.Helper()
	f := &fixture{t: t, ring: keys, certs: &certificates{}, ended: make(chan error, 1)}
	f.certs.Store(issue(t))
	var err error
	f.Server, err = New(cfg, []net.Listener{l}, keys, f.certs, slog.New(quiet{t}))
	if err != nil {
		t.Fatal(err)
	}
	f.prove = func(ctx context.Context, _ string, _ probe.Sealer, _ aead.ID) (probe.Exchange, error) {
		<-ctx.Done() // nothing leaves this machine
		return probe.Exchange{}, probe.ErrNoAnswer
	}
	for _, change := range before {
		change(f.Server)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f.end = cancel
	go func() { f.ended <- f.Run(ctx) }()
	return f
}

func loopback(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// stop ends the server and checks that the connections had these verdicts and no others.
func (f *fixture) stop(want map[Verdict]int) {
	f.t.Helper()
	f.end()
	if err := <-f.ended; err != nil {
		f.t.Errorf("Run: %v", err)
	}
	for v := range verdicts {
		if got := f.counted(v); got != want[v] {
			f.t.Errorf("%d connections were counted as %v, want %d", got, v, want[v])
		}
	}
	if n := f.slots.Taken(); n != 0 {
		f.t.Errorf("%d slots were not given back", n)
	}
}

func (f *fixture) counted(v Verdict) int { return int(f.metrics.connections[v].Load()) }

func (f *fixture) dial() net.Conn {
	f.t.Helper()
	c, err := net.Dial("tcp", f.listeners[0].Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	f.dials++
	return c
}

func (f *fixture) clientConfig() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(f.certs.Load().Leaf)
	return &tls.Config{ServerName: host, RootCAs: roots, NextProtos: []string{ntske.ALPN}}
}

// exchange sends a request and says goodbye, as some clients do at once, and returns the whole response.
func (f *fixture) exchange(c net.Conn, request []byte) ([]byte, *tls.ConnectionState) {
	f.t.Helper()
	defer c.Close()
	conn := tls.Client(c, f.clientConfig())
	if _, err := conn.Write(request); err != nil {
		f.t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		f.t.Fatal(err)
	}
	response, state := readResponse(f.t, conn), conn.ConnectionState()
	return response, &state
}

// ask sends a request, reads the response and then says goodbye, as most clients do.
func (f *fixture) ask(c net.Conn, cfg *tls.Config) ([]byte, *tls.ConnectionState) {
	f.t.Helper()
	conn := tls.Client(c, cfg)
	defer conn.Close()
	if _, err := conn.Write(chronyRequest); err != nil {
		f.t.Fatal(err)
	}
	response, state := readResponse(f.t, conn), conn.ConnectionState()
	return response, &state
}

// readResponse wants all of the response in one record, as NTPsec does, and close_notify behind it.
func readResponse(t testing.TB, conn *tls.Conn) []byte {
	t.Helper()
	b := make([]byte, 4096)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatalf("no response: %v", err)
	}
	if m, err := conn.Read(b[n:]); m != 0 || err == nil || err.Error() != "EOF" {
		t.Errorf("after the first record come %d octets, %v; want close_notify", m, err)
	}
	return b[:n]
}

// checkServed looks at a response as a client would, and into its cookies as the time server does.
func (f *fixture) checkServed(response []byte, state *tls.ConnectionState, compliant bool) ntske.Response {
	f.t.Helper()
	r, err := ntske.ParseResponse(response)
	if err != nil {
		f.t.Fatalf("%x: %v", response, err)
	}
	checkCookies(f.t, r, f.ring.set, state, compliant)
	return r
}

func checkCookies(t testing.TB, r ntske.Response, keys *keyring.KeySet, exporter ntske.Exporter, compliant bool) {
	t.Helper()
	c2s, s2c, err := ntske.ExportKeys(exporter, r.AEADs[0], compliant)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Cookies) != cookies {
		t.Errorf("%d cookies, want %d", len(r.Cookies), cookies)
	}
	seen := make(map[string]bool)
	for _, c := range r.Cookies {
		var session cookie.Session
		if err := keys.Open(&session, c); err != nil {
			t.Fatal(err)
		}
		if session.AEAD() != r.AEADs[0] || !bytes.Equal(session.C2S(), c2s) || !bytes.Equal(session.S2C(), s2c) {
			t.Error("the cookie does not have the session's keys")
		}
		if len(c) != len(r.Cookies[0]) || len(c)%4 != 0 || len(c) > 192 || seen[string(c)] {
			t.Errorf("a cookie of %d octets, the first has %d; seen before: %v", len(c), len(r.Cookies[0]), seen[string(c)])
		}
		seen[string(c)] = true
	}
}
