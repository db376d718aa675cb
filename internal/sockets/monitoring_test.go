package sockets

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

func monitoring(listen, plain []netip.AddrPort) *config.Config {
	return &config.Config{Monitoring: &config.Monitoring{Listen: listen, PlainListen: plain, MaxConnections: 10, MaxConnectionsPerPrefix: 5,
		HelloTimeout: config.Duration(time.Second)}}
}

func TestServicesPortIsOpened(t *testing.T) {
	s, err := Open(monitoring(addrs("127.0.0.1:0", "127.0.0.2:0"), addrs("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Monitoring) != 2 || len(s.MonitoringPlain) != 1 || len(s.KeyExchange) != 0 {
		t.Errorf("%d with TLS, %d without", len(s.Monitoring), len(s.MonitoringPlain))
	}
	at := s.MonitoringPlain[0].Addr().String()
	c, err := net.Dial("tcp", at) // accepted although it says nothing: it waits to be greeted
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	accepted := make(chan error, 1)
	go func() {
		c, err := s.MonitoringPlain[0].Accept()
		if err == nil {
			c.Close()
		}
		accepted <- err
	}()
	if err := <-accepted; err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", at); err == nil {
		c.Close()
		t.Error("Close leaves it open")
	}
}

func TestServicesPortIsInherited(t *testing.T) {
	ours, oursAt := listenerFile(t, "tcp", "127.0.0.1:0")
	exchange, exchangeAt := listenerFile(t, "tcp", "127.0.0.1:0")
	for name, c := range map[string]struct {
		names  [2]string
		listen []netip.AddrPort
	}{
		"by name":    {[2]string{"monitoring", "keyexchange"}, addrs("192.0.2.1:1")}, // could not be opened
		"by address": {[2]string{"ntptsd.socket", "ntptsd.socket"}, addrs(oursAt)},
	} {
		in, err := adopt([]*os.File{hand(t, c.names[0], ours), hand(t, c.names[1], exchange)})
		if err != nil {
			t.Fatal(err)
		}
		cfg := monitoring(c.listen, addrs("127.0.0.1:0"))
		cfg.KeyExchange = &config.KeyExchange{Listen: addrs(exchangeAt)}
		s, err := open(cfg, in)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(s.Monitoring) != 1 || s.Monitoring[0].Addr().String() != oursAt || len(s.KeyExchange) != 1 || s.KeyExchange[0].Addr().String() != exchangeAt {
			t.Errorf("%s: monitoring %v, key exchange %v", name, s.Monitoring, s.KeyExchange)
		}
		if len(s.MonitoringPlain) != 1 {
			t.Errorf("%s: what has no TLS is ours to open", name)
		}
		s.Close()
	}
	in, err := adopt([]*os.File{hand(t, "monitoring", ours)})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := open(&config.Config{}, in); err == nil || !strings.Contains(err.Error(), "configure that section") {
		s.Close()
		t.Errorf("without the section: %v", err)
	}
}

func TestReloadOpensNoServicesPort(t *testing.T) {
	cfg := monitoring(addrs("127.0.0.1:0"), nil)
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	same := monitoring(addrs("127.0.0.1:0"), nil)
	same.Monitoring.Certificate, same.Monitoring.Fit.MaxStratum = "/other.pem", 3
	if _, err := s.Prepare(same); err != nil {
		t.Errorf("nothing of the sockets changed: %v", err)
	}
	for want, change := range map[string]func(m *config.Monitoring){
		"monitoring.listen changed":       func(m *config.Monitoring) { m.Listen = addrs("127.0.0.2:0") },
		"monitoring.plain-listen changed": func(m *config.Monitoring) { m.PlainListen = addrs("127.0.0.1:1") },
		"monitoring.max-connections":      func(m *config.Monitoring) { m.MaxConnections = 11 },
		"monitoring.hello-timeout":        func(m *config.Monitoring) { m.HelloTimeout *= 2 },
	} {
		other := monitoring(addrs("127.0.0.1:0"), nil)
		change(other.Monitoring)
		if _, err := s.Prepare(other); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "restart ntptsd") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := s.Prepare(&config.Config{}); err == nil || !strings.Contains(err.Error(), "[monitoring] came or went") {
		t.Errorf("without the section: %v", err)
	}
	without := &Set{}
	if _, err := without.Prepare(cfg); err == nil || !strings.Contains(err.Error(), "[monitoring] came or went") {
		t.Errorf("with a new section: %v", err)
	}
}
