package interop

import (
	"fmt"
	"path/filepath"
	"testing"
)

// TestThereAndBack takes over the keys of a chronyd that has rotated them itself, and gives them back, as the manual says.
// Its client, which chronyd itself had given cookies to, meets no NAK and never exchanges keys again.
func TestThereAndBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		chrony chrony
		keys   string // of the ring, to fit those that chronyd has made
	}{{chrony43, ""}, {chrony461, "neighbour-format = \"nks1\"\naead = 30\n"}} {
		t.Run(c.chrony.version, func(t *testing.T) {
			t.Parallel()
			covers(t, cell{c.chrony.String(), ourKeys, interrupted}, cell{c.chrony.String(), itsKeys, interrupted})
			l, hosts := newLab(t, "", "server", "old", "new")
			a := newAuthority(l)
			dump := l.folder("dump")
			keys := filepath.Join(dump, "ntskeys")
			own := a.issue("dummy", "server.test")
			server := func(rotate string) *chronyd {
				return c.chrony.server(hosts[0], own, "ntsdumpdir "+dump, asidePort, "ntsrotate "+rotate)
			}
			daemon := server("604800")
			eventually(t, commandTimeout, exists(keys))
			old := c.chrony.client(hosts[1], a, "server.test nts"+asidePort, 0) // its cookies outlast a restart of the server
			eventually(t, syncTimeout, old.synchronised)

			daemon.stop()
			ring := c.keys + fmt.Sprintf("neighbour-socket = %q\nrotate-every = \"60s\"", hosts[0].chronySocket())
			exchange := startNtptsd(hosts[0], beside(a.issue("server", "server.test"), "chrony", keys, ring))
			daemon = server("0")
			eventually(t, syncTimeout, func() error { return exchange.proved() })
			newcomer := chrony43.client(hosts[2], a, "server.test nts", 0)
			eventually(t, syncTimeout, newcomer.synchronised)

			exchange.stop()
			daemon.stop()
			l.folder("server-ntptsd.d") // beside the configuration, of which nothing else changes
			l.write("server-ntptsd.d/owner.toml", "keyring.owner = \"neighbour\"\n")
			exchange.run()
			server("604800")
			probed(t, hosts[2], a, "server.test", 15)
			for name, client := range map[string]*chronyd{"chronyd's own": old, "ntptsd's": newcomer} {
				eventually(t, syncTimeout, client.synchronised)
				if got, err := client.authData(); err != nil || got.keyID != "1" || got.naks != "0" {
					t.Errorf("the client with %s cookies: %+v, %v: want one key exchange", name, got, err)
				}
			}
		})
	}
}

// proved tells whether the neighbour has answered a cookie under the next key.
func (d *ntptsd) proved() error {
	if n := d.counted("ntptsd_keyring_proofs_total", `"ok"`); n == 0 {
		return fmt.Errorf("no proof yet")
	}
	return nil
}
