package acme

import (
	"bytes"
	"encoding/binary"
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
		s := dnsSolver{updaterFor(t, address, "KEY.example", algorithm, testSecret)}
		if err := s.Present(t.Context(), challenge); err != nil {
			t.Fatal(err)
		}
		if err := s.Wait(t.Context(), challenge); err != nil {
			t.Fatal(err)
		}
		if err := s.CleanUp(t.Context(), challenge); err != nil {
			t.Fatal(err)
		}
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

func TestAnswersOfOthersAreNotBelieved(t *testing.T) {
	key, err := newTSIGKey(testKey, "hmac-sha256", testSecret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	answer := []byte{1, 2, 0xa8, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	// A server signs over the request's MAC, so an answer to another request does not do.
	signed := answerTo(key, answer, []byte("mac of the request"), now)
	if err := key.check(signed, 0x0102, []byte("mac of the request"), now); err != nil {
		t.Fatalf("the right answer: %v", err)
	}
	// Of the record itself, the key's name, class, TTL and the algorithm's name are ours, whatever stands there.
	algorithm := len(answer) + len(key.name) + 10
	for i := range signed {
		if i > len(answer) && i < len(answer)+len(key.name) || i >= algorithm-8 && i < algorithm-2 || i > algorithm && i < algorithm+len(key.algorithm) {
			continue
		}
		bad := bytes.Clone(signed)
		bad[i] ^= 0x10
		if key.check(bad, 0x0102, []byte("mac of the request"), now) == nil {
			t.Errorf("octet %d can be changed", i)
		}
	}
	if key.check(signed, 0x0102, []byte("mac of another one"), now) == nil || key.check(signed, 0x0103, []byte("mac of the request"), now) == nil {
		t.Error("an answer to another request is believed")
	}
}

// answerTo signs as a server does.
func answerTo(k tsigKey, message, request []byte, now time.Time) []byte {
	mac := k.mac(request, message, k.variables(now.Unix(), tsigFudge, 0, nil))
	signed, own := k.sign(message, now)
	return bytes.Replace(signed, own, mac, 1)
}

func FuzzParseTSIG(f *testing.F) {
	key, _ := newTSIGKey(testKey, "hmac-sha256", testSecret)
	signed, _ := key.sign([]byte{1, 2, 0xa8, 0, 0, 0, 0, 0, 0, 0, 0, 0}, time.Unix(1e9, 0))
	f.Add(signed)
	f.Add(append([]byte{1, 2, 0xa8, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 'a', 0xc0, 12, 0, 6, 0, 1}, signed[12:]...))
	f.Fuzz(func(t *testing.T, message []byte) {
		r, err := parseTSIG(message)
		if err != nil {
			return
		}
		if r.begins < headLength || r.begins >= len(message) || len(r.mac)+len(r.other) > len(message) {
			t.Errorf("the record begins at %d of %d, with %d and %d octets", r.begins, len(message), len(r.mac), len(r.other))
		}
		key.check(message, binary.BigEndian.Uint16(message), nil, time.Unix(1e9, 0))
	})
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
	if err == nil || !strings.Contains(err.Error(), "none to an update") {
		t.Error(err)
	}
}
