package keyexchange

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/visitors"
)

func TestHandshakesTellWhatHappened(t *testing.T) {
	limited := defaults()
	limited.KeyExchange.RateLimit = &config.RateLimit{Interval: config.Duration(time.Hour), Burst: 3}
	f := start(t, limited, loopback(t))
	if h := f.Handshakes(); h.MedianSeconds != nil || h.NinetyNinthSeconds != nil || h.Cookies != 0 {
		t.Errorf("before the first: %+v", h)
	}
	began := time.Now()
	f.ask(f.dial(), f.clientConfig())
	f.ask(f.dial(), f.clientConfig())
	f.exchange(f.dial(), badRequest)
	took := time.Since(began).Seconds()
	c := f.dial() // in excess
	_, _ = c.Read(make([]byte, 1))
	c.Close()
	f.stop(map[Verdict]int{Served: 2, BadRequest: 1, RateLimited: 1})

	h := f.Handshakes()
	for name, want := range map[string]struct {
		of    []api.Count
		count uint64
	}{
		"served": {h.Connections, 2}, "rate_limited": {h.Connections, 1}, "bad_request": {h.Connections, 1},
		"AES-SIV-CMAC-256": {h.Responses, 2}, "X25519MLKEM768": {h.Groups, 3}, "distrusted": {h.Failures, 0},
	} {
		if got, ok := counted(want.of, name); !ok || got != want.count {
			t.Errorf("%s: %d, want %d", name, got, want.count)
		}
	}
	if h.Cookies != 2*cookies || h.Open != 0 || f.Refused() != 1 {
		t.Errorf("%d cookies, %d open, %d refused", h.Cookies, h.Open, f.Refused())
	}
	if h.MedianSeconds == nil || h.NinetyNinthSeconds == nil || *h.MedianSeconds > *h.NinetyNinthSeconds || *h.NinetyNinthSeconds > 1.1*took {
		t.Errorf("durations: %v and %v of %v in all", h.MedianSeconds, h.NinetyNinthSeconds, took)
	}
}

func counted(all []api.Count, name string) (uint64, bool) {
	for _, c := range all {
		if c.Name == name {
			return c.Count, true
		}
	}
	return 0, false
}

// TestNetworksAreRemembered: who gets cookies, who fails, and who floods and never gets that far.
func TestNetworksAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, l := defaults(), newPipes()
		cfg.KeyExchange.RateLimit = &config.RateLimit{Interval: config.Duration(time.Hour), Burst: 100}
		cfg.KeyExchange.Deny = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
		f := start(t, cfg, l)
		f.ask(l.dial("192.0.2.1"), f.clientConfig())
		l.dial("192.0.2.2").Close()
		for range 120 { // 64 stay and say nothing, 56 are too many at once
			defer l.dial("198.51.100.1").Close()
		}
		time.Sleep(time.Minute)
		for range 40 { // 36 of the hour's hundred are left
			defer l.dial("198.51.100.1").Close()
		}
		l.dial("203.0.113.1").Close()
		synctest.Wait()
		f.stop(map[Verdict]int{Served: 1, Gone: 1, HelloTimeout: 64 + 36, NetworkFull: 120 - 64, RateLimited: 4, Denied: 1})
		n := visitors.Top(10, nil, f.Visitors())
		for i := range n.Networks {
			n.Networks[i].FirstSeen, n.Networks[i].LastSeen = time.Time{}, time.Time{}
		}
		if want := []api.Network{
			{Prefix: "198.51.100.0/24", RateLimited: 120 - 64 + 4, FailedKeyExchanges: 64 + 36},
			{Prefix: "192.0.2.0/24", KeyExchanges: 1, FailedKeyExchanges: 1},
			{Prefix: "203.0.113.0/24", FailedKeyExchanges: 1},
		}; !slices.Equal(n.Networks, want) || n.KeyExchanges != 1 {
			t.Errorf("%+v, want %+v", n, want)
		}
	})
}

// closed is a connection of somebody who comes too often, and costs no more than it must.
type closed struct {
	net.Conn
	from *net.TCPAddr
}

func (c *closed) RemoteAddr() net.Addr { return c.from }
func (*closed) Close() error           { return nil }

func floodedServer(t testing.TB) (*Server, *closed) {
	cfg := defaults()
	cfg.KeyExchange.RateLimit = &config.RateLimit{Interval: config.Duration(time.Hour), Burst: 1}
	s, err := New(cfg, nil, ring{}, &certificates{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c := &closed{from: &net.TCPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 40000}}
	s.admit(c, remote(c)) // the only one
	return s, c
}

func TestARefusalAllocatesNothing(t *testing.T) {
	s, c := floodedServer(t)
	if n := testing.AllocsPerRun(1000, func() { s.take(c, nil) }); n != 0 || s.metrics.connections[RateLimited].Load() < 1000 {
		t.Errorf("%v allocations to refuse a connection", n)
	}
}

func BenchmarkRefuse(b *testing.B) {
	s, c := floodedServer(b)
	b.ReportAllocs()
	for b.Loop() {
		s.take(c, nil)
	}
}

// TestEveryLabelSaysSomething: a value without a name would be a counter that nobody finds.
func TestEveryLabelSaysSomething(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []fmt.Stringer
	for v := range verdicts {
		all = append(all, v)
	}
	for f := range failures {
		all = append(all, f)
	}
	for _, label := range all {
		if !bytes.Contains(readme, []byte("`"+label.String()+"`")) {
			t.Errorf("README.md does not speak of %q", label)
		}
	}
}

func TestFailuresBySide(t *testing.T) {
	remote := func(alert error) error { return &net.OpError{Op: "remote error", Err: alert} }
	for _, row := range []struct {
		e    exchange
		err  error
		want Failure
	}{
		{exchange{greeted: true}, remote(tls.AlertError(48)), Distrusted},
		{exchange{greeted: true}, remote(tls.AlertError(42)), Distrusted},
		{exchange{greeted: true}, remote(tls.AlertError(40)), OtherAlert},
		{exchange{greeted: true}, remote(errors.New("of another type")), OtherAlert},
		{exchange{greeted: true}, &net.OpError{Op: "local error", Err: tls.AlertError(42)}, NoCommon},
		{exchange{greeted: true, oldTLS: true}, errors.New("version"), OldTLS},
		{exchange{greeted: true}, fmt.Errorf("reading: %w", errTooMuch), Excessive},
		{exchange{}, tls.RecordHeaderError{}, NotTLS},
	} {
		if got := row.e.failure(row.err); got != row.want {
			t.Errorf("%v: %v, want %v", row.err, got, row.want)
		}
	}
}

// A quantile is off by no more than half a bucket, and what lies outside of the scale is counted at its ends.
func TestQuantiles(t *testing.T) {
	var l latency
	if q := l.quantiles(.5); q[0] != nil {
		t.Errorf("of nothing: %v", *q[0])
	}
	for ms := 1; ms <= 1000; ms++ {
		l.observe(time.Duration(ms) * time.Millisecond)
	}
	for i, want := range []float64{.001, .5, .9, .99, 1} {
		got := l.quantiles(want)[0]
		if got == nil || math.Abs(math.Log2(*got/want)) > .51/perDoubling {
			t.Errorf("%d: quantile %v is %v", i, want, got)
		}
	}
	var ends latency
	for _, d := range []time.Duration{-time.Second, 0, time.Hour} {
		ends.observe(d)
	}
	if ends[0].Load() != 2 || ends[latencies-1].Load() != 1 {
		t.Errorf("%d below, %d above", ends[0].Load(), ends[latencies-1].Load())
	}
}
