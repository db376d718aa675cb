package keyexchange

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/ntske"
)

func TestWhatIsNoKeyExchangeGetsNoAnswer(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*tls.Config)
		alert   string
		verdict Verdict
		why     Failure
	}{
		{"no ALPN", func(c *tls.Config) { c.NextProtos = nil }, "internal error", NoALPN, 0},
		{"another ALPN", func(c *tls.Config) { c.NextProtos = []string{"h2", "ntske/2"} }, "no application protocol", NoALPN, 0},
		{"TLS 1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, "protocol version not supported", HandshakeFailed, OldTLS},
		{"TLS 1.2, no ALPN", func(c *tls.Config) { c.MaxVersion, c.NextProtos = tls.VersionTLS12, nil }, "protocol version not supported", HandshakeFailed, OldTLS},
		{"no group of ours", func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP521} }, "handshake failure", HandshakeFailed, NoCommon},
		{"our certificate is distrusted", func(c *tls.Config) { c.ServerName = "other.example" }, "not other.example", HandshakeFailed, Distrusted},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, defaults(), loopback(t))
			cfg := f.clientConfig()
			test.change(cfg)
			conn := tls.Client(f.dial(), cfg)
			defer conn.Close()
			_, err := conn.Write(chronyRequest)
			if err == nil {
				_, err = io.ReadAll(conn)
			}
			if err == nil || !bytes.Contains([]byte(err.Error()), []byte(test.alert)) {
				t.Errorf("got %v, want %q", err, test.alert)
			}
			conn.Close()
			f.stop(map[Verdict]int{test.verdict: 1})
			f.wantFailure(test.verdict, test.why)
		})
	}
}

// wantFailure checks that one handshake failed for this reason, if it did, and none for another.
func (f *fixture) wantFailure(v Verdict, why Failure) {
	f.t.Helper()
	for i := range failures {
		want := uint64(0)
		if v == HandshakeFailed && i == why {
			want = 1
		}
		if got := f.metrics.failures[i].Load(); got != want {
			f.t.Errorf("%d handshakes failed for the reason %v, want %d", got, i, want)
		}
	}
}

func TestGroups(t *testing.T) {
	for _, group := range []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256} {
		f := start(t, defaults(), loopback(t))
		cfg := f.clientConfig()
		cfg.CurvePreferences = []tls.CurveID{group}
		f.ask(f.dial(), cfg)
		f.stop(map[Verdict]int{Served: 1})
		for _, c := range f.Handshakes().Groups {
			if (c.Count == 1) != (c.Name == group.String()) {
				t.Errorf("%v was agreed upon, and %s is counted %d times", group, c.Name, c.Count)
			}
		}
	}
}

// sessions fails the test for each ticket that a client could come back with.
type sessions struct{ t *testing.T }

func (sessions) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (s sessions) Put(_ string, session *tls.ClientSessionState) {
	if session != nil {
		s.t.Error("the server gave a session ticket")
	}
}

func TestNoTickets(t *testing.T) {
	f := start(t, defaults(), loopback(t))
	cfg := f.clientConfig()
	cfg.ClientSessionCache = sessions{t}
	f.ask(f.dial(), cfg)
	f.stop(map[Verdict]int{Served: 1})
}

// dribble writes one octet at a time.
type dribble struct{ net.Conn }

func (d dribble) Write(b []byte) (int, error) {
	for i := range b {
		if n, err := d.Conn.Write(b[i : i+1]); err != nil {
			return i + n, err
		}
	}
	return len(b), nil
}

func TestAHelloInSmallPiecesIsServed(t *testing.T) {
	f := start(t, defaults(), loopback(t))
	response, state := f.exchange(dribble{f.dial()}, chronyRequest)
	f.checkServed(response, state, true)
	f.stop(map[Verdict]int{Served: 1})
}

func TestOtherProtocolsAndEarlyGoodbyes(t *testing.T) {
	tests := []struct {
		name, send string
		verdict    Verdict
	}{
		{"HTTP", "GET / HTTP/1.1\r\nHost: ntp.example\r\n\r\n", HandshakeFailed},
		{"random octets", "\x00\xff\x17\x80\x33\x99\x00\x00\x01", HandshakeFailed},
		{"a TLS record of nonsense", "\x16\x03\x01\x00\x04\x01\x00\x00\x00", HandshakeFailed},
		{"nothing", "", Gone},
		{"half a record", "\x16\x03\x01\x02\x00\x01", Gone},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, defaults(), loopback(t))
			c := f.dial().(*net.TCPConn)
			defer c.Close()
			if _, err := c.Write([]byte(test.send)); err != nil {
				t.Fatal(err)
			}
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, c)
			f.stop(map[Verdict]int{test.verdict: 1})
			f.wantFailure(test.verdict, NotTLS)
		})
	}
}

func TestAResetIsGone(t *testing.T) {
	f := start(t, defaults(), loopback(t))
	c := f.dial().(*net.TCPConn)
	conn := tls.Client(c, f.clientConfig())
	if _, err := conn.Write(chronyRequest[:5]); err != nil {
		t.Fatal(err)
	}
	if err := c.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	c.Close()
	f.stop(map[Verdict]int{Gone: 1})
}

// TestTheResponseOutlivesUnreadOctets: a client that goes on sending must not lose its answer to a reset.
func TestTheResponseOutlivesUnreadOctets(t *testing.T) {
	f := start(t, defaults(), loopback(t))
	c := f.dial()
	conn := tls.Client(c, f.clientConfig())
	if _, err := conn.Write(chronyRequest); err != nil {
		t.Fatal(err)
	}
	for range 8 { // the server has what it wants, and these may find it anywhere in its work
		if _, err := conn.Write(make([]byte, 512)); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := ntske.ParseResponse(readResponse(t, conn)); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after the response: %v, want the end of the connection", err)
	}
	conn.Close()
	f.stop(map[Verdict]int{Served: 1})
}

func TestACertificateChangesBetweenTwoConnections(t *testing.T) {
	f := start(t, defaults(), loopback(t))
	for range 2 {
		_, state := f.ask(f.dial(), f.clientConfig())
		if !bytes.Equal(state.PeerCertificates[0].Raw, f.certs.Load().Certificate[0]) {
			t.Error("not the current certificate")
		}
		f.certs.Store(issue(t))
	}
	f.stop(map[Verdict]int{Served: 2})
}
