package keyexchange

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// troubled is a listener that fails as told, then waits to be closed.
type troubled struct {
	*pipes
	errs []error
}

func (l *troubled) Accept() (net.Conn, error) {
	if len(l.errs) == 0 {
		return l.pipes.Accept()
	}
	err := l.errs[0]
	l.errs = l.errs[1:]
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
}

// runOn runs a server on listeners for ten minutes of a bubble.
func runOn(t *testing.T, cfg *config.Config, listeners ...net.Listener) (log string, err error) {
	t.Helper()
	out := new(bytes.Buffer)
	s, err := New(cfg, listeners, newRing(t, cookie.Native), &certificates{}, slog.New(slog.NewTextHandler(out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	err = s.Run(ctx)
	return out.String(), err
}

func TestAcceptKnowsItsErrors(t *testing.T) {
	shortages := make([]error, 1000) // 100 seconds of them
	for i := range shortages {
		shortages[i] = syscall.EMFILE
	}
	tests := []struct {
		name   string
		errs   []error
		broken bool
		lines  int
	}{
		{"peers hang up", []error{syscall.ECONNABORTED, syscall.EPROTO, syscall.EHOSTUNREACH}, false, 0},
		{"out of descriptors", []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.EMFILE}, false, 1},
		{"out of descriptors for long", shortages, false, 2},
		{"broken", []error{syscall.ECONNABORTED, syscall.EINVAL}, true, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				other := newPipes()
				log, err := runOn(t, defaults(), &troubled{newPipes(), test.errs}, other)
				if (err != nil) != test.broken {
					t.Errorf("Run returned %v", err)
				}
				if broken := time.Since(began) < time.Minute; broken != test.broken {
					t.Errorf("Run returned after %v", time.Since(began))
				}
				if n := strings.Count(log, "\n"); n != test.lines {
					t.Errorf("%d lines logged, want %d:\n%s", n, test.lines, log)
				}
				if test.broken && !errors.Is(err, syscall.EINVAL) {
					t.Errorf("the error does not tell its cause: %v", err)
				}
				select {
				case <-other.closed:
				default:
					t.Error("the other listener is still open")
				}
			})
		})
	}
}

func TestWithoutTheSectionRunWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if _, err := runOn(t, &config.Config{}); err != nil || time.Since(began) != 10*time.Minute {
			t.Errorf("Run returned %v after %v", err, time.Since(began))
		}
	})
}

func TestPrepareRefusesWhatNeedsARestart(t *testing.T) {
	with, without := defaults(), &config.Config{}
	moved := defaults()
	moved.KeyExchange.Listen = []netip.AddrPort{netip.MustParseAddrPort("[::]:4461")}
	unknown := defaults()
	unknown.KeyExchange.AEADs = []uint16{15, 99}
	tests := []struct {
		name     string
		from, to *config.Config
		want     string
	}{
		{"the same", with, defaults(), ""},
		{"never a section", without, without, ""},
		{"another address", with, moved, "keyexchange.listen"},
		{"section goes", with, without, "keyexchange"},
		{"section comes", without, with, "keyexchange"},
		{"unknown AEAD", with, unknown, "keyexchange.aeads: 99"},
	}
	for _, test := range tests {
		s, err := New(test.from, nil, ring{}, &certificates{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		before := s.settings.Load()
		commit, err := s.Prepare(test.to)
		if s.settings.Load() != before {
			t.Errorf("%s: Prepare changed the settings", test.name)
		}
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want == "":
			commit()
		case err == nil || !strings.Contains(err.Error(), test.want):
			t.Errorf("%s: %v, want one about %q", test.name, err, test.want)
		}
	}
}

func TestAReloadTakesEffect(t *testing.T) {
	f := start(t, defaults(), loopback(t))
	f.ask(f.dial(), f.clientConfig())
	next := defaults()
	next.KeyExchange.NTPServer = "time.example"
	commit, err := f.Prepare(next)
	if err != nil {
		t.Fatal(err)
	}
	commit()
	response, state := f.ask(f.dial(), f.clientConfig())
	if r := f.checkServed(response, state, true); r.Server != "time.example" {
		t.Errorf("the server told is %q", r.Server)
	}
	f.stop(map[Verdict]int{Served: 2})
}

func TestAClientIsSentToATarget(t *testing.T) {
	f := start(t, targetsOf(config.Target{Name: "four.example", Family: "ipv4"}, config.Target{Name: "six.example", Family: "ipv6"}), loopback(t))
	response, state := f.ask(f.dial(), f.clientConfig())
	if r := f.checkServed(response, state, true); r.Server != "four.example" {
		t.Errorf("over IPv4 the server told is %q", r.Server)
	}
	f.exchange(f.dial(), unhex("80000000")) // a bad request sends nobody anywhere
	f.stop(map[Verdict]int{Served: 1, BadRequest: 1})
	if all := f.Targets(); all[0].Served != 1 || all[1].Served != 0 {
		t.Errorf("counted are %d and %d", all[0].Served, all[1].Served)
	}
}

func TestMetrics(t *testing.T) {
	f := start(t, defaults(), loopback(t))
	f.ask(f.dial(), f.clientConfig())
	f.stop(map[Verdict]int{Served: 1})
	if problems, err := testutil.CollectAndLint(f); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
	want := `
# HELP ntptsd_keyexchange_cookies_total Cookies given out.
# TYPE ntptsd_keyexchange_cookies_total counter
ntptsd_keyexchange_cookies_total 8
# HELP ntptsd_keyexchange_connections_open Connections in progress.
# TYPE ntptsd_keyexchange_connections_open gauge
ntptsd_keyexchange_connections_open 0
# HELP ntptsd_keyexchange_responses_total Responses with cookies, by the AEAD agreed upon.
# TYPE ntptsd_keyexchange_responses_total counter
ntptsd_keyexchange_responses_total{aead="AES-128-GCM-SIV"} 0
ntptsd_keyexchange_responses_total{aead="AES-SIV-CMAC-256"} 1
ntptsd_keyexchange_responses_total{aead="AES-SIV-CMAC-384"} 0
ntptsd_keyexchange_responses_total{aead="AES-SIV-CMAC-512"} 0
# HELP ntptsd_keyexchange_handshakes_total TLS handshakes that succeeded, by the group of the key exchange.
# TYPE ntptsd_keyexchange_handshakes_total counter
ntptsd_keyexchange_handshakes_total{group="CurveP256"} 0
ntptsd_keyexchange_handshakes_total{group="X25519"} 0
ntptsd_keyexchange_handshakes_total{group="X25519MLKEM768"} 1
`
	if err := testutil.CollectAndCompare(f, strings.NewReader(want), "ntptsd_keyexchange_cookies_total",
		"ntptsd_keyexchange_connections_open", "ntptsd_keyexchange_responses_total", "ntptsd_keyexchange_handshakes_total"); err != nil {
		t.Error(err)
	}
}

func TestTheExampleOfTheReadmeIsValid(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(readme), "```toml\n")
	example, _, closed := strings.Cut(example, "```")
	if !found || !closed {
		t.Fatal("README.md has no example")
	}
	file := filepath.Join(t.TempDir(), "ntptsd.toml")
	if err := os.WriteFile(file, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	s := decide(t, cfg, ring{})
	if s.limiter == nil || s.prefixes.Allowed(netip.MustParseAddr("192.0.2.1")) || len(cfg.KeyExchange.Certificates) != 1 {
		t.Error("the example does not say what it seems to")
	}
	if own, other := s.board.find("this-host:10123"), s.board.find("time.example"); own == nil || own.port != 10123 || own.Probe != "127.0.0.1:10123" ||
		other == nil || other.port != 0 || other.Ring != "shared" || other.Weight != 2 || len(other.aeads) != 1 {
		t.Errorf("the targets of the example are %+v and %+v", own, other)
	}
	want := decide(t, defaults(), ring{})
	if s.maxMessage != want.maxMessage || s.helloTime != want.helloTime || s.requestTime != want.requestTime || s.totalTime != want.totalTime ||
		cfg.KeyExchange.MaxConnections != 1000 || cfg.KeyExchange.MaxConnectionsPerPrefix != 64 {
		t.Error("these tests have other defaults than the configuration")
	}
}
