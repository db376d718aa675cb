package timeserver

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/internal/sockets"
	"github.com/ntptsd/ntptsd/internal/visitors"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// unstarted is a server with one worker, whose batches the test makes.
func unstarted(t *testing.T, keys ...Keys) *Server {
	t.Helper()
	cfg := listening("127.0.0.1:0")
	cfg.TimeServer.Workers = 1
	set, err := sockets.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	s, err := New(cfg, set.Time, keys, goodClock(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// come lets datagrams arrive as one batch. Their answers are lost.
func (w *worker) come(batch ...sockets.Message) {
	for i := range batch {
		w.verdicts[i] = w.respond(&batch[i])
	}
	w.count(batch)
}

func from(addr string, packet []byte) sockets.Message {
	return sockets.Message{
		Data: packet, Remote: netip.AddrPortFrom(netip.MustParseAddr(addr), 40000), Local: netip.MustParseAddr("127.0.0.1"), Received: time.Now(),
	}
}

func TestNetworksAreRememberedForWhatTheyAsked(t *testing.T) {
	keys := newKeySet(t, cookie.Native)
	s := unstarted(t, fixedKeys{keys})
	s.settings.Store(newSettings(&config.TimeServer{
		Deny:      []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
		RateLimit: &config.TimeRateLimit{RateLimit: config.RateLimit{Interval: config.Duration(time.Hour), Burst: 3}, Leak: 4},
	}, nil))
	good := newClient(t, keys, aead.AESSIVCMAC256).request(0)
	bad := newClient(t, newKeySet(t, cookie.Native), aead.AESSIVCMAC256).request(0)
	w := s.workers[0]
	w.come(from("192.0.2.1", good), from("192.0.2.1", good), from("192.0.2.2", good), from("192.0.2.3", bad), from("192.0.2.4", version4()))
	w.come(from("2001:db8::1", version4()), from("2001:db8:0:9::1", head(0x16)))
	w.come(from("203.0.113.9", version4()))
	ourselves := from("127.0.0.1", version4())
	ourselves.Remote = netip.AddrPortFrom(ourselves.Local, w.conn.LocalAddr().Port())
	w.come(ourselves)

	top := visitors.Top(10, s.Visitors(), nil)
	want := []api.Network{
		{Prefix: "192.0.2.0/24", Requests: 5, NTSRequests: 4, NAKs: 1},
		{Prefix: "2001:db8::/48", Requests: 2},
		{Prefix: "203.0.113.0/24", Requests: 1},
	}
	if len(top.Networks) != len(want) || top.Requests != 8 || *top.NTSShare != .5 {
		t.Fatalf("%+v", top)
	}
	for i, n := range top.Networks {
		n.FirstSeen, n.LastSeen, n.IntervalSeconds = time.Time{}, time.Time{}, nil
		if n != want[i] {
			t.Errorf("%+v, want %+v", n, want[i])
		}
	}
	const many = 64
	before := s.Answered()
	for range many {
		w.come(from("198.51.100.1", version4()))
	}
	top = visitors.Top(1, s.Visitors(), nil)
	if n := top.Networks[0]; n.Requests != many || n.RateLimited+s.Answered()-before != many || n.RateLimited != s.RateLimited() || n.RateLimited == 0 {
		t.Errorf("%+v, answered %d, limited %d", n, s.Answered(), s.RateLimited())
	}
}

// TestCountingAllocatesNothing, whoever comes.
func TestCountingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := unstarted(t, fixedKeys{newKeySet(t, cookie.Native)})
	w, batch := s.workers[0], make([]sockets.Message, sockets.BatchLen)
	request, reply, next := version4(), make([]byte, 0, 100), byte(0)
	if n := testing.AllocsPerRun(300, func() {
		for i := range batch {
			next++
			batch[i] = sockets.Message{Data: request, Reply: reply, Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(i), next, next, 1}), 40000)}
			w.verdicts[i] = w.respond(&batch[i])
		}
		w.count(batch)
	}); n != 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}

// TestReadingWhileWorkersCount is for the race detector: everything that others read, read at once.
func TestReadingWhileWorkersCount(t *testing.T) {
	s, port := start(t, listening("127.0.0.1:0"), fixedKeys{newKeySet(t, cookie.Native)})
	var clients sync.WaitGroup
	for range 4 {
		conn := dial(t, "127.0.0.1", port)
		clients.Go(func() {
			for range 50 {
				exchangeOver(t, conn, version4())
			}
		})
	}
	done := make(chan struct{})
	go func() { clients.Wait(); close(done) }()
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		if top := visitors.Top(10, s.Visitors(), nil); top.Requests > 200 || len(s.Cookies()) != ages || s.Answered() > 200 {
			t.Fatalf("%+v", top)
		}
	}
	wantShown(t, s, "ntptsd_timeserver_requests_total", "plain", 200)
	counted := func() uint64 { return visitors.Top(1, s.Visitors(), nil).Requests }
	for end := time.Now().Add(deadline); counted() != 200 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if n := counted(); n != 200 { // the last batch is remembered just after its metrics show it
		t.Errorf("%d requests are remembered", n)
	}
}

// always is a clock that keys may rotate by.
type always struct{}

func (always) Synchronised() bool { return true }

// TestCookiesByTheAgeOfTheirKey: a client's cookie gets older with each rotation, and at last no key opens it.
func TestCookiesByTheAgeOfTheirKey(t *testing.T) {
	dir := t.TempDir()
	rings, err := keyring.OpenAll(&config.Config{StateDirectory: dir, KeyRing: config.KeyRing{
		Dialect: "native", Owner: "ntptsd", File: dir + "/keys", RotateEvery: config.Duration(time.Hour), Keep: 3, AEAD: 15,
	}}, always{}, nil, quiet())
	if err != nil {
		t.Fatal(err)
	}
	ring := rings.All()[0]
	first := ring.KeySet()
	c := newClient(t, first, aead.AESSIVCMAC256)
	s := unstarted(t, ring)
	want := make([]uint64, ages)
	for _, a := range []age{ageCurrent, ageOne, ageTwo, ageOlder} {
		s.workers[0].come(from("192.0.2.1", c.request(0)))
		want[a]++
		if err := ring.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if a == ageCurrent { // somebody else has rotated, and we have not yet
			early := unstarted(t, fixedKeys{first})
			early.workers[0].come(from("192.0.2.1", newClient(t, ring.KeySet(), aead.AESSIVCMAC256).request(0)))
			if n := early.Cookies()[ageNext]; n != (api.Count{Name: "next", Count: 1}) {
				t.Errorf("%+v", n)
			}
		}
	}
	s.workers[0].come(from("192.0.2.1", newClient(t, newKeySet(t, cookie.Native), aead.AESSIVCMAC256).request(0)))
	want[ageUnknown]++
	broken := c.request(0)
	broken[len(broken)-1] ^= 1 // its cookie opens all the same
	s.workers[0].come(from("192.0.2.1", broken), from("192.0.2.1", version4()))
	want[ageOlder]++

	var got []uint64
	for a, n := range s.Cookies() {
		got = append(got, n.Count)
		if shown := shown(t, s, "ntptsd_timeserver_cookies_opened_total", n.Name); shown != float64(n.Count) {
			t.Errorf("the metric for %v shows %v, want %d", age(a), shown, n.Count)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("next, current, 1, 2, older, unknown: %v, want %v", got, want)
	}
}

func TestAges(t *testing.T) {
	for rotations, want := range map[int]string{-9: "next", -1: "next", 0: "current", 1: "1", 2: "2", 3: "older", 127: "older", 1 << 20: "older"} {
		if got := ageOf(rotations).String(); got != want {
			t.Errorf("%d rotations: %s, want %s", rotations, got, want)
		}
	}
}
