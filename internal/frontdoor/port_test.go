package frontdoor

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ntptsd/ntptsd/protocol/tunnel"
)

func TestALPNRoutes(t *testing.T) {
	s := servePort(t, nil)
	operator := issue(t, "operator")
	for _, c := range []struct {
		offers      []string
		agreed      string
		certificate *tls.Certificate
		says        string
	}{
		{nil, "", nil, "line for anonymous\n"},
		{nil, "", &operator, "line for operator\n"},
		{[]string{"ntptsd-line/1"}, "ntptsd-line/1", &operator, "line for operator\n"},
		{[]string{"ntptsd-mode6/1"}, "ntptsd-mode6/1", &operator, "mode6 for operator\n"},
		{[]string{"ntptsd-cmdmon/1"}, "ntptsd-cmdmon/1", nil, "cmdmon for anonymous\n"},
		{[]string{"ntske/1", "ntptsd-cmdmon/1"}, "ntptsd-cmdmon/1", &operator, "cmdmon for operator\n"},
	} {
		peer := s.dial(t, c.certificate, c.offers...)
		if got := peer.ConnectionState(); got.NegotiatedProtocol != c.agreed || got.Version != tls.VersionTLS13 {
			t.Errorf("%q: agreed upon %q, version %x", c.offers, got.NegotiatedProtocol, got.Version)
		}
		if got := line(t, peer); got != c.says {
			t.Errorf("%q: %q, want %q", c.offers, got, c.says)
		}
	}
	for _, offer := range []string{"h2", "http/1.1"} {
		peer := s.dial(t, nil, offer)
		if got := peer.ConnectionState().NegotiatedProtocol; got != offer {
			t.Errorf("%q: agreed upon %q", offer, got)
		}
	}
	if _, err := tls.Dial("tcp", s.tls, s.client(nil, "ntske/1")); err == nil || !strings.Contains(err.Error(), "no application protocol") {
		t.Errorf("ntske/1: %v", err)
	}
	old := s.client(nil)
	old.MaxVersion = tls.VersionTLS12
	if _, err := tls.Dial("tcp", s.tls, old); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.2: %v", err)
	}
}

// A certificate that nobody knows is told so, in the words of the protocol.
func TestUnknownCertificatesAreToldSo(t *testing.T) {
	s := servePort(t, nil)
	nobody := issue(t, "nobody")
	if got := line(t, s.dial(t, &nobody)); got != "530 that is nobody's\r\n" {
		t.Errorf("line: %q", got)
	}
	for _, alpn := range []string{tunnel.Mode6, tunnel.Cmdmon} {
		peer := s.dial(t, &nobody, alpn)
		frame, err := tunnel.ReadFrame(peer, make([]byte, tunnel.MaxDatagram))
		refusal, ok := errors.AsType[*tunnel.Refusal](tunnel.ParseAnswer(frame))
		if err != nil || !ok || refusal.Reason != "that is nobody's" {
			t.Errorf("%s: %q, %v", alpn, frame, err)
		}
	}
	if response, body := s.ask(t, s.browser(t, &nobody), "GET", "/v1/say", nil); response.StatusCode != 401 || !strings.Contains(body, `"code":"unknown"`) {
		t.Errorf("HTTP: %d %s", response.StatusCode, body)
	}
}

func TestHTTPSpeaksBothVersions(t *testing.T) {
	s := servePort(t, nil)
	for major, c := range map[int]*http.Client{2: s.browser(t, nil), 1: {Transport: &http.Transport{TLSClientConfig: s.client(nil, "http/1.1"), DisableKeepAlives: true}}} {
		response, body := s.ask(t, c, "GET", "/v1/say?word=hello", nil, "Authorization", "Bearer monitor")
		if response.ProtoMajor != major || response.StatusCode != 200 || body != `{"said":["hello"]}`+"\n" {
			t.Errorf("%s %d %s, want version %d", response.Proto, response.StatusCode, body, major)
		}
	}
}

// A client that knows no ALPN is told by its first octets, and by its certificate all the same.
func TestHTTPWithoutALPN(t *testing.T) {
	s := servePort(t, nil)
	operator := issue(t, "operator")
	peer := s.dial(t, &operator)
	if _, err := io.WriteString(peer, "GET /v1/say?word=hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(peer); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 200 OK\r\n") || !strings.Contains(string(b), `{"said":["hello"]}`) {
		t.Errorf("%v: %s", err, b)
	}
}

// Without TLS the first octets decide, and who sends none is greeted.
func TestFirstOctetsDecide(t *testing.T) {
	s := servePort(t, nil)
	for _, c := range []struct{ sends, begins string }{
		{"", "line for anonymous\n"},
		{"tracking\r\n", "line for anonymous\n"},
		{"G", "line for anonymous\n"},
		{"GETTING\n", "line for anonymous\n"},
		{"get / HTTP/1.1\r\n", "line for anonymous\n"},
		{"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
		{"OPTIONS /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 401 Unauthorized\r\n"},
		{"POST /v1/session HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 401 Unauthorized\r\n"},
	} {
		peer, err := net.Dial("tcp", s.plain)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(peer, c.sends); err != nil {
			t.Fatal(err)
		}
		if got := line(t, peer); got != c.begins {
			t.Errorf("%q: %q, want %q", c.sends, got, c.begins)
		}
		peer.Close()
	}
}

func FuzzFirstOctets(f *testing.F) {
	for _, m := range methods {
		f.Add([]byte(m))
	}
	f.Add([]byte("tracking\r\n"))
	f.Add([]byte{0, 12, 6, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		http, undecided := isHTTP(b)
		word, _, blank := bytes.Cut(b, []byte(" "))
		known := false
		for _, m := range methods {
			known = known || blank && string(word)+" " == m
		}
		if http != known || http && undecided {
			t.Errorf("%q: HTTP %v, undecided %v", b, http, undecided)
		}
		if undecided && len(b) >= longestMethod {
			t.Errorf("%q: undecided after %d octets", b, len(b))
		}
	})
}

// What is refused by address costs no octet of TLS.
func TestRefusalsBeforeCryptography(t *testing.T) {
	for _, c := range []struct {
		verdict verdict
		with    func(*Options)
		refused uint64
	}{
		{denied, func(o *Options) { o.Admits = func(netip.Addr) bool { return false } }, 0},
		{limited, func(o *Options) { o.Allow = func(netip.Addr, time.Time) bool { return false } }, 1},
	} {
		s := servePort(t, c.with)
		peer, err := net.Dial("tcp", s.tls)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := peer.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%v: %d octets, %v", c.verdict, n, err)
		}
		if n := s.metrics.connections[ofNone][c.verdict].Load(); n != 1 || s.Refused() != c.refused {
			t.Errorf("%v: counted %d times, Refused = %d", c.verdict, n, s.Refused())
		}
	}
}

// One protocol with all its connections open leaves the others theirs.
func TestBudgetsKeepProtocolsApart(t *testing.T) {
	s := servePort(t, nil)
	operator := issue(t, "operator")
	for range testPlaces * share(ofMode6) / 100 {
		if got := line(t, s.dial(t, &operator, tunnel.Mode6)); got != "mode6 for operator\n" {
			t.Fatal(got)
		}
	}
	frame, err := tunnel.ReadFrame(s.dial(t, &operator, tunnel.Mode6), make([]byte, tunnel.MaxDatagram))
	if refusal := tunnel.ParseAnswer(frame); err != nil || refusal == nil || !strings.Contains(refusal.Error(), "too many connections") {
		t.Errorf("the excess: %q, %v", frame, err)
	}
	if got := line(t, s.dial(t, nil)); got != "line for anonymous\n" {
		t.Error(got)
	}
	if response, _ := s.ask(t, s.browser(t, nil), "GET", "/healthz", nil); response.StatusCode != 200 {
		t.Errorf("HTTP: %d", response.StatusCode)
	}
	if s.Refused() != 1 {
		t.Errorf("Refused = %d", s.Refused())
	}
}

func TestCrowdedProtocolsSaySo(t *testing.T) {
	s := servePort(t, nil)
	for _, of := range []protocol{ofHTTP, ofLine} {
		s.budgets[of].most.Store(0)
	}
	if got := line(t, s.dial(t, nil)); got != "450 too many connections; try again later\r\n" {
		t.Errorf("line: %q", got)
	}
	peer := s.dial(t, nil, "http/1.1")
	if response, err := http.ReadResponse(bufio.NewReader(peer), nil); err != nil || response.StatusCode != 503 {
		t.Errorf("HTTP: %+v, %v", response, err)
	}
	if _, err := s.dial(t, nil, "h2").Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("HTTP/2: %v", err)
	}
}

// Who connects and says nothing, or half of it, is gone after HelloTimeout, and computes nothing meanwhile.
func TestHalfOpenHandshakes(t *testing.T) {
	s := servePort(t, func(o *Options) { o.HelloTimeout = time.Second })
	var idle []net.Conn
	for i := range 40 {
		peer, err := net.Dial("tcp", s.tls)
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		if i%2 == 0 {
			_, _ = peer.Write([]byte{0x16, 3, 1, 2, 0, 1})
		}
		idle = append(idle, peer)
	}
	if got := line(t, s.dial(t, nil)); got != "line for anonymous\n" {
		t.Error(got)
	}
	for _, peer := range idle {
		_ = peer.SetReadDeadline(time.Now().Add(time.Minute))
		if b, err := io.ReadAll(peer); err != nil && !errors.Is(err, net.ErrClosed) && !isOfPeer(err) || len(b) > 100 {
			t.Errorf("%d octets, %v", len(b), err)
		}
	}
	await(t, "40 failed handshakes are counted", func() bool { return s.metrics.connections[ofNone][handshakeFailed].Load() == 40 })
	if len(s.crypto) != 0 {
		t.Errorf("%d places for cryptography are held", len(s.crypto))
	}
}

// A peer that takes our half of the handshake and never answers holds no place.
func TestWaitingForThePeerHoldsNoPlace(t *testing.T) {
	s := servePort(t, nil)
	for range 2*cap(s.crypto) + 1 {
		peer, err := net.Dial("tcp", s.tls)
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		stuck := tls.Client(&silentAfter{Conn: peer, writes: 1}, s.client(nil))
		go func() { _ = stuck.Handshake() }()
	}
	if got := line(t, s.dial(t, nil)); got != "line for anonymous\n" {
		t.Error(got)
	}
}

// silentAfter loses what is written after so many times.
type silentAfter struct {
	net.Conn
	writes int
}

func (s *silentAfter) Write(b []byte) (int, error) {
	if s.writes--; s.writes < 0 {
		return len(b), nil
	}
	return s.Conn.Write(b)
}

func TestPortMetrics(t *testing.T) {
	s := servePort(t, nil)
	held := s.dial(t, nil, tunnel.Cmdmon)
	line(t, held)
	s.ask(t, s.browser(t, nil), "GET", "/v1/say", nil)
	s.ask(t, s.browser(t, nil), "GET", "/healthz", nil)
	if problems, err := testutil.CollectAndLint(s.Port); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	for _, want := range []string{
		`ntptsd_monitoring_connections_open{protocol="cmdmon"} 1`,
		`ntptsd_monitoring_connections_total{protocol="cmdmon",verdict="accepted"} 1`,
		`ntptsd_monitoring_connections_total{protocol="http",verdict="accepted"} 2`,
		`ntptsd_monitoring_requests_total{code="4xx",route="v1"} 1`,
		`ntptsd_monitoring_requests_total{code="2xx",route="health"} 1`,
		`ntptsd_monitoring_streams_open 0`,
	} {
		await(t, want, func() bool { return strings.Contains(exposition(t, s.Port), want+"\n") })
	}
}

// At the end each protocol is told, and what does not end is cut.
func TestPortDrains(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	certificate := issue(t, "ntp.example.net")
	slots := &places{free: 9}
	p := NewPort(Options{TLS: []net.Listener{l}, Certificates: &oneCertificate{certificate}, Doorkeeper: &keeper{}, Slots: slots,
		Table: testTable(t), Metrics: answers(), Line: naming("line"), Log: quiet()})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	peer, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	line(t, peer)
	cancel()
	if err := <-done; err != nil || slots.free != 9 || p.opened() != 0 {
		t.Errorf("Run = %v, %d places are free, %d connections are open", err, slots.free, p.opened())
	}
}

// A listener that breaks ends nothing: key exchange and time go on.
func TestBrokenListenerOfThePortEndsNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	p := NewPort(Options{TLS: []net.Listener{l}, Certificates: &oneCertificate{}, Doorkeeper: &keeper{}, Slots: &places{}, Table: testTable(t), Metrics: answers(), Log: quiet()})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	await(t, "the error to be counted", func() bool { return p.metrics.acceptErrors.Load() > 0 })
	select {
	case err := <-ended:
		t.Errorf("Run = %v", err)
	default:
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
