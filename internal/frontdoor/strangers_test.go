package frontdoor

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Strangers hold a third of a protocol at the most, and few of one network: who logs in finds room.
func TestStrangersLeaveRoom(t *testing.T) {
	s := servePort(t, nil)
	operator := issue(t, "operator")
	refused := 0
	for range testPlaces {
		peer := s.dial(t, nil, "ntptsd-line/1")
		if got := line(t, peer); got != "line for anonymous\n" {
			refused++
		}
	}
	if most := min(strangersOfNetwork, testPlaces*share(ofLine)/100/shareOfStrangers); refused != testPlaces-max(most, 1) {
		t.Errorf("%d of %d strangers were refused", refused, testPlaces)
	}
	if got := line(t, s.dial(t, &operator, "ntptsd-line/1")); got != "line for operator\n" {
		t.Errorf("who is known is told %q", got)
	}
}

// Idle strangers of HTTP make room for who comes, so that health checks go on, and those who are known stay.
func TestIdleStrangersMakeRoom(t *testing.T) {
	s := servePort(t, nil)
	known := s.dial(t, nil, "http/1.1")
	request := func(peer net.Conn, path, headers string) string {
		t.Helper()
		if _, err := io.WriteString(peer, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n"+headers+"\r\n"); err != nil {
			return err.Error()
		}
		b := make([]byte, 12)
		_, err := io.ReadFull(peer, b)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	if got := request(known, "/v1/say?word=a", "Authorization: Bearer monitor\r\n"); got != "HTTP/1.1 200" {
		t.Fatal(got)
	}
	for i := range testPlaces { // each stays open and idle
		if got := request(s.dial(t, nil, "http/1.1"), "/healthz", ""); got != "HTTP/1.1 200" {
			t.Fatalf("health check %d: %s", i, got)
		}
	}
	if s.metrics.strangersCut.Load() == 0 {
		t.Error("nobody made room")
	}
	_, _ = io.CopyN(io.Discard, known, 1) // what is left of the first answer is not looked at
	if _, err := io.WriteString(known, "GET /v1/say?word=a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer monitor\r\nConnection: close\r\n\r\n"); err != nil {
		t.Errorf("who is known was sent away: %v", err)
	}
	if b, err := io.ReadAll(known); err != nil || !strings.Contains(string(b), "HTTP/1.1 200") {
		t.Errorf("who is known was sent away: %v", err)
	}
}

// Who shows nothing asks so often and no more; who is known is not counted.
func TestStrangersArePaced(t *testing.T) {
	var left atomic.Int32
	left.Store(3)
	s := servePort(t, func(o *Options) { o.Strangers = func(netip.Addr, time.Time) bool { return left.Add(-1) >= 0 } })
	statuses := map[int]int{}
	for range 5 {
		response, _ := s.ask(t, s.browser(t, nil), "GET", "/healthz", nil)
		statuses[response.StatusCode]++
	}
	if statuses[200] != 3 || statuses[429] != 2 {
		t.Errorf("%v", statuses)
	}
	if response, _ := s.ask(t, s.browser(t, nil), "GET", "/v1/say?word=a", nil, "Authorization", "Bearer monitor"); response.StatusCode != 200 {
		t.Errorf("who is known: %d", response.StatusCode)
	}
	for _, bad := range []struct {
		path    string
		headers []string
	}{
		{"/healthz", nil},
		{"/v1/say", []string{"Authorization", "Bearer nobody"}},
		{"/nothing//here", nil},
		{"/", []string{"Origin", "https://evil.example"}},
		{"/v1/say", []string{"Host", "evil.example"}},
	} {
		request, err := http.NewRequest("GET", "https://"+s.tls+bad.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, _ := s.paced(t, request, bad.headers)
		if response.StatusCode != 429 || response.Header.Get("Retry-After") == "" || !response.Close {
			t.Errorf("%s %q: %d, Retry-After %q, the connection ends: %v", bad.path, bad.headers, response.StatusCode, response.Header.Get("Retry-After"), response.Close)
		}
	}
	for _, path := range []string{"/v1%2Fsession", "/v1/session%2F", "/%76%31/session"} { // as none of ours is written, and log-ins are not paced here
		request, err := http.NewRequest("POST", "https://"+s.tls+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if response, _ := s.paced(t, request, nil); response.StatusCode != 429 || !response.Close {
			t.Errorf("POST %s: %d, the connection ends: %v", path, response.StatusCode, response.Close)
		}
	}
	for once, status := range map[string]int{"once": 200, "twice": 429} { // a log-in that counts is not counted
		if response, _ := s.ask(t, s.browser(t, nil), "POST", "/v1/session", nil, "Authorization", "Bearer "+once); response.StatusCode != status {
			t.Errorf("session %s: %d, want %d", once, response.StatusCode, status)
		}
	}
}

// paced asks over a connection that would stay, so that what ends it is the answer.
func (s *served) paced(t *testing.T, request *http.Request, headers []string) (*http.Response, string) {
	t.Helper()
	for i := 0; i < len(headers); i += 2 {
		if request.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			request.Host = headers[i+1]
		}
	}
	one := &http.Client{Transport: &http.Transport{TLSClientConfig: s.client(nil, "http/1.1")}}
	response, err := one.Do(request)
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

// Who guesses too often is sent away with the answer.
func TestGuessersAreSentAway(t *testing.T) {
	s := servePort(t, nil)
	for word, ends := range map[string]bool{"guess": true, "nobody": false} {
		request, err := http.NewRequest("GET", "https://"+s.tls+"/v1/say", nil)
		if err != nil {
			t.Fatal(err)
		}
		if response, _ := s.paced(t, request, []string{"Authorization", "Bearer " + word}); response.Close != ends {
			t.Errorf("%s: %d, the connection ends: %v", word, response.StatusCode, response.Close)
		}
	}
}

// addressed is an end of a pipe that comes from somewhere.
type addressed struct {
	net.Conn
	from netip.AddrPort
}

func (a *addressed) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(a.from) }

// visit is a connection of that address to a protocol of the port, and the peer's end of it.
func visit(t *testing.T, p *Port, from string, of protocol, stranger bool) (c *conn, peer net.Conn, in bool) {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() { there.Close() })
	if c = p.admit(&addressed{here, netip.AddrPortFrom(netip.MustParseAddr(from), 1)}); c == nil {
		t.Fatal("no slot")
	}
	if in = c.belongs(of, stranger); !in {
		c.Close()
	}
	return c, there, in
}

func portOf(t *testing.T, connections int) *Port {
	return NewPort(Options{Certificates: &oneCertificate{}, Doorkeeper: &keeper{}, Slots: &places{free: connections}, Connections: connections,
		Table: testTable(t), Metrics: answers(), Log: quiet()})
}

func (c *conn) isOpen() bool {
	select {
	case <-c.closed:
		return false
	default:
		return true
	}
}

// One network holds few places as a stranger, many networks hold a third, and a log-in gives the stranger's place to another.
func TestStrangersOfNetworks(t *testing.T) {
	for of, mostOfNetwork := range map[protocol]int{ofLine: strangersOfNetwork, ofMode6: strangersOfNetwork, ofCmdmon: strangersOfNetwork} {
		p := portOf(t, defaultConnections)
		third := defaultConnections * share(of) / 100 / shareOfStrangers
		var open []*conn
		for i := range third + 10 {
			from := fmt.Sprintf("2001:db8:0:%x::%x", i/(mostOfNetwork+1), i+1)
			if c, _, in := visit(t, p, from, of, true); in {
				open = append(open, c)
			} else if i < third && i%(mostOfNetwork+1) != mostOfNetwork {
				t.Errorf("%v: the %dth of its /64 was refused", of, i%(mostOfNetwork+1)+1)
			}
		}
		for i := range third { // more networks
			if c, _, in := visit(t, p, fmt.Sprintf("192.0.2.%d", i+1), of, true); in {
				open = append(open, c)
			}
		}
		if len(open) != third {
			t.Errorf("%v: %d strangers are in, want %d", of, len(open), third)
		}
		if _, _, in := visit(t, p, "198.51.100.1", of, true); in {
			t.Errorf("%v: one stranger more than a third", of)
		}
		(&guest{open[0], open[0]}).LoggedIn()
		if c, _, in := visit(t, p, "198.51.100.1", of, true); !in {
			t.Errorf("%v: who has logged in is still counted among strangers", of)
		} else {
			open = append(open, c)
		}
		for range third {
			if c, _, in := visit(t, p, "198.51.100.1", of, false); !in {
				t.Fatalf("%v: who is known finds no room", of)
			} else {
				open = append(open, c)
			}
		}
		for _, c := range open {
			c.Close()
		}
		if s := p.strangers[of]; s.open != 0 || len(s.byNetwork) != 0 || p.budgets[of].open.Load() != 0 {
			t.Errorf("%v: at the end %d strangers of %d networks, %d in all", of, s.open, len(s.byNetwork), p.budgets[of].open.Load())
		}
	}
}

// Who makes room over HTTP is the idlest: first in the network that has its number, else of all; who is known never.
func TestWhoMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := portOf(t, defaultConnections)
		come := func(from string, stranger bool) *conn {
			time.Sleep(time.Millisecond)
			c, _, in := visit(t, p, from, ofHTTP, stranger)
			if !in {
				t.Fatalf("%s was refused", from)
			}
			return c
		}
		known, other := come("192.0.2.1", false), come("192.0.2.2", true)
		var of []*conn
		for range strangersOfNetworkHTTP {
			of = append(of, come("192.0.2.1", true))
			if len(of) == 1 {
				turned(of[0], http.StateActive) // the oldest of its network asks for long, the next has just been answered
			}
		}
		turned(&prefixed{Conn: of[1]}, http.StateActive)
		time.Sleep(time.Millisecond)
		turned(&prefixed{Conn: of[1]}, http.StateIdle)
		of = append(of, come("192.0.2.1", true)) // too many, for a moment: a herd comes back
		for i, c := range of {
			if !c.isOpen() {
				t.Errorf("the %dth of a herd made room", i)
			}
		}
		time.Sleep(moment)
		for range 2 {
			of = append(of, come("192.0.2.1", true))
		}
		if n := p.strangers[ofHTTP].byNetwork[networkOf(netip.MustParseAddr("192.0.2.1"))]; n != strangersOfNetworkHTTP {
			t.Errorf("the network has %d", n)
		}
		for i, c := range of {
			if c.isOpen() == (i >= 2 && i <= 4) {
				t.Errorf("the %dth of the network is open: %v", i, c.isOpen())
			}
		}
		all := defaultConnections * share(ofHTTP) / 100 / shareOfStrangers
		for i := p.strangers[ofHTTP].open; i < all; i++ {
			come(fmt.Sprintf("2001:db8:0:%x::1", i), true)
		}
		if !other.isOpen() || p.metrics.strangersCut.Load() != 3 {
			t.Error("somebody made room while there was some")
		}
		come("198.51.100.1", true)
		if other.isOpen() || !known.isOpen() || p.strangers[ofHTTP].open != all {
			t.Errorf("the idlest of all is open: %v, who is known: %v, %d strangers", other.isOpen(), known.isOpen(), p.strangers[ofHTTP].open)
		}
		p.cut()
		if p.strangers[ofHTTP].open != 0 || p.budgets[ofHTTP].open.Load() != 0 {
			t.Errorf("at the end %d strangers, %d in all", p.strangers[ofHTTP].open, p.budgets[ofHTTP].open.Load())
		}
	})
}

// A stranger's connection has one life, whatever it says; a log-in makes it stay.
func TestStrangersHaveNotLong(t *testing.T) {
	for of, life := range map[protocol]time.Duration{ofLine: strangerLife, ofMode6: strangerLife, ofHTTP: strangerLifeHTTP} {
		synctest.Test(t, func(t *testing.T) {
			p := portOf(t, defaultConnections)
			stays, _, _ := visit(t, p, "192.0.2.1", of, true)
			goes, _, _ := visit(t, p, "192.0.2.1", of, true)
			stays.loggedIn()
			for waited := time.Duration(0); waited < life-time.Second; waited += time.Second {
				turned(goes, http.StateActive)
				time.Sleep(time.Second)
				turned(goes, http.StateIdle)
			}
			if !goes.isOpen() {
				t.Errorf("%v: gone before %v", of, life)
			}
			if lingers := goes.lingers(); lingers != (life > strangerWarned) || stays.lingers() {
				t.Errorf("%v: told that it ends: %v, who has logged in: %v", of, lingers, stays.lingers())
			}
			time.Sleep(2 * time.Second)
			if goes.isOpen() || !stays.isOpen() {
				t.Errorf("%v: after %v the stranger is there: %v, who has logged in: %v", of, life, goes.isOpen(), stays.isOpen())
			}
			p.cut()
		})
	}
}

// An authenticated request makes its connection a known one, by whatever is shown.
func TestRequestsMakeKnown(t *testing.T) {
	operator := issue(t, "operator")
	for name, c := range map[string]struct {
		certificate *tls.Certificate
		path        string
		headers     []string
		known       bool
	}{
		"token":       {nil, "/v1/say", []string{"Authorization", "Bearer monitor"}, true},
		"certificate": {&operator, "/healthz", nil, true},
		"bad token":   {nil, "/healthz", []string{"Authorization", "Bearer nobody"}, false},
		"nothing":     {nil, "/healthz", nil, false},
	} {
		s := servePort(t, nil)
		if response, _ := s.ask(t, s.browser(t, c.certificate), "GET", c.path, nil, c.headers...); response.StatusCode != 200 {
			t.Errorf("%s: %d", name, response.StatusCode)
		}
		s.mu.Lock()
		strangers := s.strangers[ofHTTP].open
		s.mu.Unlock()
		if known := strangers == 0; known != c.known {
			t.Errorf("%s: known %v, want %v", name, known, c.known)
		}
	}
}

// A session can be left.
func TestLeave(t *testing.T) {
	s := servePort(t, nil)
	if response, _ := s.ask(t, s.browser(t, nil), "DELETE", "/v1/session", nil, "Authorization", "Bearer monitor"); response.StatusCode != 204 {
		t.Errorf("%d", response.StatusCode)
	}
	if _, ended := s.keeper.left.Load("monitor"); !ended {
		t.Error("the session was not ended")
	}
	if response, _ := s.ask(t, s.browser(t, nil), "DELETE", "/v1/session", nil); response.StatusCode != 401 {
		t.Errorf("a stranger: %d", response.StatusCode)
	}
}
