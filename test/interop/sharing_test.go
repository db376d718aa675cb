package interop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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
	t.Parallel()
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

// nobody is a user that every machine has; its group is nogroup.
const nobody = 65534

// TestChronydUnderItsOwnUser is what distributions do: chronyd gives up root. An ntptsd of the same user keeps its file
// readable to it, and can tell it to read. One that root starts has given up root's rights, too: it says so, and makes nothing.
func TestChronydUnderItsOwnUser(t *testing.T) {
	t.Parallel()
	covers(t, cell{chrony461.String(), ourKeys, rotating})
	l, hosts := newLab(t, "", "server", "client")
	a := newAuthority(l)
	dump, own := l.folder("dump"), a.issue("dummy", "dummy.test")
	keys := filepath.Join(dump, "ntskeys")
	if err := os.WriteFile(keys, nil, 0o600); err != nil { // empty, to say who may read it
		t.Fatal(err)
	}
	for _, path := range []string{dump, keys, filepath.Dir(hosts[0].chronySocket()), own.cert, own.key} {
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	s := besideChrony(hosts[0], a.issue("server", "server.test"), keys, "nks1")
	root := &ntptsd{host: hosts[0], stateDirectory: filepath.Join(l.dir, "root-state"), socket: filepath.Join(l.dir, "root.sock")}
	root.configure(s)
	if out, err := hosts[0].run(program(t, "ntptsd"), "--config", root.file); err == nil || !strings.Contains(out, dump) || !strings.Contains(out, "run ntptsd as") {
		t.Errorf("ntptsd as root: %v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(root.stateDirectory, "keys")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its record: %v", err)
	}

	s.user = "nobody"
	l.allow(s)
	chrony461.startAs("nobody", hosts[0], "local stratum 1", "allow all", "ntsservercert "+own.cert, "ntsserverkey "+own.key,
		"ntsdumpdir "+dump, "ntsrotate 0", asidePort)
	server := startNtptsd(hosts[0], s)
	client := chrony43.client(hosts[1], a, "server.test nts", -2)
	eventually(t, syncTimeout, client.synchronised)
	follow(t, keys, rotations, client.synchronised)
	client.content(t, server, 1)
	if err := server.unproved(); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(keys)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Sys().(*syscall.Stat_t); got.Uid != nobody || got.Gid != nobody || info.Mode() != 0o600 {
		t.Errorf("the file belongs to %d:%d, %v", got.Uid, got.Gid, info.Mode())
	}
}

// unproved tells whether the neighbour has yet to prove something.
func (d *ntptsd) unproved() error {
	if n := d.counted(unproved, ""); n != 0 {
		return fmt.Errorf("%s %v", unproved, n)
	}
	return nil
}
