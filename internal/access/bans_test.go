package access

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestBansCountEverywhereAtOnce(t *testing.T) {
	token, hash := NewToken()
	a := open(t, config.Access{Loopback: "monitor", Tokens: map[string]config.TokenLogin{"x": {Hash: hash, Role: "admin", Expires: config.Time(time.Now().Add(time.Hour))}}})
	who, err := a.Token(far, token)
	if err != nil {
		t.Fatal(err)
	}
	who.From = far
	if err := a.Bans().Add(Ban{Network: prefix("192.0.2.0/24")}); err != nil {
		t.Fatal(err)
	}
	if a.Admits(far) || a.Admits(netip.MustParseAddr("::ffff:192.0.2.9")) || !a.Admits(here) || a.Bans().Refused() != 2 {
		t.Error("who is banned gets in, or somebody else does not")
	}
	if _, err := a.Token(far, token); api.KindOf(err) != api.Unknown {
		t.Errorf("on a connection from before: %v", err)
	}
	if _, err := a.Connection(far, nil); api.KindOf(err) != api.Unknown {
		t.Errorf("on a connection from before: %v", err)
	}
	if a.Still(who) {
		t.Error("his stream goes on")
	}
	if who.From = (netip.Addr{}); !a.Still(who) {
		t.Error("who has no address is banned")
	}
	if err := a.Bans().Remove(prefix("192.0.2.0/24")); err != nil || !a.Admits(far) || a.Bans().live.Load() != nil {
		t.Errorf("%v: it is not over", err)
	}
}

// How long a ban lasts is counted by the clock that nobody sets, and nobody has to ask for it to end.
func TestBansEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, config.Access{Bans: map[string]config.Ban{
			"198.51.100.0/24": {Until: config.Time(time.Now().Add(30 * time.Minute))},
			"198.51.101.0/24": {Until: config.Time(time.Now().Add(-time.Minute))},
		}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- a.Run(ctx) }()
		for i, d := range []time.Duration{0, time.Hour, 2 * time.Hour} {
			if err := a.Bans().Add(Ban{Network: prefix(fmt.Sprintf("192.0.%d.0/24", i)), For: d}); err != nil {
				t.Fatal(err)
			}
		}
		banned := func() (s string) {
			for _, addr := range []string{"192.0.0.1", "192.0.1.1", "192.0.2.1", "198.51.100.1", "198.51.101.1"} {
				if a.Bans().live.Load().Allowed(netip.MustParseAddr(addr)) {
					s += "-"
				} else {
					s += "x"
				}
			}
			return s
		}
		for _, c := range []struct {
			pass time.Duration
			want string
		}{{0, "xxxx-"}, {30*time.Minute - 1, "xxxx-"}, {2, "xxx--"}, {30*time.Minute - 2, "xxx--"}, {1, "x-x--"}, {time.Hour, "x----"}, {999 * time.Hour, "x----"}} {
			time.Sleep(c.pass)
			synctest.Wait()
			if got := banned(); got != c.want {
				t.Errorf("after %v more: %s, want %s", c.pass, got, c.want)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestBansAreBounded(t *testing.T) {
	a := open(t, config.Access{})
	for i := range config.MaxBans {
		if err := a.Bans().Add(Ban{Network: prefix(fmt.Sprintf("10.%d.%d.0/24", i/256, i%256))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Bans().Add(Ban{Network: prefix("192.0.2.0/24")}); api.KindOf(err) != api.Conflict {
		t.Errorf("%v", err)
	}
	if err := a.Bans().Add(Ban{Network: prefix("10.0.0.0/24")}); api.KindOf(err) != api.Conflict {
		t.Errorf("twice: %v", err)
	}
	if n := testing.AllocsPerRun(100, func() { a.Bans().Banned(far) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What is saved is what a file beside the configuration says, and then it is that file's.
func TestBansAreSaved(t *testing.T) {
	a := open(t, config.Access{})
	for _, b := range []Ban{{Network: prefix("192.0.2.0/24"), Reason: `a "flood" \ of` + " \u00e9"}, {Network: prefix("2001:db8::/32"), For: time.Hour}} {
		if err := a.Bans().Add(b); err != nil {
			t.Fatal(err)
		}
	}
	text := a.Bans().Persist()
	cfg, err := config.Parse("saved", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	commit, err := a.Prepare(cfg)
	if err != nil {
		t.Fatal(err)
	}
	commit()
	all := a.Bans().View()
	if len(all) != 2 || all[0].Reason != `a "flood" \ of`+" \u00e9" || all[0].From != api.FromConfiguration || all[1].LeftSeconds == nil || *all[1].LeftSeconds < 3590 {
		t.Errorf("%+v", all)
	}
	if err := a.Bans().Remove(prefix("192.0.2.0/24")); api.KindOf(err) != api.Conflict || a.Bans().Persist() != "" {
		t.Errorf("%v, %q", err, a.Bans().Persist())
	}
	commit, _ = a.Prepare(&config.Config{})
	if commit(); len(a.Bans().View()) != 0 {
		t.Error("what left the configuration is banned still")
	}
}

func TestNoBansBanNobody(t *testing.T) {
	var b *Bans
	if b.Banned(far) || newBans().Banned(far) {
		t.Error("somebody is")
	}
}

func BenchmarkBanned(b *testing.B) {
	for _, n := range []int{0, 1, config.MaxBans} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			bans := newBans()
			for i := range n {
				_ = bans.Add(Ban{Network: prefix(fmt.Sprintf("10.%d.%d.0/24", i/256, i%256))})
			}
			for b.Loop() {
				bans.Banned(far)
			}
		})
	}
}
