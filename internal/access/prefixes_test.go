package access

import (
	"net/netip"
	"testing"
)

func prefixes(t testing.TB, list ...string) (out []netip.Prefix) {
	t.Helper()
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func TestPrefixesAllowed(t *testing.T) {
	tests := []struct {
		name        string
		allow, deny []string
		yes, no     []string
	}{
		{
			name: "no lists allow everybody",
			yes:  []string{"192.0.2.1", "2001:db8::1", "::", "255.255.255.255"},
		},
		{
			name: "only deny",
			deny: []string{"192.0.2.0/24", "2001:db8:bad::/48"},
			yes:  []string{"192.0.1.255", "192.0.3.0", "2001:db8:bac:ffff:ffff:ffff:ffff:ffff", "2001:db8:bae::"},
			no:   []string{"192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7", "2001:db8:bad::", "2001:db8:bad:ffff:ffff:ffff:ffff:ffff%eth0"},
		},
		{
			name:  "only allow refuses the rest, the other family too",
			allow: []string{"10.0.0.0/8"},
			yes:   []string{"10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"},
			no:    []string{"9.255.255.255", "11.0.0.0", "::", "2001:db8::1", "::10.0.0.1"},
		},
		{
			name:  "the longest prefix wins both ways",
			allow: []string{"10.0.0.0/8", "10.1.2.0/24"},
			deny:  []string{"10.1.0.0/16", "10.1.2.3/32"},
			yes:   []string{"10.0.0.1", "10.1.2.2", "10.1.2.4", "10.2.0.0"},
			no:    []string{"10.1.1.255", "10.1.2.3", "10.1.3.0", "10.1.255.255"},
		},
		{
			name:  "deny wins a tie, unmasked and mapped spellings included",
			allow: []string{"192.0.2.77/24", "2001:db8::/32"},
			deny:  []string{"::ffff:192.0.2.0/120"},
			yes:   []string{"2001:db8::1"},
			no:    []string{"192.0.2.1"},
		},
		{
			name:  "the whole of a family, its ends included",
			allow: []string{"::/0"},
			deny:  []string{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "::/128"},
			yes:   []string{"::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"},
			no:    []string{"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "0.0.0.0", "255.255.255.255", "::ffff:192.0.2.1"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := NewPrefixes(prefixes(t, test.allow...), prefixes(t, test.deny...))
			for _, s := range test.yes {
				if !p.Allowed(netip.MustParseAddr(s)) {
					t.Errorf("%s is refused", s)
				}
			}
			for _, s := range test.no {
				if p.Allowed(netip.MustParseAddr(s)) {
					t.Errorf("%s is allowed", s)
				}
			}
		})
	}
}

func TestPrefixesRefuseWhatIsNoAddress(t *testing.T) {
	if NewPrefixes(nil, prefixes(t, "192.0.2.0/24")).Allowed(netip.Addr{}) {
		t.Error("the invalid address is allowed by a list")
	}
}

// FuzzPrefixes: the ranges judge as the definition does, for any lists in a small corner of either family.
func FuzzPrefixes(f *testing.F) {
	f.Add([]byte{1, 0, 24, 0, 1, 28, 1, 1, 32}, uint16(0x0101))
	f.Add([]byte{2, 9, 0, 3, 9, 128}, uint16(9))
	f.Fuzz(func(t *testing.T, lists []byte, probe uint16) {
		address := func(v6 bool, low uint16) netip.Addr {
			if v6 {
				return netip.AddrFrom16([16]byte{0x20, 1, 14: byte(low >> 8), 15: byte(low)})
			}
			return netip.AddrFrom4([4]byte{10, 0, byte(low >> 8), byte(low)})
		}
		var allow, deny []netip.Prefix
		for ; len(lists) >= 3 && len(allow)+len(deny) < 64; lists = lists[3:] {
			addr := address(lists[0]&2 != 0, uint16(lists[1])<<4)
			p := netip.PrefixFrom(addr, int(lists[2])%(addr.BitLen()+1))
			if lists[0]&1 != 0 {
				allow = append(allow, p)
			} else {
				deny = append(deny, p)
			}
		}
		p := NewPrefixes(allow, deny)
		for _, v6 := range []bool{false, true} {
			addr := address(v6, probe)
			if got, want := p.Allowed(addr), decide(addr, allow, deny); got != want {
				t.Errorf("allow %v deny %v: %s is judged %v, the definition says %v", allow, deny, addr, got, want)
			}
		}
	})
}

// decide is the definition written once more, without tables.
func decide(addr netip.Addr, allow, deny []netip.Prefix) bool {
	longest, allowed := -1, len(allow) == 0
	for _, p := range allow {
		if p.Contains(addr) && p.Bits() > longest {
			longest, allowed = p.Bits(), true
		}
	}
	for _, p := range deny {
		if p.Contains(addr) && p.Bits() >= longest {
			longest, allowed = p.Bits(), false
		}
	}
	return allowed
}

func TestJudgingAllocatesNothing(t *testing.T) {
	p := NewPrefixes(prefixes(t, "10.0.0.0/8", "2001:db8::/32"), prefixes(t, "10.1.0.0/16"))
	addr := netip.MustParseAddr("::ffff:10.2.3.4")
	if n := testing.AllocsPerRun(100, func() { p.Allowed(addr) }); n != 0 {
		t.Errorf("Allowed allocates %v times", n)
	}
}
