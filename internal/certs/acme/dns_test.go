package acme

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"
	"github.com/miekg/dns"

	"github.com/ntptsd/ntptsd/internal/config"
)

const (
	testKey    = "key.example."
	testSecret = "bm9ib2R5IHVzZXMgdGhpcyBzZWNyZXQ="
)

// primary is a name server by another hand, that remembers what it was told.
type primary struct {
	mu     sync.Mutex
	told   []string
	rcode  int
	mute   bool // does not sign
	other  bool // signs the answer to another request
	skewed time.Duration
}

func (p *primary) ServeDNS(w dns.ResponseWriter, m *dns.Msg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	answer := new(dns.Msg).SetReply(m)
	sign := m.IsTsig()
	if sign == nil || w.TsigStatus() != nil {
		answer.Rcode = dns.RcodeNotAuth
		w.WriteMsg(answer)
		return
	}
	for _, rr := range m.Ns {
		p.told = append(p.told, m.Question[0].Name+" "+strings.Join(strings.Fields(rr.String()), " "))
	}
	answer.Rcode = p.rcode
	if p.other {
		w.TsigTimersOnly(true) // leaves the request out of what is signed
	}
	if !p.mute {
		answer.SetTsig(sign.Hdr.Name, sign.Algorithm, 300, time.Now().Add(p.skewed).Unix())
	}
	w.WriteMsg(answer)
}

func startPrimary(t *testing.T) (p *primary, address string) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p = &primary{}
	s := &dns.Server{Listener: l, Handler: p, TsigSecret: map[string]string{testKey: testSecret},
		MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }}
	go s.ActivateAndServe()
	t.Cleanup(func() { s.Shutdown() })
	return p, l.Addr().String()
}

func updaterFor(t *testing.T, server, key, algorithm, secret string) *updater {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := newUpdater(&config.DNSUpdate{Server: server, Zone: "Example.org.", TSIGName: key, TSIGAlgorithm: algorithm, TSIGFile: file})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestUpdatesAreUnderstoodByAnotherHand(t *testing.T) {
	challenge := acme.Challenge{Identifier: acme.Identifier{Type: "dns", Value: "A.example.org"}, KeyAuthorization: "token.thumb"}
	text := challenge.DNS01KeyAuthorization()
	for _, algorithm := range []string{"hmac-sha256", "hmac-sha384", "hmac-sha512"} {
		p, address := startPrimary(t)
		s := &dnsSolver{updater: updaterFor(t, address, "KEY.example", algorithm, testSecret)}
		if err := s.Present(t.Context(), challenge); err != nil {
			t.Fatal(err)
		}
		if err := s.Wait(t.Context(), challenge); err != nil {
			t.Fatal(err)
		}
		if err := s.CleanUp(t.Context(), challenge); err != nil {
			t.Fatal(err)
		}
		s.cleanBy = time.Now() // too long ago: it is let be, until there are new records
		if err := s.CleanUp(t.Context(), challenge); err == nil {
			t.Error("records are removed for ever")
		}
		if err := errors.Join(s.Present(t.Context(), challenge), s.CleanUp(t.Context(), challenge)); err != nil {
			t.Error(err)
		}
		p.told = p.told[:2]
		want := []string{"example.org. _acme-challenge.a.example.org. 60 IN TXT \"" + text + "\"",
			"example.org. _acme-challenge.a.example.org. 0 NONE TXT \"" + text + "\""}
		if strings.Join(p.told, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: it was told\n%s\nwant\n%s", algorithm, strings.Join(p.told, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestRefusedUpdateSaysWhy(t *testing.T) {
	other := "YW5vdGhlciBzZWNyZXQgYWx0b2dldGhlciE="
	for _, c := range []struct {
		name, key, secret, owner, want string
		set                            func(p *primary)
	}{
		{name: "another secret", secret: other, want: "NOTAUTH"},
		{name: "another key", key: "other.example", want: "NOTAUTH"},
		{name: "not allowed", set: func(p *primary) { p.rcode = dns.RcodeRefused }, want: "REFUSED"},
		{name: "another zone", set: func(p *primary) { p.rcode = dns.RcodeNotZone }, want: "NOTZONE"},
		{name: "unsigned yes", set: func(p *primary) { p.mute = true }, want: "not signed"},
		{name: "yes of another", set: func(p *primary) { p.other = true }, want: "not signed with our key"},
		{name: "another time", set: func(p *primary) { p.skewed = time.Hour }, want: "compare the clocks"},
		{name: "outside", owner: "_acme-challenge.example.com", want: "is not in the zone example.org."},
		{name: "beside", owner: "_acme-challenge.notexample.org", want: "is not in the zone example.org."},
	} {
		p, address := startPrimary(t)
		if c.set != nil {
			c.set(p)
		}
		key, secret, owner := c.key, c.secret, c.owner
		if key == "" {
			key = testKey
		}
		if secret == "" {
			secret = testSecret
		}
		if owner == "" {
			owner = "_acme-challenge.example.org"
		}
		err := updaterFor(t, address, key, "hmac-sha256", secret).update(t.Context(), owner, "x", false)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// secondary is a name server of the zone that has the record from its nth question on; 0 is never.
type secondary struct {
	mu    sync.Mutex
	from  int
	asked int
	text  string
}

func (s *secondary) ServeDNS(w dns.ResponseWriter, m *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	answer := new(dns.Msg).SetReply(m)
	if s.from > 0 && s.asked >= s.from {
		answer.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{s.text[:9], s.text[9:]}}}
	}
	w.WriteMsg(answer)
}

func serveDNS(t *testing.T, address string, h dns.Handler) (port string) {
	t.Helper()
	l, err := net.Listen("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{Listener: l, Handler: h}
	go s.ActivateAndServe()
	t.Cleanup(func() { s.Shutdown() })
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

func TestWaitsUntilEveryServerHasTheRecord(t *testing.T) {
	challenge := acme.Challenge{Identifier: acme.Identifier{Type: "dns", Value: "a.example.org"}, KeyAuthorization: "token.thumb"}
	text := challenge.DNS01KeyAuthorization()
	for _, c := range []struct {
		name        string
		from        [2]int
		propagation time.Duration
		ago         time.Duration // when the last record was written
		none, all   bool
	}{
		{name: "at once", from: [2]int{1, 1}, propagation: time.Hour, all: true},
		{name: "the second later", from: [2]int{1, 2}, propagation: time.Hour, all: true},
		{name: "never", from: [2]int{1, 0}, propagation: 10 * time.Millisecond},
		{name: "never, as for a name before", from: [2]int{1, 0}, propagation: time.Hour, ago: time.Hour},
		{name: "no server is told", none: true, from: [2]int{1, 1}, propagation: 10 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			first, second := &secondary{from: c.from[0], text: text}, &secondary{from: c.from[1], text: text}
			port := serveDNS(t, "127.0.0.61:0", first)
			serveDNS(t, "127.0.0.62:"+port, second)
			listing := dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
				answer := new(dns.Msg).SetReply(m)
				for i, address := range []string{"127.0.0.61", "127.0.0.62"} {
					name := string(rune('a'+i)) + ".ns.invalid."
					if c.none {
						break
					}
					answer.Answer = append(answer.Answer, &dns.NS{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeNS, Class: dns.ClassINET}, Ns: name})
					answer.Extra = append(answer.Extra, &dns.A{Hdr: dns.RR_Header{Name: strings.ToUpper(name), Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.ParseIP(address)})
				}
				w.WriteMsg(answer)
			})
			u := updaterFor(t, "127.0.0.60:"+serveDNS(t, "127.0.0.60:0", listing), testKey, "hmac-sha256", testSecret)
			u.port, u.propagation = port, c.propagation
			if err := (&dnsSolver{updater: u, presented: time.Now().Add(-c.ago)}).Wait(t.Context(), challenge); err != nil {
				t.Fatal(err)
			}
			if c.all && (first.asked == 0 || second.asked != c.from[1]) {
				t.Errorf("the servers were asked %d and %d times", first.asked, second.asked)
			}
			if all := u.everywhere(t.Context(), challenge.DNS01TXTRecordName(), text); all != c.all {
				t.Errorf("afterwards everywhere is %v", all)
			}
		})
	}
}

func TestServerThatSaysNothingOrTooMuch(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte{0xff, 0xff})
			c.Close()
		}
	}()
	err = updaterFor(t, l.Addr().String(), testKey, "hmac-sha256", testSecret).update(t.Context(), "example.org", "x", false)
	if err == nil || !strings.Contains(err.Error(), "did not take the update") { // an end or a reset, as it comes
		t.Error(err)
	}
}
