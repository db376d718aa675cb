package main

import (
	"net/netip"
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
)

type socket string

func (s socket) LocalAddr() netip.AddrPort { return netip.MustParseAddrPort(string(s)) }

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
		if tellTimePort(cfg, c.listening); cfg.KeyExchange.NTPPort != c.want {
			t.Errorf("%s\nwith sockets on %v tells port %d, want %d", c.text, c.listening, cfg.KeyExchange.NTPPort, c.want)
		}
	}
	tellTimePort(config.Default(), []socket{"[::]:10123"}) // without key exchange there is nobody to tell
}
