package mode6

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestInterfaces(t *testing.T) {
	got, err := ParseInterfaces([]byte("bogus, tx.0=7, flags.0=0x19, name.0=\"eth0, \\\"\", bcast.0=10.9.2.255:123, en.0=1,\r\n" +
		"addr.0=10.9.2.2:123, rx.0=8, txerr.0=9, pc.0=3, up.0=324, tl.0=1, mc.0=2, ^`Y.0=18446744073709510391, abc.7=1,\r\n" +
		"addr.7=[fe80::1%2]:123, bcast.7=, en.7=0, rx.7=-1, up.7=99999999999, name.70000=\"no\", .7=1, x.y.7=1\r\n"))
	want := []Interface{
		{
			Address: netip.MustParseAddrPort("10.9.2.2:123"), Broadcast: netip.MustParseAddrPort("10.9.2.255:123"), Name: `eth0, \"`,
			Enabled: true, Flags: 0x19, Received: 8, Sent: 7, SendErrors: 9, Peers: 3, Up: 324 * time.Second, TTL: 1, Groups: 2,
		},
		{Index: 7, Address: netip.MustParseAddrPort("[fe80::1%2]:123"), Up: 1 << 32 * time.Second},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v: %v", got, want, err)
	}
}

func TestRestrictions(t *testing.T) {
	got, err := ParseRestrictions([]byte("qmo.0=12498, mask.0=255.255.0.0, hits.0=44, flags.0=nomodify  limited, addr.0=10.9.0.0,\r\n" +
		"flags.9=, addr.9=fe80::1, mask.9=ffff::, hits.9=0"))
	want := []Restriction{
		{netip.MustParseAddr("10.9.0.0"), netip.MustParseAddr("255.255.0.0"), 44, []string{"nomodify", "limited"}},
		{netip.MustParseAddr("fe80::1"), netip.MustParseAddr("ffff::"), 0, []string{}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v: %v", got, want, err)
	}
}

func TestTooManyEntries(t *testing.T) {
	var text strings.Builder
	for i := range MaxEntries {
		fmt.Fprintf(&text, "addr.%d=,", i)
	}
	if all, err := ParseInterfaces([]byte(text.String())); err != nil || len(all) != MaxEntries {
		t.Error(len(all), err)
	}
	text.WriteString("addr.60000=")
	if all, err := ParseRestrictions([]byte(text.String())); !errors.Is(err, ErrTooLong) || all != nil {
		t.Error(len(all), err)
	}
}

// Entries that real daemons sent, read by hand.
func TestOrderedListsOfRealDaemons(t *testing.T) {
	seen := 0
	for _, d := range daemons(t) {
		for _, v := range d.Vectors {
			if d.name == "ntpsec-1.2.5" && v.Name == "auth_ifstats" {
				seen++
				all, _ := ParseInterfaces(latin1(*v.Text))
				last := all[len(all)-1]
				if got := fmt.Sprintf("%d of %d: %+v %v", len(all)-1, len(all), last, last.Flags.Words()); got != "5 of 6: {Index:7 "+
					"Address:[fe80::6c1d:c6ff:fe47:79ad%2]:123 Broadcast:invalid AddrPort Name:vs5b Enabled:true Flags:1 Received:0 Sent:0 "+
					"SendErrors:0 Peers:0 Up:2m45s TTL:0 Groups:0} [up]" {
					t.Error(got)
				}
			}
			if d.name == "ntp-4.2.8p15" && v.Name == "auth_reslist" {
				seen++
				all, _ := ParseRestrictions(latin1(*v.Text))
				if got := fmt.Sprint(all[8]); got != "{0.0.0.0 0.0.0.0 0 [serve trust nopeer epeer limited query nomodify trap kod]}" {
					t.Error(got)
				}
			}
		}
	}
	if seen != 2 {
		t.Errorf("%d lists seen", seen)
	}
}

// Whatever a list says, its parsers end with what they can hold.
func FuzzParseLists(f *testing.F) {
	for _, d := range daemons(f) {
		for _, v := range d.Vectors {
			if op := Opcode(v.Request.Op); v.Text != nil && (op == OpReadOrdered || op == OpReadMRU) {
				f.Add(latin1(*v.Text))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		interfaces, err := ParseInterfaces(text)
		if len(interfaces) > MaxEntries || err != nil && !errors.Is(err, ErrTooLong) {
			t.Fatalf("%d interfaces, %v", len(interfaces), err)
		}
		restrictions, err := ParseRestrictions(text)
		if len(restrictions) > MaxEntries || err != nil && !errors.Is(err, ErrTooLong) {
			t.Fatalf("%d restrictions, %v", len(restrictions), err)
		}
		l, err := parseList(nil, text)
		if len(l.clients) > MaxEntries || err != nil && !errors.Is(err, ErrTooLong) || l.nonce != "" && !isNonce(l.nonce) {
			t.Fatalf("%d clients, %v", len(l.clients), err)
		}
	})
}
