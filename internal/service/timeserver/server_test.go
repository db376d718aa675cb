package timeserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/sockets"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/ntptsd/ntptsd/protocol/ntp"
	"github.com/ntptsd/ntptsd/protocol/nts"
)

// deadline ends a test that waits for an answer which never comes.
const deadline = 10 * time.Second

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func listening(listen string) *config.Config {
	return &config.Config{TimeServer: &config.TimeServer{Listen: []netip.AddrPort{netip.MustParseAddrPort(listen)}, Workers: 2}}
}

// start runs a server until the test ends.
func start(t *testing.T, cfg *config.Config, keys fixedKeys) (*Server, uint16) {
	t.Helper()
	set, err := sockets.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, set.Time, []Keys{keys}, goodClock(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s, set.Time[0].LocalAddr().Port()
}

func dial(t *testing.T, host string, port uint16) net.Conn {
	t.Helper()
	c, err := net.Dial("udp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(deadline))
	return c
}

func exchangeOver(t *testing.T, c net.Conn, request []byte) []byte {
	t.Helper()
	if _, err := c.Write(request); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, ntp.MaxPacket)
	n, err := c.Read(answer)
	if err != nil {
		t.Fatal(err)
	}
	return answer[:n]
}

func TestServerAnswersOnEveryAddress(t *testing.T) {
	listen := "[::]:0"
	hosts := []string{"127.0.0.1", "127.0.0.2", "::1"}
	if c, err := net.ListenPacket("udp6", "[::1]:0"); err != nil {
		listen, hosts = "0.0.0.0:0", hosts[:2]
	} else {
		c.Close()
	}
	if runtime.GOOS != "linux" {
		hosts = hosts[:1]
	}
	keys := fixedKeys{newKeySet(t, cookie.Native)}
	s, port := start(t, listening(listen), keys)
	for _, host := range hosts {
		conn := dial(t, host, port) // takes answers from that address only
		before := time.Now()
		h := parse(t, exchangeOver(t, conn, version4()))
		after := time.Now()
		receive, send := h.Receive.Time(before), h.Transmit.Time(before)
		const noise = time.Microsecond
		if receive.Before(before.Add(-noise).Round(0)) || send.After(after.Add(noise).Round(0)) || !send.After(receive) {
			t.Errorf("%s: received %v, sent %v, the exchange was from %v to %v", host, receive, send, before, after)
		}
		c := newClient(t, keys.set, aead.AESSIVCMAC256)
		request := c.request(2)
		answer := exchangeOver(t, conn, request)
		if got, err := nts.ParseResponse(answer, c.s2c); err != nil || len(got.Cookies) != 3 || len(answer) != len(request) {
			t.Errorf("%s: %+v, %v", host, got, err)
		}
	}
	if runtime.GOOS == "linux" {
		wantShown(t, s, "ntptsd_timeserver_timestamps_total", "kernel", float64(2*len(hosts)))
	}
}

func TestServerAnswersBurst(t *testing.T) {
	const many = 200
	keys := fixedKeys{newKeySet(t, cookie.Native)}
	s, port := start(t, listening("127.0.0.1:0"), keys)
	conn := dial(t, "127.0.0.1", port)
	c := newClient(t, keys.set, aead.AESSIVCMAC256)
	requests := [][]byte{version4(), c.request(1), head(0x26)} // a control message between the others
	for i := range many {
		if _, err := conn.Write(requests[i%3]); err != nil {
			t.Fatal(err)
		}
	}
	var plain, authentic int
	answer := make([]byte, ntp.MaxPacket)
	for range many - many/3 {
		n, err := conn.Read(answer)
		if err != nil {
			t.Fatalf("after %d and %d answers: %v", plain, authentic, err)
		}
		if n == ntp.HeaderLen {
			plain++
		} else if _, err := nts.ParseResponse(answer[:n], c.s2c); err == nil {
			authentic++
		}
	}
	if plain != 67 || authentic != 67 {
		t.Errorf("%d plain and %d authentic answers", plain, authentic)
	}
	for label, want := range map[string]float64{"plain": 67, "nts": 67, "mode": 66, "malformed": 0} {
		wantShown(t, s, "ntptsd_timeserver_requests_total", label, want)
	}
	wantShown(t, s, "ntptsd_timeserver_cookies_total", "", 134)
	wantShown(t, s, "ntptsd_timeserver_replies_total", "4", 134)
}

// wantShown waits for a metric's value: an answer is on the wire before its batch is counted.
func wantShown(t *testing.T, s *Server, name, label string, want float64) {
	t.Helper()
	var got float64
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if got = shown(t, s, name, label); got == want {
			return
		}
	}
	t.Errorf("%s %s: %v, want %v", name, label, got, want)
}

func shown(t *testing.T, s *Server, name, label string) (sum float64) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(s)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == name && (label == "" || m.Label[0].GetValue() == label) {
				sum += m.Counter.GetValue()
			}
		}
	}
	return sum
}

func TestOwnAndBroadcastDatagramsAreDropped(t *testing.T) {
	cfg := listening("127.0.0.1:0")
	set, err := sockets.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	s, err := New(cfg, set.Time, []Keys{fixedKeys{newKeySet(t, cookie.Native)}}, goodClock(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	w := s.workers[0]
	port := w.conn.LocalAddr().Port()
	local := netip.MustParseAddr("127.0.0.1")
	for name, m := range map[string]sockets.Message{
		"our own":   {Data: version4(), Local: local, Remote: netip.AddrPortFrom(local, port)},
		"broadcast": {Data: version4(), Local: local, Remote: stranger, ToMany: true},
	} {
		if v := w.respond(&m); v != WrongSource || len(m.Reply) != 0 {
			t.Errorf("%s: %v, %x", name, v, m.Reply)
		}
	}
	m := sockets.Message{Data: version4(), Local: local, Remote: stranger, Received: time.Now()}
	if v := w.respond(&m); v != AnsweredPlain || len(m.Reply) != ntp.HeaderLen {
		t.Errorf("a stranger's: %v", v)
	}
}

func TestRunEndsWithABrokenSocket(t *testing.T) {
	cfg := listening("127.0.0.1:0")
	set, err := sockets.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, set.Time, []Keys{fixedKeys{}}, goodClock(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	set.Time[1].Close()
	if err := s.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "timeserver: receive on 127.0.0.1") {
		t.Errorf("%v", err)
	}
}

func TestServerWithoutSectionWaits(t *testing.T) {
	s, err := New(&config.Config{}, nil, []Keys{fixedKeys{}}, goodClock(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
	if _, err := s.Prepare(&config.Config{}); err != nil {
		t.Error(err)
	}
}

func TestReloadTakesEffectAtCommit(t *testing.T) {
	cfg := listening("127.0.0.1:0")
	s, port := start(t, cfg, fixedKeys{newKeySet(t, cookie.Native)})
	conn := dial(t, "127.0.0.1", port)
	section := *cfg.TimeServer
	section.Deny = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	commit, err := s.Prepare(&config.Config{TimeServer: &section})
	if err != nil {
		t.Fatal(err)
	}
	exchangeOver(t, conn, version4()) // still answered
	commit()
	if _, err := conn.Write(version4()); err != nil {
		t.Fatal(err)
	}
	wantShown(t, s, "ntptsd_timeserver_requests_total", "denied", 1)
}

func TestReloadRefusesWhatNeedsARestart(t *testing.T) {
	cfg := listening("127.0.0.1:0")
	s, err := New(cfg, nil, []Keys{fixedKeys{}}, goodClock(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	for key, change := range map[string]func(*config.TimeServer){
		"timeserver.listen":   func(c *config.TimeServer) { c.Listen = nil },
		"timeserver.freebind": func(c *config.TimeServer) { c.Freebind = true },
		"timeserver.device":   func(c *config.TimeServer) { c.Device = "lo" },
		"timeserver.workers":  func(c *config.TimeServer) { c.Workers++ },
	} {
		section := *cfg.TimeServer
		change(&section)
		if _, err := s.Prepare(&config.Config{TimeServer: &section}); err == nil || !strings.Contains(err.Error(), key+" has changed: restart") {
			t.Errorf("%s: %v", key, err)
		}
	}
	if _, err := s.Prepare(&config.Config{}); err == nil || !strings.Contains(err.Error(), "restart") {
		t.Errorf("section gone: %v", err)
	}
}

func TestReloadForgivesNobody(t *testing.T) {
	section := func(deny string) *config.TimeServer {
		return &config.TimeServer{
			Deny:      []netip.Prefix{netip.MustParsePrefix(deny)},
			RateLimit: &config.TimeRateLimit{RateLimit: config.RateLimit{Interval: config.Duration(time.Hour), Burst: 1}},
		}
	}
	first := newSettings(section("192.0.2.0/24"), nil)
	if next := newSettings(section("198.51.100.0/24"), first); next.limiter != first.limiter {
		t.Error("the limiter forgot everything though its numbers are the same")
	}
	changed := section("192.0.2.0/24")
	changed.RateLimit.Burst = 2
	if next := newSettings(changed, first); next.limiter == first.limiter {
		t.Error("the new burst does not count")
	}
}

func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, example := range regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllSubmatch(text, -1) {
		if _, err := config.Parse("README.md", example[1]); err != nil {
			t.Error(err)
		}
	}
	s, err := New(&config.Config{}, nil, []Keys{fixedKeys{}}, goodClock(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(s)
	families, err := registry.Gather()
	if err != nil || len(families) == 0 {
		t.Fatal(err)
	}
	for _, f := range families {
		if !bytes.Contains(text, []byte("`"+f.GetName())) {
			t.Errorf("README does not speak of %s", f.GetName())
		}
	}
	for v := range Verdict(verdicts) {
		if !bytes.Contains(text, []byte("`"+v.String()+"`")) {
			t.Errorf("README does not speak of the verdict %s", v)
		}
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) != 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
