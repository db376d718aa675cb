package frontdoor

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ntptsd/ntptsd/internal/api"
)

// issue makes a certificate of its own authority, for a server named ntp.example.net or a client named by its role.
func issue(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	if name == "ntp.example.net" {
		tmpl.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

type oneCertificate struct{ tls.Certificate }

func (o *oneCertificate) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return &o.Certificate, nil
}

// keeper knows roles by the names of certificates and by tokens "monitor", "operator" and "admin". "guess" is one too many.
type keeper struct {
	stranger atomic.Uint32 // the role of who shows nothing
	gone     atomic.Bool   // nothing counts any more
	confined sync.Map      // Only by token
	left     sync.Map      // names of who has ended the session
}

func (k *keeper) role(word string) (api.Caller, error) {
	r, ok := api.ParseRole(word)
	switch {
	case word == "guess":
		return api.Caller{}, api.Failf(api.TooMany, "too many log-ins failed")
	case !ok || r == api.Anonymous || k.gone.Load():
		return api.Caller{}, api.Failf(api.Unknown, "that is nobody's")
	}
	only, _ := k.confined.Load(word)
	names, _ := only.([]string)
	return api.Caller{Role: r, Name: word, Only: names}, nil
}

func (k *keeper) Connection(_ netip.Addr, state *tls.ConnectionState) (api.Caller, error) {
	if state != nil && len(state.PeerCertificates) > 0 {
		return k.role(state.PeerCertificates[0].Subject.CommonName)
	}
	return api.Caller{Role: api.Role(k.stranger.Load()), Name: "a stranger"}, nil
}

func (k *keeper) Token(_ netip.Addr, token string) (api.Caller, error) { return k.role(token) }

func (k *keeper) Redeem(_ netip.Addr, once string) (api.Session, error) {
	if once != "once" {
		return api.Session{}, api.Failf(api.Unknown, "that is nobody's")
	}
	return api.Session{Token: "monitor", Name: "a guest", Role: "monitor"}, nil
}

func (k *keeper) Leave(who api.Caller) { k.left.Store(who.Name, true) }

func (k *keeper) Still(api.Caller) bool { return !k.gone.Load() }

func (k *keeper) ClientCertificates() (tls.ClientAuthType, *x509.CertPool) {
	return tls.RequestClientCert, nil
}

// places is Slots without a bound by network.
type places struct {
	mu   sync.Mutex
	free int
}

func (s *places) Acquire(netip.Addr) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free == 0 {
		return errors.New("full")
	}
	s.free--
	return nil
}

func (s *places) Release(netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free++
}

// naming is a protocol that says its name and the caller's, and waits for the peer's end.
type naming string

func (n naming) Serve(ctx context.Context, c net.Conn, who api.Caller) {
	defer context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })()
	fmt.Fprintf(c, "%s for %v\n", string(n), who.Role)
	_, _ = io.Copy(io.Discard, c)
}

// wellness is Health.
type wellness struct{ ready, unfit []string }

func (w *wellness) Ready() []string { return w.ready }
func (w *wellness) Fit() api.Fit    { return api.Fit{Fit: len(w.unfit) == 0, Reasons: w.unfit} }

// served is a Port on loopback until the test ends.
type served struct {
	*Port
	keeper     *keeper
	slots      *places
	tls, plain string // addresses
	root       *x509.CertPool
}

const testPlaces = 100

func servePort(t testing.TB, with func(*Options)) *served {
	t.Helper()
	certificate := issue(t, "ntp.example.net")
	s := &served{keeper: &keeper{}, slots: &places{free: testPlaces}, root: x509.NewCertPool()}
	s.root.AddCert(certificate.Leaf)
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	secure, plain := listen(), listen()
	s.tls, s.plain = secure.Addr().String(), plain.Addr().String()
	o := Options{
		TLS: []net.Listener{secure}, Plain: []net.Listener{plain}, Certificates: &oneCertificate{certificate},
		Names: func() []string { return []string{"ntp.example.net", "*.pool.example.net"} }, Doorkeeper: s.keeper, Slots: s.slots,
		Connections: testPlaces, Metrics: answers(), Health: &wellness{}, Web: http.NotFoundHandler(),
		Line: naming("line"), Mode6: naming("mode6"), Cmdmon: naming("cmdmon"), Log: quiet(),
	}
	if with != nil {
		with(&o)
	}
	if o.Table == nil {
		all, err := api.NewTable([]api.Declared{say, change}, api.Bind(say, echo), api.BindChange(change, doing(echo)))
		if err != nil {
			t.Fatal(err)
		}
		o.Table = all
	}
	if o.Changes == nil {
		o.Changes = &plainly{table: o.Table}
	}
	s.Port = NewPort(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		if n := s.opened(); n != 0 || s.slots.free != testPlaces {
			t.Errorf("at the end %d connections are open, %d of %d places are free", n, s.slots.free, testPlaces)
		}
		for i := range protocols {
			if n := s.budgets[i].open.Load(); n != 0 {
				t.Errorf("at the end %v holds %d connections", i, n)
			}
		}
	})
	return s
}

// client is a configuration that trusts the port.
func (s *served) client(certificate *tls.Certificate, alpn ...string) *tls.Config {
	c := &tls.Config{RootCAs: s.root, ServerName: "ntp.example.net", NextProtos: alpn}
	if certificate != nil {
		c.Certificates = []tls.Certificate{*certificate}
	}
	return c
}

func (s *served) dial(t testing.TB, certificate *tls.Certificate, alpn ...string) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", s.tls, s.client(certificate, alpn...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// browser is an HTTP client, of HTTP/2 where the connection is TLS.
func (s *served) browser(t testing.TB, certificate *tls.Certificate) *http.Client {
	transport := &http.Transport{TLSClientConfig: s.client(certificate), ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// ask sends a request with headers "Name", "value" in turn.
func (s *served) ask(t testing.TB, c *http.Client, method, path string, body io.Reader, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest(method, "https://"+s.tls+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			request.Host = headers[i+1]
			continue
		}
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(b)
}

func line(t testing.TB, c net.Conn) string {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	text, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Errorf("%q, %v", text, err)
	}
	return text
}

// exposition is what a collector shows.
func exposition(t testing.TB, c prometheus.Collector) string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	return w.Body.String()
}

// await is for what the port does after its peer has seen the end.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for began := time.Now(); !done(); time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("after a minute it is not so: %s", what)
		}
	}
}
