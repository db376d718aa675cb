package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// neighbourRing is the configuration of a key exchange for the time server in another host, which opens our cookies.
func neighbourRing(p pair, to *host, aeads, dialect, file, more string) settings {
	return settings{
		pair: p, noTime: true,
		keyExchange: fmt.Sprintf("ntp-server = %q\nntp-port = 123\naeads = %s", to.v4, aeads),
		keyRing:     fmt.Sprintf("dialect = %q\nowner = \"ntptsd\"\nneighbour-file = %q\n%s", dialect, file, more),
	}
}

// provedBy are the lines of a ring whose reader proves to know its keys in another host.
func provedBy(h *host) string { return fmt.Sprintf("neighbour-server = \"%s:123\"\n", h.v4) }

func exists(path string) func() error {
	return func() error {
		_, err := os.Stat(path)
		return err
	}
}

func TestChronyServerOpensOurCookies(t *testing.T) {
	for _, c := range []struct {
		name         string
		server       chrony
		client       chrony
		aeads, keys  string
		session      string
		cookieLength string
	}{
		{"4.3 NKS0", chrony43, chrony43, "[15]", "neighbour-format = \"nks0\"", "15", "100"},
		{"4.6.1 NKS0", chrony461, chrony43, "[15]", "neighbour-format = \"nks0\"", "15", "100"},
		{"4.6.1 NKS1", chrony461, chrony461, "[30, 15]", "neighbour-format = \"nks1\"", "30", "68"},
		{"4.6.1 NKS1 keys of AEAD 30", chrony461, chrony461, "[30, 15]", "neighbour-format = \"nks1\"\naead = 30", "30", "64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			covers(t, cell{c.server.String(), ourKeys, steadily})
			l, hosts := newLab(t, "", "server", "time", "client")
			a := newAuthority(l)
			dump := l.folder("dump")
			keys := filepath.Join(dump, "ntskeys")
			more := fmt.Sprintf("neighbour-socket = %q\n%s%s", hosts[1].chronySocket(), provedBy(hosts[1]), c.keys)
			startNtptsd(hosts[0], neighbourRing(a.issue("server", "server.test"), hosts[1], c.aeads, "chrony", keys, more))
			eventually(t, commandTimeout, exists(keys))
			c.server.server(hosts[1], a.issue("time", "time.test"), "ntsdumpdir "+dump, "ntsrotate 0")
			client := c.client.client(hosts[2], a, "server.test nts", 0)
			eventually(t, syncTimeout, client.synchronised)
			if rows, err := client.ask("authdata"); err != nil || rows[0][0] != hosts[1].v4.String() {
				t.Errorf("%q, %v: want time from %s", rows, err, hosts[1].v4)
			}
			if got, err := client.authData(); err != nil || got.algorithm != c.session || got.cookieLength != c.cookieLength {
				t.Errorf("%+v, %v: want AEAD %s, cookies of %s", got, err, c.session, c.cookieLength)
			}
		})
	}
}

// TestChronyServerFollowsRotation tells chronyd of each new file, as somebody must where ntptsd reaches neither its command
// socket nor its time server. It may be late: it knows the next key one turn early.
func TestChronyServerFollowsRotation(t *testing.T) {
	t.Parallel()
	covers(t, cell{chrony461.String(), ourKeys, rotating})
	l, hosts := newLab(t, "", "server", "time", "client")
	a := newAuthority(l)
	dump := l.folder("dump")
	keys := filepath.Join(dump, "ntskeys")
	ring := "neighbour-socket = \"none\"\nneighbour-server = \"none\"\nneighbour-format = \"nks1\"\nrotate-every = \"4s\"" // a cookie lives 8 s, and comes back within 8 polls
	keyExchange := startNtptsd(hosts[0], neighbourRing(a.issue("server", "server.test"), hosts[1], "[15]", "chrony", keys, ring))
	eventually(t, commandTimeout, exists(keys))
	server := chrony461.server(hosts[1], a.issue("time", "time.test"), "ntsdumpdir "+dump, "ntsrotate 0")
	client := chrony43.client(hosts[2], a, "server.test nts", -2)
	file := changes{path: keys}
	eventually(t, rotateTimeout, func() error {
		before := file.count
		if err := file.look(); err != nil {
			return err
		}
		if file.count > before {
			if _, err := server.ask("rekey"); err != nil {
				return err
			}
		}
		if file.count < rotations { // by then the first key is long gone
			return fmt.Errorf("%d rotations", file.count)
		}
		return client.synchronised()
	})
	client.content(t, keyExchange, 1)
}

func TestNTPsecServerOpensOurCookies(t *testing.T) {
	t.Parallel()
	covers(t, cell{ntpsec122, ourKeys, steadily})
	l, hosts := newLab(t, "", "server", "time", "chrony", "ntpsec")
	a := newAuthority(l)
	keys := filepath.Join(l.folder("dump"), "nts-keys")
	startNtptsd(hosts[0], neighbourRing(a.issue("server", "server.test"), hosts[1], "[15, 16, 17]", "ntpsec", keys, provedBy(hosts[1])))
	eventually(t, commandTimeout, exists(keys))
	startNTPsecServer(hosts[1], a.issue("time", "time.test"), keys)
	c := chrony43.client(hosts[2], a, "server.test nts", 0)
	n := startNTPsecClient(hosts[3], a, "server.test nts aead AES_SIV_CMAC_512")
	eventually(t, syncTimeout, c.synchronised)
	if got, err := c.authData(); err != nil || got.cookieLength != "104" {
		t.Errorf("%+v, %v: want cookies of 104", got, err)
	}
	eventually(t, syncTimeout, n.synchronised)
	if got, err := n.sessionAEAD(); err != nil || got != "17" {
		t.Errorf("AEAD %s, %v; want 17", got, err)
	}
}
