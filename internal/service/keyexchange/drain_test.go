package keyexchange

import (
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/ntptsd/ntptsd/protocol/ntske"
)

func TestBannedAreClosedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		bans := access.NewTestBans(netip.MustParsePrefix("192.0.2.0/24"))
		f := start(t, defaults(), l, func(s *Server) { s.UseBans(bans) })
		for _, from := range []string{"192.0.2.200", "::ffff:192.0.2.201"} {
			if b, _ := io.ReadAll(l.dial(from)); len(b) != 0 {
				t.Errorf("%s gets %x", from, b)
			}
		}
		f.ask(l.dial("192.0.3.1"), f.clientConfig())
		if n := f.Banned(); n != 2 {
			t.Errorf("%d are told to be banned", n)
		}
		f.stop(map[Verdict]int{Banned: 2, Served: 1})
	})
}

func TestADrainedListenerTakesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		f := start(t, defaults(), l, func(s *Server) { s.log = slog.New(slog.DiscardHandler) }) // an operator may make us log
		all := f.Listeners()
		if len(all) != 1 || !all[0].Drains || all[0].Draining {
			t.Fatalf("%+v", all)
		}
		began := l.dial("192.0.2.1") // is under way
		synctest.Wait()
		if f.DrainListener("other", true) || !f.DrainListener(all[0].Name, true) || !f.Listeners()[0].Draining {
			t.Fatal("not drained")
		}
		if b, _ := io.ReadAll(l.dial("192.0.2.2")); len(b) != 0 {
			t.Errorf("it answers %x", b)
		}
		f.ask(began, f.clientConfig())
		f.DrainListener(all[0].Name, false)
		f.ask(l.dial("192.0.2.2"), f.clientConfig())
		f.stop(map[Verdict]int{Drained: 1, Served: 2})
	})
}

// A drained host sends to others whom it can, and serves the rest.
func TestADrainedHostSendsClientsElsewhere(t *testing.T) {
	s := &Server{log: slog.New(slog.DiscardHandler)}
	cfg := targetsOf(config.Target{}, config.Target{Name: "b.example"})
	first := mustBoard(t, cfg, nil)
	for i := range first.places {
		first.places[i].class = fit
	}
	s.board.Store(first)
	keys := newRing(t, cookie.Native).set
	here := first.places[0].id
	request := &ntske.Request{AEADs: []aead.ID{15}}
	where := func(b *board) string {
		c, err := b.choose(request, firstFor(first, "ipv4"), rings{config.DefaultRing: keys}, false)
		if err != nil {
			t.Fatal(err)
		}
		return c.target.id
	}
	if got := where(s.board.Load()); got != here {
		t.Fatalf("before: %q", got)
	}
	s.DrainHost(true)
	if got := where(s.board.Load()); got != "b.example" || !s.Draining() {
		t.Errorf("drained: %q", got)
	}
	if got := where(mustBoard(t, cfg, s.board.Load())); got != "b.example" {
		t.Errorf("after a reload: %q", got)
	}
	alone := mustBoard(t, targetsOf(config.Target{}), s.board.Load())
	if got := where(alone); got != here {
		t.Errorf("where there is no other: %q", got)
	}
	s.DrainHost(false)
	if got := where(s.board.Load()); got != here || s.Draining() {
		t.Errorf("undrained: %q", got)
	}
}
