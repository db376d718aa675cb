package config

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// A target without a name is our own time server, as far as that listens there: where it is told and probed follows its
// sockets, as they are expected and as they are.
func TestATargetWithoutANameIsWhereOurSocketsAre(t *testing.T) {
	for _, test := range []struct {
		target, listen string // as configured
		sockets        string // as opened
		want           string
	}{
		{"", "", "", "this-host 127.0.0.1:123"},
		{"", "[::]:123", "", "this-host 127.0.0.1:123"},
		{"", "[::]:10123", "", "this-host:10123 127.0.0.1:10123"},
		{"", "0.0.0.0:10123", "", "this-host:10123 127.0.0.1:10123"},
		{"family = 'ipv6'", "[::]:123", "", "this-host [::1]:123"},
		{"family = 'ipv4'", "[::]:123", "", "this-host 127.0.0.1:123"},
		{"", "127.0.0.2:24123", "", "this-host:24123 127.0.0.2:24123"},
		{"", "[::1]:24123", "", "this-host:24123 [::1]:24123"},
		{"", "192.0.2.2:123", "", "this-host 192.0.2.2:123"}, // 127.0.0.1:123 is a neighbour's
		{"port = 123", "192.0.2.2:123", "", "this-host 192.0.2.2:123"},
		{"port = 123", "[::]:10123", "", "this-host 127.0.0.1:123"}, // a neighbour
		{"port = 123", "192.0.2.2:10123", "192.0.2.2:10123", "this-host 127.0.0.1:123"},
		{"", "192.0.2.2:10123 [2001:db8::2]:10123", "", "this-host:10123 192.0.2.2:10123"},
		{"family = 'ipv6'", "192.0.2.2:10123 [2001:db8::2]:10123", "", "this-host:10123 [2001:db8::2]:10123"},
		{"family = 'ipv4'", "[2001:db8::2]:10123 192.0.2.2:10123", "", "this-host:10123 192.0.2.2:10123"},
		{"", "192.0.2.2:10123 192.0.2.3:123", "", "this-host 192.0.2.3:123"},
		{"", "[fe80::1%eth0]:123", "", "this-host [fe80::1%eth0]:123"},

		{"", "[::]:10123", "[::]:11123 [::]:11123", "this-host:11123 127.0.0.1:11123"}, // inherited, two workers
		{"", "[::]:10123", "192.0.2.2:123", "this-host 192.0.2.2:123"},
		{"", "127.0.0.1:0", "127.0.0.1:40123", "this-host:40123 127.0.0.1:40123"},
		{"port = 10123", "[::]:10123", "192.0.2.2:11123 192.0.2.2:10123", "this-host:10123 192.0.2.2:10123"},
		{"port = 10123", "192.0.2.2:10123", "192.0.2.2:11123", "this-host:10123 127.0.0.1:10123"},
		{"probe = '192.0.2.9:99'", "[::]:10123", "192.0.2.2:11123", "this-host:11123 192.0.2.9:99"},
		{"name = 'time.example'", "[::]:10123", "192.0.2.2:11123", "time.example time.example:123"},
		{"name = '2001:db8::1'\nport = 11123", "[::]:10123", "192.0.2.2:11123", "[2001:db8::1]:11123 [2001:db8::1]:11123"},
	} {
		text := exchange + "[[keyexchange.server]]\n" + test.target + "\n"
		if test.listen != "" {
			text += "[timeserver]\nlisten = ['" + strings.ReplaceAll(test.listen, " ", "', '") + "']"
		}
		c := parsed(t, text)
		var sockets []netip.AddrPort
		for s := range strings.FieldsSeq(test.sockets) {
			sockets = append(sockets, netip.MustParseAddrPort(s))
		}
		if len(sockets) > 0 {
			c.TimeServedAt(sockets)
		}
		s := c.KeyExchange.Servers[0]
		if got := s.ID() + " " + s.Probe; got != test.want {
			t.Errorf("%q with %q and sockets on %q: %s, want %s", test.target, test.listen, test.sockets, got, test.want)
		}
	}
}

// One line in a later file gives the keys back to the neighbour. What is about our own rotation may stay, and waits.
func TestOneLineGivesTheKeysBack(t *testing.T) {
	const ours = `
		dialect = 'chrony'
		neighbour-file = '/n'
		neighbour-format = 'nks1'
		neighbour-socket = '/s'
		neighbour-server = '127.0.0.1:4123'
		aead = 30
		rotate-every = '1h'
		keep = 2
	`
	other := strings.ReplaceAll(ours, "/n", "/m")
	c, err := parse([]source{
		{name: "ntptsd.toml", text: []byte(exchange + "[keyring]" + ours + "[rings.b]" + other + "[rings.a]\nkeep = 3")},
		{name: "owner.toml", text: []byte("keyring.owner = 'neighbour'\nrings.b.owner = 'neighbour'")},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := parsed(t, "[keyring]\ndialect = 'chrony'\nneighbour-file = '/n'\nneighbour-format = 'nks1'\nowner = 'neighbour'")
	if c.KeyRing != want.KeyRing {
		t.Errorf("the ring is %+v, want %+v", c.KeyRing, want.KeyRing)
	}
	var unused []string
	for _, section := range []string{"keyring", "rings.b"} {
		for _, key := range []string{"rotate-every", "keep", "aead", "neighbour-socket", "neighbour-server"} {
			unused = append(unused, section+"."+key+" is not used: the neighbour owns the keys")
		}
	}
	if got := c.Ignored(); !slices.Equal(got, unused) {
		t.Errorf("not used are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(unused, "\n"))
	}
	if got := c.KeyExchange.AEADs; !slices.Equal(got, []uint16{15, 30}) {
		t.Errorf("offered are %v: who rotates does not change what cookies carry", got)
	}
	if all := append(want.Ignored(), parsed(t, "[keyring]"+ours).Ignored()...); len(all) > 0 {
		t.Errorf("not used are %v", all)
	}
	// Even values that would be wrong do not matter: they may be another dialect's.
	parsed(t, "[keyring]\ndialect = 'ntpsec'\nneighbour-file = '/n'\nkeep = 99\naead = 30\nneighbour-server = 'x'\nneighbour-socket = 'y'")
}
