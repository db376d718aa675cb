package sockets

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
)

// showing is a configuration whose key exchange shows the certificate of [certs.acme].
func showing(listen []netip.AddrPort) *config.Config {
	cfg := config.Default()
	cfg.KeyExchange = &config.KeyExchange{Certificate: config.ACME, Listen: listen}
	return cfg
}

func TestChallengesOpenWhatIsUsed(t *testing.T) {
	any4 := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}
	for _, c := range []struct {
		challenges []string
		http, alpn int
	}{
		{[]string{config.ChallengeHTTP}, 1, 0},
		{[]string{config.ChallengeALPN}, 0, 1},
		{[]string{config.ChallengeALPN, config.ChallengeHTTP, config.ChallengeDNS}, 1, 1},
		{[]string{config.ChallengeDNS}, 0, 0},
	} {
		cfg := showing(any4)
		cfg.Certs.ACME = &config.ACMECerts{Challenges: c.challenges, HTTPListen: any4, ALPNListen: any4}
		s, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Challenges.HTTP) != c.http || len(s.Challenges.ALPN) != c.alpn {
			t.Errorf("%v: %d and %d sockets", c.challenges, len(s.Challenges.HTTP), len(s.Challenges.ALPN))
		}
		if _, err := s.Prepare(cfg); err != nil {
			t.Errorf("nothing changed: %v", err)
		}
		next := showing(any4)
		next.Certs.ACME = &config.ACMECerts{Challenges: []string{config.ChallengeHTTP}, HTTPListen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.2:80")}}
		if _, err := s.Prepare(next); err == nil || !strings.Contains(err.Error(), "certs.acme.http-listen") || !strings.Contains(err.Error(), "restart ntptsd") {
			t.Errorf("%v: other addresses: %v", c.challenges, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		cfg.KeyExchange.Certificate = "/etc/server.pem" // then nobody asks an authority, and no port is opened for it
		if s, err = Open(cfg); err != nil || len(s.Challenges.all()) != 0 {
			t.Errorf("%d sockets for nobody, %v", len(s.Challenges.all()), err)
		}
		s.Close()
	}
}

func TestChallengePortThatAWebServerHas(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := showing([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")})
	cfg.Certs.ACME = &config.ACMECerts{Challenges: []string{config.ChallengeALPN}, ALPNListen: []netip.AddrPort{l.Addr().(*net.TCPAddr).AddrPort()}}
	if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "use another challenge") {
		t.Error(err)
	}
}
