package neighbour

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
)

func TestNamesOfSources(t *testing.T) {
	for name, good := range map[string]bool{
		"ntp1.example": true, "a": true, "my_host": true, "xn--nxasmq6b.example": true, "192.0.2.1": true, "2001:db8::1": true, "1.pool.example": true,
		strings.Repeat("a.", 126) + "a": true,
		"":                              false, "a b": false, "a\tb": false, "a\nb": false, "a\x00": false, "a;b": false, "a#b": false, "\"a\"": false, "-4": false, "-a.example": false,
		"a-": false, ".a": false, "a.": false, "a..b": false, "ä.example": false, "1": false, "10.1": false, "a.1": false, "0x7f000001.0": false,
		"127.127.20.0x0": false, "0X7F7F1400": false, "0x": false, "a.0xab": false, "0xyz": true, "x0": true, "0x1.example": true,
		"192.0.2.1:123": false, "[2001:db8::1]": false, "fe80::1%eth0": false, "::ffff:192.0.2.1": false, "0.0.0.0": false, "::": false, "224.0.0.1": false,
		"ff02::1": false, "255.255.255.255": false, "192.0.2.0/24": false, "a/b": false, "/etc/passwd": false, "$(reboot)": false, "`x`": false,
		strings.Repeat("a.", 127) + "a": false, strings.Repeat("a", 64): false,
	} {
		if problem := badName(name); (problem == "") != good {
			t.Errorf("%q: %q", name, problem)
		}
	}
}

func TestSourcesThatCannotBe(t *testing.T) {
	for want, n := range map[string]NewSource{
		"kind":                     {Kind: "clock"},
		"a port must be":           {Kind: KindServer, Port: 65536},
		"port must be":             {Kind: KindServer, Port: -1},
		"give nts, too":            {Kind: KindServer, NTSPort: 4460},
		"keyid 65536":              {Kind: KindServer, Key: 65536},
		"version 5":                {Kind: KindServer, Version: 5},
		"maxsources 3":             {Kind: KindServer, MaxSources: 3},
		"maxsources 17":            {Kind: KindPool, MaxSources: 17},
		"leave out one of them":    {Kind: KindServer, NTS: true, Key: 1},
		"no NTS between peers":     {Kind: KindPeer, NTS: true},
		"never selected":           {Kind: KindServer, NoSelect: true, Prefer: true},
		"minpoll 9 is beyond":      {Kind: KindServer, MinPoll: Log2(9), MaxPoll: Log2(8)},
		"minpoll -8":               {Kind: KindServer, MinPoll: Log2(-8)},
		"maxpoll 25: must be from": {Kind: KindServer, MaxPoll: Log2(25)},
	} {
		n.Name = "ntp1.example"
		if err := n.check(limits{chronyMinPoll, chronyMaxPoll}); api.KindOf(err) != api.BadArgument || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", n, err)
		}
	}
	pool := NewSource{Name: "192.0.2.1", Kind: KindPool}
	if err := pool.check(limits{chronyMinPoll, chronyMaxPoll}); api.KindOf(err) != api.BadArgument {
		t.Errorf("a pool of one address: %v", err)
	}
}

// Of what is not given the daemons take the usual, as far as what is given lets them.
func TestPollsThatAreNotGiven(t *testing.T) {
	for _, c := range []struct {
		n         NewSource
		low, high int
		line      string
	}{
		{NewSource{}, 6, 10, "server a"},
		{NewSource{MinPoll: Log2(12)}, 12, 12, "server a minpoll 12 maxpoll 12"},
		{NewSource{MaxPoll: Log2(4)}, 4, 4, "server a minpoll 4 maxpoll 4"},
		{NewSource{MinPoll: Log2(0)}, 0, 10, "server a minpoll 0"},
		{NewSource{MinPoll: Log2(6)}, 6, 10, "server a minpoll 6"},
	} {
		c.n.Name, c.n.Kind = "a", KindServer
		if low, high := c.n.polls(); low != c.low || high != c.high || c.n.Line() != c.line {
			t.Errorf("%+v: %d, %d, %q", c.n, low, high, c.n.Line())
		}
	}
}

func TestShownNamesAreHarmless(t *testing.T) {
	for name, want := range map[string]string{"ntp1.example": "ntp1.example", "": `""`, "a b": `"a b"`, "a\x1b[2J": `"a\x1b[2J"`, "ü": `"\u00fc"`,
		strings.Repeat("x", 300): `"` + strings.Repeat("x", 63) + `"`} {
		if got := shown(name); got != want {
			t.Errorf("%q is shown as %s, want %s", name, got, want)
		}
	}
}

func TestMergedFile(t *testing.T) {
	c := NewChrony("/nonexistent/s", netip.AddrPort{})
	d := &Door{}
	d.seen.Store(&view{chrony: c, daemon: c})
	n := server("ntp1.example")
	n.NTS = true
	c.memory.add(n)
	c.memory.add(server("ntp2.example"))
	c.memory.forgetName("old.example")
	kept := "# by hand\nserver NTP1.example iburst\npool old.example\n\nserver other.example prefer"
	want := "# by hand\n\nserver other.example prefer\nserver ntp1.example nts\nserver ntp2.example\n"
	if got := d.Merged(kept); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if again := d.Merged(want); again != want {
		t.Errorf("twice it is\n%s", again)
	}
	if got := d.Persistable(); len(got) != 2 || got[0] != "server ntp1.example nts" {
		t.Errorf("%q", got)
	}
	d.seen.Store(&view{})
	if d.Persistable() != nil || d.Merged(kept) != kept {
		t.Error("without a daemon something is kept")
	}
}

// Whatever name is taken is one word in a line, which no configuration reads as another thing, and comes out as it went in.
func FuzzNewSource(f *testing.F) {
	f.Add("ntp1.example", "server", 4, 123, true)
	f.Add("2001:db8::1", "peer", -7, 0, false)
	f.Add("a\nserver evil", "pool", 99, -1, true)
	f.Fuzz(func(t *testing.T, name, kind string, poll, number int, flag bool) {
		n := NewSource{Name: name, Kind: kind, MinPoll: Log2(poll), Port: number, NTS: flag, IBurst: !flag}
		if n.check(limits{chronyMinPoll, chronyMaxPoll}) != nil {
			_ = n.String() // is shown with the refusal
			return
		}
		line := n.Line()
		words := strings.Fields(line)
		if strings.Join(words, " ") != line || words[0] != kind || words[1] != name || strings.ContainsAny(line, "#;!%\"'\\`$") ||
			strings.ContainsFunc(line, func(c rune) bool { return c < ' ' || c > '~' }) || name[0] == '-' {
			t.Fatalf("%q", line)
		}
		if _, err := netip.ParseAddr(name); err != nil && strings.Trim(name[strings.LastIndex(name, ".")+1:], "0123456789") == "" {
			t.Fatalf("%q may be read as a number", name)
		}
	})
}
