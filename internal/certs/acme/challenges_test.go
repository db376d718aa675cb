package acme

import (
	"context"
	"crypto/tls"
	"encoding/asn1"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func serving(t *testing.T) (c *Challenges, web, alpn string) {
	t.Helper()
	h, a := listen(t), listen(t)
	c = NewChallenges([]net.Listener{h}, []net.Listener{a})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c, h.Addr().String(), a.Addr().String()
}

func TestHTTPChallenge(t *testing.T) {
	c, web, _ := serving(t)
	s, challenge := httpSolver{c}, acme.Challenge{Type: "http-01", Token: "abc", KeyAuthorization: "abc.thumb"}
	ask := func(method, path string) (int, string) {
		request, err := http.NewRequest(method, "http://"+web+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, strings.TrimSpace(string(text))
	}
	s.Present(t.Context(), challenge)
	for _, w := range []struct {
		method, path string
		code         int
		text         string
	}{
		{"GET", "/.well-known/acme-challenge/abc", 200, "abc.thumb"},
		{"GET", "/.well-known/acme-challenge/abcd", 404, "not found"},
		{"GET", "/.well-known/acme-challenge/", 404, "not found"},
		{"GET", "/", 404, "not found"},
		{"POST", "/.well-known/acme-challenge/abc", 404, "not found"},
	} {
		if code, text := ask(w.method, w.path); code != w.code || text != w.text {
			t.Errorf("%s %s: %d %q", w.method, w.path, code, text)
		}
	}
	s.CleanUp(t.Context(), challenge)
	if code, _ := ask("GET", "/.well-known/acme-challenge/abc"); code != 404 {
		t.Errorf("afterwards %d", code)
	}
}

func TestALPNChallenge(t *testing.T) {
	c, _, alpn := serving(t)
	s := alpnSolver{c}
	try := func(name string, protocols ...string) (*tls.ConnectionState, error) {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 3 * time.Second}, "tcp", alpn, &tls.Config{ServerName: name, NextProtos: protocols, InsecureSkipVerify: true})
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		state := conn.ConnectionState()
		return &state, nil
	}
	if _, err := try("a.test", acmez.ACMETLS1Protocol); err == nil {
		t.Error("answers while nothing is under way")
	}
	for identifier, name := range map[string]string{"A.test": "a.test", "192.0.2.1": "1.2.0.192.in-addr.arpa"} {
		kind := "dns"
		if net.ParseIP(identifier) != nil {
			kind = "ip"
		}
		challenge := acme.Challenge{Type: "tls-alpn-01", KeyAuthorization: "x.thumb", Identifier: acme.Identifier{Type: kind, Value: identifier}}
		if err := s.Present(t.Context(), challenge); err != nil {
			t.Fatal(err)
		}
		state, err := try(name, acmez.ACMETLS1Protocol)
		if err != nil || state.NegotiatedProtocol != acmez.ACMETLS1Protocol {
			t.Fatalf("%s: %v", name, err)
		}
		found := false
		for _, e := range state.PeerCertificates[0].Extensions {
			found = found || e.Critical && e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}) // RFC 8737 section 6.1
		}
		if !found {
			t.Errorf("%s: no proof in the certificate", name)
		}
		for _, bad := range []struct {
			name      string
			protocols []string
		}{{name, nil}, {name, []string{"h2"}}, {"other.test", []string{acmez.ACMETLS1Protocol}}} {
			if _, err := try(bad.name, bad.protocols...); err == nil {
				t.Errorf("%+v is answered", bad)
			}
		}
		s.CleanUp(t.Context(), challenge)
	}
	if c.pending() {
		t.Error("something is left")
	}
}

func TestServerNameOfAnAddress(t *testing.T) {
	for in, want := range map[string]string{"Time.Example.org": "time.example.org", "192.0.2.1": "1.2.0.192.in-addr.arpa",
		"2001:db8::567:89ab": "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"} { // the last one is RFC 8738's (RFC 3596 section 2.5)
		if got := serverName(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// Who opens many connections and says nothing keeps no authority out for longer than a visit may take.
func TestVisitorsAreLimited(t *testing.T) {
	l := &limited{Listener: listen(t), room: make(chan struct{}, 2)}
	defer l.Close()
	for range 3 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	accepted := make(chan net.Conn)
	go func() {
		for range 3 {
			if conn, err := l.Accept(); err == nil {
				accepted <- conn
			}
		}
	}()
	first, second := <-accepted, <-accepted
	select {
	case <-accepted:
		t.Fatal("a third one was let in")
	case <-time.After(50 * time.Millisecond):
	}
	first.Close()
	first.Close() // leaves once
	(<-accepted).Close()
	second.Close()
	if n := len(l.room); n != 0 {
		t.Errorf("%d are still counted", n)
	}
}
