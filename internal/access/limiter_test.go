package access

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

var host = netip.MustParseAddr("192.0.2.1")

func TestLimiterLetsABurstAndThenARatePass(t *testing.T) {
	l := NewLimiter(time.Second, 3, 100)
	now := time.Now()
	steps := []struct {
		after time.Duration
		want  bool
	}{
		{0, true}, {0, true}, {0, true}, {0, false}, // the burst
		{999 * time.Millisecond, false}, {time.Millisecond, true}, {0, false}, // one per second
		{2 * time.Second, true}, {0, true}, {0, false}, // what was saved up
		{time.Hour, true}, {0, true}, {0, true}, {0, false}, // never more than the burst
	}
	for i, step := range steps {
		now = now.Add(step.after)
		if got := l.Allow(host, now); got != step.want {
			t.Fatalf("step %d: %v, want %v", i, got, step.want)
		}
	}
}

func TestLimiterSeesNetworks(t *testing.T) {
	tests := []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"0.0.0.1", "0:0:0:1::", false}, // the same 64 bits in the other family
	}
	for _, test := range tests {
		l, now := NewLimiter(time.Hour, 1, 10), time.Now()
		l.Allow(netip.MustParseAddr(test.a), now)
		if refused := !l.Allow(netip.MustParseAddr(test.b), now); refused != test.same {
			t.Errorf("%s and %s: same is %v, want %v", test.a, test.b, refused, test.same)
		}
	}
}

func TestNoLimiterAllowsAll(t *testing.T) {
	l := NewLimiter(0, 1, 10)
	for range 100 {
		if !l.Allow(host, time.Now()) {
			t.Fatal("refused without a limit")
		}
	}
}

// FuzzLimiter: of one network's requests, never more than burst + elapsed/interval pass in any window of time, and one
// that waited for an interval passes.
func FuzzLimiter(f *testing.F) {
	f.Add(uint16(10), uint8(3), []byte{0, 0, 0, 0, 9, 1, 20, 0, 255})
	f.Add(uint16(1), uint8(0), []byte{0, 1, 1, 0, 2})
	f.Fuzz(func(t *testing.T, interval uint16, burst uint8, gaps []byte) {
		if interval == 0 || len(gaps) > 256 {
			return
		}
		l, now := NewLimiter(time.Duration(interval), int(burst), 1), time.Now()
		var passed []time.Time
		for _, gap := range gaps {
			now = now.Add(time.Duration(gap))
			if l.Allow(host, now) {
				passed = append(passed, now)
			} else if now.Sub(passed[len(passed)-1]) >= time.Duration(interval) {
				t.Fatalf("refused %v after the last, of one per %v", now.Sub(passed[len(passed)-1]), time.Duration(interval))
			}
		}
		for i := range passed {
			for j := i; j < len(passed); j++ {
				bound := max(int64(burst), 1) + int64(passed[j].Sub(passed[i]))/int64(interval)
				if got := int64(j - i + 1); got > bound {
					t.Fatalf("%d passed in %v, at most %d may", got, passed[j].Sub(passed[i]), bound)
				}
			}
		}
	})
}

func TestLimiterSurvivesItsExtremes(t *testing.T) {
	l, now := NewLimiter(1<<62, 1<<30, 1), time.Now()
	for i := range 10 {
		if i > 0 && !l.Allow(host, now) {
			return
		}
		l.Allow(host, now)
	}
	t.Error("centuries of tolerance and of interval let everything pass")
}

func TestLimiterForgivesAClockSetBack(t *testing.T) {
	l, now := NewLimiter(time.Second, 2, 10), time.Now().Round(0) // no monotonic reading
	l.Allow(host, now.Add(time.Hour))
	if l.Allow(host, now) {
		t.Error("a clock set back gives a new burst")
	}
	if !l.Allow(host, now.Add(time.Second)) {
		t.Error("one interval later nothing passes")
	}
}

func stranger(i int) netip.Addr {
	b := [16]byte{0x20, 1}
	binary.BigEndian.PutUint32(b[4:8], uint32(i))
	return netip.AddrFrom16(b)
}

func TestLimiterKeepsTheRefusedAmongStrangers(t *testing.T) {
	const entries = 100
	l, now := NewLimiter(time.Second, 8, entries), time.Now()
	for l.Allow(host, now) {
	}
	for i := range 100 * entries { // each stranger once: everyone passes, and nobody displaces the refused one
		if !l.Allow(stranger(i), now) {
			t.Fatal("a stranger is refused for the others' requests")
		}
		if l.Allow(host, now) {
			t.Fatalf("the refused network passes after %d strangers", i+1)
		}
	}
}

func TestLimiterMemoryIsFixed(t *testing.T) {
	l := NewLimiter(time.Second, 8, 1000)
	if n := len(l.sets) * ways; n < 1000 || n > 2*1000+ways {
		t.Errorf("room for %d networks, want 1000 or a little more", n)
	}
	if size := unsafe.Sizeof(set{}); size != 128 {
		t.Errorf("a set has %d octets, want two cache lines of 64", size)
	}
	addrs := make([]netip.Addr, 1000)
	for i := range addrs {
		addrs[i] = stranger(i)
	}
	i, now := 0, time.Now()
	if n := testing.AllocsPerRun(len(addrs), func() { l.Allow(addrs[i%len(addrs)], now); i++ }); n != 0 {
		t.Errorf("Allow allocates %v times", n)
	}
}

func TestLimiterCountsAllWorkers(t *testing.T) {
	const burst = 1000
	l, now := NewLimiter(time.Hour, burst, 10), time.Now()
	var passed atomic.Int32
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for range burst {
				if l.Allow(host, now) {
					passed.Add(1)
				}
			}
		})
	}
	workers.Wait()
	if passed.Load() != burst {
		t.Errorf("%d passed, want %d", passed.Load(), burst)
	}
}

func BenchmarkLimiter(b *testing.B) {
	now := time.Now()
	l := NewLimiter(time.Second, 8, 1<<16)
	b.Run("one network", func(b *testing.B) {
		for b.Loop() {
			l.Allow(host, now)
		}
	})
	b.Run("many networks", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			l.Allow(stranger(i&0xffff), now)
		}
	})
}

func BenchmarkPrefixes(b *testing.B) {
	p := NewPrefixes(prefixes(b, "10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"), prefixes(b, "10.1.0.0/16"))
	for b.Loop() {
		p.Allowed(host)
	}
}
