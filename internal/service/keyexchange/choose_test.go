package keyexchange

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/internal/probe"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/ntptsd/ntptsd/protocol/ntske"
)

// rings are sets of keys by the ring's name.
type rings map[string]*keyring.KeySet

func (r rings) KeySet(name string) *keyring.KeySet { return r[name] }

// targetsOf is a configuration with these targets, and defaults for what they leave out.
func targetsOf(list ...config.Target) *config.Config {
	cfg := defaults()
	for _, c := range list {
		if c.Port == 0 {
			c.Port = 123
		}
		if c.Ring == "" {
			c.Ring = config.DefaultRing
		}
		if c.AEADs == nil {
			c.AEADs = cfg.KeyExchange.AEADs
		}
		if c.Probe == "" {
			c.Probe = "192.0.2.250:123"
		}
		c.Weight = max(c.Weight, 1)
		cfg.KeyExchange.Servers = append(cfg.KeyExchange.Servers, c)
	}
	return cfg
}

func named(names ...string) *config.Config {
	var list []config.Target
	for _, n := range names {
		list = append(list, config.Target{Name: n})
	}
	return targetsOf(list...)
}

func mustBoard(t testing.TB, cfg *config.Config, old *board) *board {
	t.Helper()
	targets, err := newTargets(cfg.KeyExchange)
	if err != nil {
		t.Fatal(err)
	}
	return newBoard(cfg.KeyExchange, targets, old)
}

// firstFor finds a client that would be sent to the first target if all were alike.
func firstFor(b *board, family string) netip.Addr {
	for i := uint32(1); ; i++ {
		from := client(i)
		if family == "ipv6" {
			from = netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 7: byte(i)})
		}
		first := true
		for _, p := range b.places[1:] {
			first = first && p.score(networkOf(from)) < b.places[0].score(networkOf(from))
		}
		if first {
			return from
		}
	}
}

func client(i uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], i<<8|10)
	return netip.AddrFrom4(b)
}

// TestWhereAClientIsSent has a row for each rule of the choice. The client would rather be sent to a than to any other.
func TestWhereAClientIsSent(t *testing.T) {
	native, ntpsec := newRing(t, cookie.Native).set, newRing(t, cookie.NTPsec).set
	bound := func(c class, s float64) health {
		return health{class: c, hasAnswer: true, answer: probe.Exchange{RootDispersion: s}}
	}
	is := func(c class) health { return health{class: c} }
	drains := func(h health) health { h.draining = true; return h }
	a, b, c := config.Target{Name: "a"}, config.Target{Name: "b"}, config.Target{Name: "c"}
	with := func(t config.Target, change func(*config.Target)) config.Target { change(&t); return t }
	v4 := func(t *config.Target) { t.Family = "ipv4" }
	v6 := func(t *config.Target) { t.Family = "ipv6" }
	empty := func(t *config.Target) { t.Ring = "empty" }
	sec := func(t *config.Target) { t.Ring = "ntpsec" }
	only := func(id uint16) func(*config.Target) { return func(t *config.Target) { t.AEADs = []uint16{id} } }
	tests := []struct {
		name    string
		targets []config.Target
		health  []health
		family  string
		aeads   []aead.ID
		strict  bool
		want    string
		aead    aead.ID
		err     error
	}{
		{name: "one target", targets: []config.Target{a}, health: []health{is(fit)}, want: "a"},
		{name: "all fit: the client's own", targets: []config.Target{a, b, c}, health: []health{is(fit), is(fit), is(fit)}, want: "a"},
		{name: "errors of fit clocks do not count", targets: []config.Target{a, b}, health: []health{bound(fit, 0.9), bound(fit, 0.1)}, want: "a"},
		{name: "all unknown: the client's own", targets: []config.Target{a, b}, health: []health{is(unknown), is(unknown)}, want: "a"},
		{name: "fit before unknown", targets: []config.Target{a, b}, health: []health{is(unknown), is(fit)}, want: "b"},
		{name: "unknown before unfit", targets: []config.Target{a, b}, health: []health{bound(distant, 2), is(unknown)}, want: "b"},
		{name: "distant before unsynchronised", targets: []config.Target{a, b}, health: []health{bound(unsynchronised, 0), bound(distant, 2)}, want: "b"},
		{name: "unsynchronised before silent", targets: []config.Target{a, b}, health: []health{is(silent), bound(unsynchronised, 9)}, want: "b"},
		{name: "silent before one that does not know the key", targets: []config.Target{a, b}, health: []health{is(nak), is(silent)}, want: "b"},
		{name: "the least bad of one class", targets: []config.Target{a, b}, health: []health{bound(unsynchronised, 3), bound(unsynchronised, 2)}, want: "b"},
		{name: "an old error of a silent one does not count", targets: []config.Target{a, b}, health: []health{bound(silent, 3), bound(silent, 2)}, want: "a"},
		{name: "none knows the key", targets: []config.Target{a, b}, health: []health{is(nak), is(nak)}, want: "a"},
		{name: "nearly as bad: the client's own", targets: []config.Target{a, b}, health: []health{bound(unsynchronised, 2.9), bound(unsynchronised, 2.1)}, want: "a"},
		{name: "what drains comes last", targets: []config.Target{a, b}, health: []health{drains(is(fit)), is(fit)}, want: "b"},
		{name: "what drains comes after what is usable at all", targets: []config.Target{a, b}, health: []health{drains(is(fit)), is(unsynchronised)}, want: "b"},
		{name: "what drains comes before a silent one", targets: []config.Target{a, b}, health: []health{is(silent), drains(is(fit))}, want: "b"},
		{name: "what drains comes before one that does not know the key", targets: []config.Target{a, b}, health: []health{is(nak), drains(is(unsynchronised))}, want: "b"},
		{name: "of those of no use the one that does not drain", targets: []config.Target{a, b}, health: []health{drains(is(silent)), is(nak)}, want: "b"},
		{name: "all drain", targets: []config.Target{a, b}, health: []health{drains(is(fit)), drains(is(fit))}, want: "a"},
		{name: "all drain: the best", targets: []config.Target{a, b}, health: []health{drains(is(silent)), drains(is(fit))}, want: "b"},

		{name: "none fit: an error where asked for", targets: []config.Target{a, b}, health: []health{is(distant), is(silent)}, strict: true, err: errNoneFit},
		{name: "one fit", targets: []config.Target{a, b}, health: []health{is(silent), is(fit)}, strict: true, want: "b"},
		{name: "what drains is fit all the same", targets: []config.Target{a, b}, health: []health{is(nak), drains(is(fit))}, strict: true, want: "b"},
		{name: "who is not fit is no choice", targets: []config.Target{a, b}, health: []health{is(unsynchronised), drains(is(fit))}, strict: true, want: "b"},
		{name: "no key, and none fit", targets: []config.Target{a, with(b, empty)}, health: []health{is(silent), is(fit)}, strict: true, err: errNoneFit},
		{name: "unknown is no error", targets: []config.Target{a, b}, health: []health{is(silent), is(unknown)}, strict: true, want: "b"},

		{name: "IPv4 only, asked over IPv6", targets: []config.Target{with(a, v4), b}, health: []health{is(fit), is(silent)}, family: "ipv6", want: "b"},
		{name: "IPv4 only, asked over IPv4", targets: []config.Target{with(a, v4), b}, health: []health{is(fit), is(fit)}, want: "a"},
		{name: "IPv6 only, asked over IPv4", targets: []config.Target{with(a, v6), b}, health: []health{is(fit), is(fit)}, want: "b"},
		{name: "IPv6 only, asked over IPv6", targets: []config.Target{with(a, v6), b}, health: []health{is(fit), is(fit)}, family: "ipv6", want: "a"},
		{name: "the other family comes last", targets: []config.Target{with(a, v6), b}, health: []health{is(fit), drains(is(nak))}, want: "b"},
		{name: "none for the family: it may have both", targets: []config.Target{with(a, v6), with(b, v6)}, health: []health{is(fit), is(fit)}, want: "a"},
		{name: "none for the family: the best", targets: []config.Target{with(a, v6), with(b, v6)}, health: []health{is(silent), is(fit)}, want: "b"},
		{name: "none fit of the family", targets: []config.Target{with(a, v6), b}, health: []health{is(fit), is(silent)}, strict: true, want: "a"},
		{name: "no AEAD in the family", targets: []config.Target{with(a, v6), with(b, only(16))}, health: []health{is(fit), is(fit)}, want: "a"},

		{name: "no key here", targets: []config.Target{with(a, empty), b}, health: []health{is(fit), is(nak)}, want: "b"},
		{name: "no key anywhere", targets: []config.Target{with(a, empty), with(b, empty)}, health: []health{is(fit), is(fit)}, err: errNoKey},
		{name: "no key, and no AEAD", targets: []config.Target{with(a, empty), with(b, only(16))}, health: []health{is(fit), is(fit)}, err: errNoKey},
		{name: "no AEAD, and no key", targets: []config.Target{with(a, only(16)), with(b, empty)}, health: []health{is(fit), is(fit)}, err: errNoKey},

		{name: "the client's order of AEADs", targets: []config.Target{a}, health: []health{is(fit)}, aeads: []aead.ID{17, 15}, want: "a", aead: 17},
		{name: "the target before its AEAD", targets: []config.Target{with(a, only(15)), b}, health: []health{is(fit), is(fit)}, aeads: []aead.ID{17, 15}, want: "a"},
		{name: "AEADs of another target", targets: []config.Target{with(a, only(15)), b}, health: []health{is(fit), is(silent)}, aeads: []aead.ID{17}, want: "b", aead: 17},
		{name: "the ring's dialect carries fewer", targets: []config.Target{with(a, sec), b}, health: []health{is(fit), is(fit)}, aeads: []aead.ID{30}, want: "b", aead: 30},
		{name: "no AEAD", targets: []config.Target{with(a, only(15)), with(b, only(16))}, health: []health{is(fit), is(fit)}, aeads: []aead.ID{17}, err: errNoAEAD},
	}
	for _, test := range tests {
		cfg := targetsOf(test.targets...)
		if test.strict {
			cfg.KeyExchange.WhenNoneFit = "error"
		}
		board := mustBoard(t, cfg, nil)
		for i, h := range test.health {
			board.places[i].health = h
		}
		if test.aeads == nil {
			test.aeads = []aead.ID{15}
		}
		request := &ntske.Request{Protocols: []uint16{ntske.NTPv4}, AEADs: test.aeads, Compliant: true}
		got, err := board.choose(request, firstFor(board, test.family), rings{"default": native, "ntpsec": ntpsec}, false)
		if !errors.Is(err, test.err) {
			t.Errorf("%s: %v, want %v", test.name, err, test.err)
			continue
		}
		if err == nil && (got.target.id != test.want || got.aead != max(test.aead, 15) || got.keys == nil) {
			t.Errorf("%s: sent to %s with %v, want %s with %v", test.name, got.target.id, got.aead, test.want, max(test.aead, 15))
		}
	}
}

func TestOneNetworkIsSentToOneTarget(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
		{"0.0.0.0", "::", false},
	} {
		if same := networkOf(netip.MustParseAddr(test.a)) == networkOf(netip.MustParseAddr(test.b)); same != test.same {
			t.Errorf("%s and %s: the same is %v", test.a, test.b, same)
		}
	}
}

// sent is how many of many clients each target gets, and where each client is sent.
func sent(t *testing.T, b *board) (map[string]int, []string) {
	t.Helper()
	const clients = 20000
	keys := newRing(t, cookie.Native)
	request := &ntske.Request{AEADs: []aead.ID{15}}
	shares, where := make(map[string]int), make([]string, clients)
	for i := range where {
		c, err := b.choose(request, client(uint32(i)), keys, false)
		if err != nil {
			t.Fatal(err)
		}
		where[i] = c.target.id
		shares[c.target.id]++
	}
	return shares, where
}

func TestSharesFollowTheWeights(t *testing.T) {
	weights := map[string]int{"a.example": 1, "b.example": 2, "c.example": 5, "d.example:10123": 2}
	b := mustBoard(t, targetsOf(
		config.Target{Name: "a.example", Weight: 1}, config.Target{Name: "b.example", Weight: 2},
		config.Target{Name: "c.example", Weight: 5}, config.Target{Name: "d.example", Port: 10123, Weight: 2},
	), nil)
	shares, where := sent(t, b)
	for id, weight := range weights {
		p := float64(weight) / 10
		n := float64(len(where))
		if off := math.Abs(float64(shares[id]) - n*p); off > 4*math.Sqrt(n*p*(1-p)) {
			t.Errorf("%s has %d of %d clients, want %v", id, shares[id], len(where), n*p)
		}
	}
}

// A new target takes its share from all others, and nobody else is moved; who is gone leaves only its own clients to others.
func TestATargetMovesOnlyItsShare(t *testing.T) {
	_, three := sent(t, mustBoard(t, named("a.example", "b.example", "c.example"), nil))
	shares, four := sent(t, mustBoard(t, named("d.example", "c.example", "a.example", "b.example"), nil))
	for i := range three {
		if three[i] != four[i] && four[i] != "d.example" {
			t.Fatalf("%v was moved from %s to %s", client(uint32(i)), three[i], four[i])
		}
	}
	if n := shares["d.example"]; n < len(four)/5 || n > len(four)*3/10 {
		t.Errorf("the new target has %d of %d clients", n, len(four))
	}
}

// While none is fit, what each says of its error goes up and down, and clients stay nevertheless where they are, by weight.
func TestTheLeastBadStaysTheSame(t *testing.T) {
	b := mustBoard(t, targetsOf(config.Target{Name: "a.example", Weight: 3}, config.Target{Name: "b.example"}), nil)
	var first []string
	for i := range 30 {
		for j := range b.places {
			b.places[j].health = health{class: distant, answer: probe.Exchange{RootDispersion: 1.1 + 0.8*float64((7*i+3*j)%10)/10}}
		}
		shares, where := sent(t, b)
		if first == nil {
			first = where
		}
		if n := len(where); !slices.Equal(where, first) || shares["a.example"] < n*73/100 || shares["a.example"] > n*77/100 {
			t.Fatalf("after %d probes clients are moved: %v", i, shares)
		}
	}
}

// Another release, another machine or a restart must not send a client elsewhere. These were worked out in Python.
func TestTheChoiceIsTheSameForEver(t *testing.T) {
	const want = "cdcbcbbbadbcacbcdacddcccadaabccb"
	_, where := sent(t, mustBoard(t, named("a.example", "b.example", "c.example", "d.example"), nil))
	got := ""
	for _, id := range where[:len(want)] {
		got += id[:1]
	}
	if got != want {
		t.Errorf("the first clients are sent to %s, want %s", got, want)
	}
}

func TestChoosingAllocatesNothing(t *testing.T) {
	var many []string
	for i := range 256 {
		many = append(many, fmt.Sprintf("%d.example", i))
	}
	keys := newRing(t, cookie.Native)
	request := &ntske.Request{AEADs: []aead.ID{15}}
	for _, names := range [][]string{{}, {"a"}, many} {
		b := mustBoard(t, named(names...), nil)
		from := client(1)
		if n := testing.AllocsPerRun(100, func() {
			if _, err := b.choose(request, from, keys, false); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%d targets: %v allocations", len(names), n)
		}
	}
}

// The records tell of the target that was chosen, and the cookies are its ring's.
func TestTheResponseTellsOfTheTarget(t *testing.T) {
	keys := rings{"default": newRing(t, cookie.Native).set, "chrony": newRing(t, cookie.Chrony).set}
	for _, test := range []struct {
		target config.Target
		server string
		port   uint16
	}{
		{config.Target{}, "", 0},
		{config.Target{Port: 10123}, "", 10123},
		{config.Target{Name: "time.example"}, "time.example", 0},
		{config.Target{Name: "2001:db8::1", Port: 4123, Ring: "chrony"}, "2001:db8::1", 4123},
	} {
		cfg := targetsOf(test.target)
		d := decide(t, cfg, keys)
		a, err := d.ask(chronyRequest, exporter(""), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		r, err := ntske.ParseResponse(a.response)
		if err != nil {
			t.Fatal(err)
		}
		if r.Server != test.server || r.Port != test.port || a.target != d.board.places[0].target {
			t.Errorf("%+v: told are server %q and port %d", test.target, r.Server, r.Port)
		}
		checkCookies(t, r, keys[cfg.KeyExchange.Servers[0].Ring], exporter(""), true)
	}
}

func TestWhenNoneIsFit(t *testing.T) {
	cfg := named("a", "b")
	for _, test := range []struct {
		policy  string
		verdict Verdict
	}{{"least-bad", Served}, {"error", NoneFit}} {
		cfg.KeyExchange.WhenNoneFit = test.policy
		d := decide(t, cfg, newRing(t, cookie.Native))
		for i := range d.board.places {
			d.board.places[i].class = unsynchronised
		}
		a, err := d.ask(chronyRequest, exporter(""), rand.Reader)
		if a.verdict != test.verdict || (err == nil) != (test.verdict == Served) {
			t.Errorf("%s: %v %v", test.policy, a.verdict, err)
		}
		if test.verdict == NoneFit && string(a.response) != string(unhex("80020002 0002 80000000")) {
			t.Errorf("the answer is %x", a.response)
		}
	}
}

func TestTargetsWithoutACommonAEADAreRefused(t *testing.T) {
	cfg := targetsOf(config.Target{Name: "a"}, config.Target{Name: "b", AEADs: []uint16{17}})
	cfg.KeyExchange.AEADs = []uint16{15, 16}
	if _, err := newTargets(cfg.KeyExchange); err == nil {
		t.Error("a target that can be offered nothing is taken")
	}
	cfg.KeyExchange.Servers[1].AEADs = []uint16{18}
	if _, err := newTargets(cfg.KeyExchange); err == nil {
		t.Error("an AEAD that nobody knows is taken")
	}
}

// The port of a target without a name can come from our sockets, so that no configuration tells that there are two.
func TestTwoTargetsOfOneNameAreRefused(t *testing.T) {
	cfg := targetsOf(config.Target{Port: 10123}, config.Target{Port: 10123})
	if _, err := newTargets(cfg.KeyExchange); err == nil || !strings.Contains(err.Error(), "another target this-host:10123") {
		t.Error(err)
	}
}

func BenchmarkChoose(b *testing.B) {
	for _, n := range []int{1, 4, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var names []string
			for i := range n {
				names = append(names, fmt.Sprintf("%d.example", i))
			}
			board, keys := mustBoard(b, named(names...), nil), newRing(b, cookie.Native)
			request := &ntske.Request{AEADs: []aead.ID{15}}
			from := netip.MustParseAddr("2001:db8::1")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := board.choose(request, from, keys, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
