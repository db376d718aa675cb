package timeserver

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// Who is banned gets nothing, whatever he sends, and before it is looked at.
func TestBannedGetNothing(t *testing.T) {
	keys := newKeySet(t, cookie.Native)
	r := server(t, config.TimeServer{}, keys)
	r.bans = access.NewTestBans(netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"))
	c := newClient(t, keys, aead.AESSIVCMAC256)
	for from, want := range map[string]Verdict{
		"192.0.2.1:123": Banned, "[::ffff:192.0.2.1]:123": Banned, "[2001:db8::1]:5000": Banned, "[2001:db9::1]:5000": AnsweredNTS, "192.0.3.1:123": AnsweredNTS,
	} {
		if _, v := ask(r, c.request(0), netip.MustParseAddrPort(from)); v != want {
			t.Errorf("%s: %v, want %v", from, v, want)
		}
	}
	for _, junk := range [][]byte{nil, head(0x26), make([]byte, 2000)} {
		if answer, v := ask(r, junk, netip.MustParseAddrPort("192.0.2.1:0")); v != Banned || len(answer) != 0 {
			t.Errorf("%v", v)
		}
	}
}

// Of those whose key was revoked as many are told so in a second as was asked for; the others get no answer. Everybody else
// is served, and a cookie that no key opens is told so as ever.
func TestRevokedKeysHaveABudgetOfNAKs(t *testing.T) {
	for _, d := range []cookie.Dialect{cookie.Native, cookie.Chrony, cookie.NTPsec} {
		old := newKeySet(t, d)
		c := newClient(t, old, aead.AESSIVCMAC256)
		keys, err := keyring.NewTestRevoked(old, 10)
		if err != nil {
			t.Fatal(err)
		}
		r := server(t, config.TimeServer{}, keys)
		r.rings = append([]Keys{fixedKeys{newKeySet(t, cookie.Native)}}, r.rings...)
		clock := time.Now().Add(time.Hour)
		r.now = func() time.Time { return clock }
		for second := range 3 {
			got := make(map[Verdict]int)
			for range 100 {
				answer, v := ask(r, c.request(0), stranger)
				got[v]++
				if v == AnsweredNAK {
					wantNAK(t, answer, c.uniqueID)
				} else if len(answer) != 0 {
					t.Fatalf("%v is answered", v)
				}
			}
			if got[AnsweredNAK] != 10 || got[NAKWithheld] != 90 {
				t.Errorf("%v, second %d: %v", d, second, got)
			}
			clock = clock.Add(time.Second)
		}
		if r.ages[ageRevoked] != 300 || r.ages[ageUnknown] != 0 {
			t.Errorf("counted as %v", r.ages)
		}
		if _, v := ask(r, newClient(t, keys, aead.AESSIVCMAC256).request(0), stranger); v != AnsweredNTS {
			t.Errorf("a fresh cookie: %v", v)
		}
		stranger2 := newClient(t, newKeySet(t, d), aead.AESSIVCMAC256)
		for range 20 {
			if _, v := ask(r, stranger2.request(0), stranger); v != AnsweredNAK {
				t.Fatalf("an unknown key: %v", v)
			}
		}
	}
}

func TestWithheldAndBannedAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	old := newKeySet(t, cookie.Native)
	request := newClient(t, old, aead.AESSIVCMAC256).request(0)
	keys, err := keyring.NewTestRevoked(old, 1)
	if err != nil {
		t.Fatal(err)
	}
	r := server(t, config.TimeServer{}, keys)
	reply := make([]byte, 0, ntp.MaxPacket)
	respond := func() { r.Respond(reply, request, stranger, received) }
	if n := testing.AllocsPerRun(500, respond); n > 0 {
		t.Errorf("a withheld NAK allocates %v times", n)
	}
	r.bans = access.NewTestBans(netip.PrefixFrom(stranger.Addr(), stranger.Addr().BitLen()))
	if n := testing.AllocsPerRun(500, respond); n > 0 {
		t.Errorf("a ban allocates %v times", n)
	}
}

// A drained address answers nobody, and then again.
func TestDrainedListener(t *testing.T) {
	keys := fixedKeys{newKeySet(t, cookie.Native)}
	s, port := start(t, listening("127.0.0.1:0"), keys)
	all := s.Listeners()
	if len(all) != 1 || !all[0].Drains || all[0].Draining || all[0].Transport != "udp" {
		t.Fatalf("%+v", all)
	}
	if s.DrainListener("127.0.0.1:1/udp", true) {
		t.Error("an unknown one was drained")
	}
	if !s.DrainListener(all[0].Name, true) || !s.Listeners()[0].Draining {
		t.Fatal("not drained")
	}
	conn := dial(t, "127.0.0.1", port)
	if _, err := conn.Write(version4()); err != nil {
		t.Fatal(err)
	}
	for s.verdict(Drained) == 0 {
		time.Sleep(time.Millisecond) // until the worker has had it
	}
	if !s.DrainListener(all[0].Name, false) {
		t.Fatal("not undrained")
	}
	parse(t, exchangeOver(t, conn, version4())) // the first answer is to this one: the other got none
	if n := s.Answered(); n != 1 {
		t.Errorf("%d were answered", n)
	}
}

func BenchmarkRespondPlainWithBans(b *testing.B) {
	keys := newKeySet(b, cookie.Native)
	for _, n := range []int{0, 1, config.MaxBans} {
		name := map[int]string{0: "none", 1: "one", config.MaxBans: "all"}[n]
		b.Run(name, func(b *testing.B) {
			r := NewResponder(&config.TimeServer{}, []Keys{fixedKeys{keys}}, goodClock())
			var networks []netip.Prefix
			for i := range n {
				networks = append(networks, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24))
			}
			r.bans = access.NewTestBans(networks...)
			respond(b, r, version4(), AnsweredPlain)
		})
	}
}
