package config

import (
	"net/netip"
	"strings"
	"testing"
)

func TestBansOfTheFile(t *testing.T) {
	c, err := Parse("x", []byte("[access.ban.\"192.0.2.0/24\"]\nreason = \"flood\"\nuntil = 2027-01-31\n[access.ban.\"2001:db8::1\"]\n"))
	if err != nil || len(c.Access.Bans) != 2 || c.Access.Bans["192.0.2.0/24"].Ends().Year() != 2027 || !c.Access.Bans["2001:db8::1"].Ends().IsZero() {
		t.Errorf("%+v, %v", c, err)
	}
	for text, want := range map[string]string{
		"[access.ban.\"192.0.2.1/24\"]":                             `access.ban."192.0.2.1/24": has bits set behind its length, write 192.0.2.0/24`,
		"[access.ban.\"127.0.0.0/7\"]":                              "write 126.0.0.0/7",
		"[access.ban.\"126.0.0.0/7\"]":                              "has loopback addresses in it",
		"[access.ban.\"::/64\"]":                                    "has loopback addresses in it",
		"[access.ban.x]":                                            "must be a network",
		"[access.ban.\"192.0.2.1\"]\n[access.ban.\"192.0.2.1/32\"]": "is there twice",
		"[access.ban.\"192.0.2.1\"]\nreason = \"" + strings.Repeat("x", 201) + "\"": "has more than 200 octets",
	} {
		if _, err := Parse("x", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A ban has its network and never this host, whatever is written.
func FuzzBannedNetwork(f *testing.F) {
	for _, s := range []string{"192.0.2.0/24", "::ffff:192.0.2.0/120", "::ffff:0:0/90", "2001:db8::1", "fe80::1%x", "0.0.0.0/0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, problem := BannedNetwork(s)
		if problem != "" {
			return
		}
		for _, own := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1"} {
			if p.Contains(netip.MustParseAddr(own)) {
				t.Errorf("%q has %s", s, own)
			}
		}
		if again, problem := BannedNetwork(p.String()); problem != "" || again != p {
			t.Errorf("%q is %v, which is %v (%s)", s, p, again, problem)
		}
	})
}

func TestQuote(t *testing.T) {
	for _, s := range []string{"", "a\"b\\c", "tab\tline\nend\x00\x7f", "ü€"} {
		c, err := Parse("x", []byte("[access.ban.\"192.0.2.1\"]\nreason = "+Quote(s)))
		if err != nil || c.Access.Bans["192.0.2.1"].Reason != s {
			t.Errorf("%q: %v", s, err)
		}
	}
}
