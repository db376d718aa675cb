package main

import (
	"net/netip"
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
)

type socket string

func (s socket) LocalAddr() netip.AddrPort { return netip.MustParseAddrPort(string(s)) }

// What is told and probed of our own time server follows the open sockets, at start and at every reload.
func TestToldPort(t *testing.T) {
	const exchange = "[keyexchange]\ncertificate = '/a'\nkey = '/b'\n"
	for _, c := range []struct {
		text      string
		listening []socket
		want      uint16
	}{
		{exchange, nil, 0},
		{exchange + "[timeserver]", []socket{"[::]:123"}, 0},
		{exchange + "[timeserver]\nlisten=['[::]:10123']", []socket{"[::]:10123"}, 10123},
		{exchange + "[timeserver]\nlisten=['[::]:10123', '[::1]:123']", []socket{"[::]:10123", "[::1]:123"}, 0},
		{exchange + "[timeserver]\nlisten=['[::]:10123']", []socket{"[::]:123"}, 0}, // inherited: the configuration is not asked
		{exchange + "[timeserver]\nlisten=['[::]:10123']", []socket{"[::]:11123"}, 11123},
		{exchange + "ntp-port = 99\n[timeserver]\nlisten=['[::]:10123']", []socket{"[::]:10123"}, 99},
		{exchange + "ntp-server = 'time.example.org'\n[timeserver]\nlisten=['[::]:10123']", []socket{"[::]:10123"}, 0},
	} {
		cfg, err := config.Parse("test", []byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		if tellTimeSockets(cfg, c.listening); cfg.KeyExchange.NTPPort != c.want {
			t.Errorf("%s\nwith sockets on %v tells port %d, want %d", c.text, c.listening, cfg.KeyExchange.NTPPort, c.want)
		}
	}
	cfg, err := config.Parse("test", []byte(exchange+"[[keyexchange.server]]\n[timeserver]\nlisten=['[::]:10123']"))
	if err != nil {
		t.Fatal(err)
	}
	tellTimeSockets(cfg, []socket{"192.0.2.2:11123", "192.0.2.2:11123"}) // one for each worker
	if s := cfg.KeyExchange.Servers[0]; s.Port != 11123 || s.Probe != "192.0.2.2:11123" {
		t.Errorf("told is port %d, and probed %s", s.Port, s.Probe)
	}
	tellTimeSockets(config.Default(), []socket{"[::]:10123"}) // without key exchange there is nobody to tell
}
