package keyexchange

import (
	"fmt"
	"io"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

// TestStrangersAreBounded: with the default bounds, who comes too much is closed at once and by its reason.
func TestStrangersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		f := start(t, defaults(), l)
		for i := range 65 { // of one /64
			c := l.dial(fmt.Sprintf("2001:db8::%x", i))
			defer c.Close()
		}
		for i := range 1000 - 64 {
			c := l.dial(fmt.Sprintf("192.0.%d.%d", i/256, i%256))
			defer c.Close()
		}
		synctest.Wait()
		if n := f.slots.Taken(); n != 1000 {
			t.Errorf("%d connections are open, want 1000", n)
		}
		began := time.Now()
		if b, _ := io.ReadAll(l.dial("198.51.100.1")); len(b) != 0 || time.Since(began) != 0 {
			t.Errorf("the excess gets %d octets and is closed after %v", len(b), time.Since(began))
		}
		f.stop(map[Verdict]int{HelloTimeout: 1000, NetworkFull: 1, Full: 1})
	})
}

func TestDeniedAreClosedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, l := defaults(), newPipes()
		cfg.KeyExchange.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		cfg.KeyExchange.Deny = []netip.Prefix{netip.MustParsePrefix("192.0.2.128/25")}
		f := start(t, cfg, l)
		for _, from := range []string{"192.0.2.200", "::ffff:192.0.2.201", "2001:db8::1"} {
			if b, _ := io.ReadAll(l.dial(from)); len(b) != 0 {
				t.Errorf("%s gets %x", from, b)
			}
		}
		f.ask(l.dial("192.0.2.1"), f.clientConfig())
		f.stop(map[Verdict]int{Denied: 3, Served: 1})
	})
}

func TestTheRateIsLimitedPerNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, l := defaults(), newPipes()
		cfg.KeyExchange.RateLimit = &config.RateLimit{Interval: config.Duration(time.Minute), Burst: 2}
		f := start(t, cfg, l)
		ask := func(from string) { f.ask(l.dial(from), f.clientConfig()) }
		refused := func(from string) {
			if b, _ := io.ReadAll(l.dial(from)); len(b) != 0 {
				t.Errorf("%s gets %x", from, b)
			}
		}
		ask("192.0.2.1")
		ask("192.0.2.1")
		refused("192.0.2.1")
		ask("192.0.2.2")

		commit, err := f.Prepare(cfg) // a reload forgives nobody
		if err != nil {
			t.Fatal(err)
		}
		commit()
		refused("192.0.2.1")
		time.Sleep(time.Minute)
		ask("192.0.2.1")
		refused("192.0.2.1")
		f.stop(map[Verdict]int{Served: 4, RateLimited: 3})
	})
}
