package interop

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	rotated  = "ntptsd_keyring_rotations_total"
	unproved = "ntptsd_keyring_unproved"
)

// Where the daemon next door has the standard ports, ntptsd exchanges keys here; and so does chronyd beside an ntptsd that
// has them.
const (
	aside     = "[::]:14460"
	asidePort = " ntsport 14460" // of chronyd, as an option of its server's line and as a line of its own
)

// beside is the configuration of a key exchange for the time server on the same host, which opens our cookies.
func beside(p pair, dialect, file, more string) settings {
	return settings{pair: p, noTime: true, keyRing: fmt.Sprintf("dialect = %q\nneighbour-file = %q\n%s", dialect, file, more)}
}

// besideChrony is that of one that tells chronyd to read its keys again. There is a rotation every 4 s, so that a cookie
// lives 8 s: longer than a client that polls every 250 ms keeps it.
func besideChrony(h *host, p pair, keys, format string) settings {
	return beside(p, "chrony", keys, fmt.Sprintf("neighbour-socket = %q\nneighbour-format = %q\nrotate-every = \"4s\"", h.chronySocket(), format))
}

// besideServer starts chronyd as a time server beside ntptsd's key exchange.
func (c chrony) besideServer(h *host, a *authority, dump string, lines ...string) *chronyd {
	h.lab.t.Helper()
	return c.server(h, a.issue("dummy", "dummy.test"), append(lines, "ntsdumpdir "+dump, asidePort)...)
}

// content checks that the client met no NAK, and that nobody had to exchange keys again.
func (d *chronyd) content(t *testing.T, keyExchange *ntptsd, exchanges float64) {
	t.Helper()
	if all, valid, err := d.received(); err != nil || all != valid {
		t.Errorf("%d answers, %d valid, %v", all, valid, err)
	}
	if n := keyExchange.counted(served, `"served"`); n != exchanges {
		t.Errorf("%v key exchanges, want %v", n, exchanges)
	}
}

// TestOurKeysNextDoor is the usual way beside chronyd: ntptsd writes its key file, tells it so, and mints with a key only
// after chronyd has answered a cookie under it.
func TestOurKeysNextDoor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		chrony      chrony
		format      string
		chronyFirst bool
	}{{chrony43, "nks0", true}, {chrony461, "nks1", false}} {
		t.Run(c.chrony.version, func(t *testing.T) {
			t.Parallel()
			covers(t, cell{c.chrony.String(), ourKeys, rotating})
			l, hosts := newLab(t, "", "server", "client")
			a := newAuthority(l)
			dump := l.folder("dump")
			keys := filepath.Join(dump, "ntskeys")
			neighbour := func() { c.chrony.besideServer(hosts[0], a, dump, "ntsrotate 0") }
			if c.chronyFirst {
				neighbour()
			}
			server := startNtptsd(hosts[0], besideChrony(hosts[0], a.issue("server", "server.test"), keys, c.format))
			if !c.chronyFirst {
				eventually(t, commandTimeout, exists(keys))
				neighbour()
			}
			client := chrony43.client(hosts[1], a, "server.test nts", -2)
			eventually(t, syncTimeout, client.synchronised)
			follow(t, keys, rotations, client.synchronised)
			client.content(t, server, 1)
			if err := server.unproved(); err != nil {
				t.Error(err)
			}
		})
	}
}

// follow waits until the file has been rotated so many times, and check finds nothing wrong then.
func follow(t *testing.T, file string, times int, check func() error) {
	t.Helper()
	seen := changes{path: file}
	eventually(t, rotateTimeout, func() error {
		if err := seen.look(); err != nil {
			return err
		}
		if seen.count < times {
			return fmt.Errorf("%d rotations", seen.count)
		}
		return check()
	})
}

// TestKeysOfChronyNextDoor follows the file of a chronyd that rotates by itself.
func TestKeysOfChronyNextDoor(t *testing.T) {
	t.Parallel()
	for _, c := range []chrony{chrony43, chrony461} {
		t.Run(c.version, func(t *testing.T) {
			t.Parallel()
			covers(t, cell{c.String(), itsKeys, rotating})
			l, hosts := newLab(t, "", "server", "client")
			a := newAuthority(l)
			dump := l.folder("dump")
			keys := filepath.Join(dump, "ntskeys")
			c.besideServer(hosts[0], a, dump, "ntsrotate 4")
			eventually(t, commandTimeout, exists(keys))
			s := beside(a.issue("server", "server.test"), "chrony", keys, "owner = \"neighbour\"")
			server := startNtptsd(hosts[0], s)
			client := c.client(hosts[1], a, "server.test nts", -2)
			eventually(t, syncTimeout, client.synchronised)
			follow(t, keys, 3, client.synchronised)
			client.content(t, server, 1)
			probed(t, hosts[1], a, "server.test", 15) // with the keys of now
		})
	}
}

// TestKeysOfNTPsecNextDoor follows the file of an NTPsec, which reads it at its start only: a turn of its rotation, which
// comes once a day, is played by a new file and a restart.
func TestKeysOfNTPsecNextDoor(t *testing.T) {
	t.Parallel()
	covers(t, cell{ntpsec122, itsKeys, steadily}, cell{ntpsec122, itsKeys, rotating})
	l, hosts := newLab(t, "", "server", "chrony", "ntpsec")
	a := newAuthority(l)
	keys := filepath.Join(l.folder("dump"), "nts-keys")
	ntpd := startNTPsecServer(hosts[0], a.issue("ntpd", "ntpd.test"), keys)
	eventually(t, commandTimeout, exists(keys))
	s := beside(a.issue("server", "server.test"), "ntpsec", keys, "")
	s.listen, s.keyExchange = aside, "aeads = [15, 16, 17]"
	server := startNtptsd(hosts[0], s)
	client := chrony43.client(hosts[1], a, "server.test nts"+asidePort, 0)
	other := startNTPsecClient(hosts[2], a, "server.test:14460 nts aead AES_SIV_CMAC_512")
	eventually(t, syncTimeout, client.synchronised)
	eventually(t, syncTimeout, other.synchronised)
	if got, err := client.authData(); err != nil || got.cookieLength != "104" {
		t.Errorf("%+v, %v: want cookies of 104", got, err)
	}
	if got, err := other.sessionAEAD(); err != nil || got != "17" {
		t.Errorf("AEAD %s, %v; want 17", got, err)
	}
	for range 2 {
		l.replace(keys, ntpsecTurn(t, keys))
		ntpd.restart()
		eventually(t, syncTimeout, func() error { return ntpd.opens(10) })
		eventually(t, syncTimeout, client.synchronised)
	}
	client.content(t, server, 2)
}

// replace replaces a file as a careful writer does.
func (l *lab) replace(path string, content []byte) {
	l.t.Helper()
	err := os.WriteFile(path+"-tmp", content, 0o600)
	if err == nil {
		err = os.Rename(path+"-tmp", path)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// ntpsecTurn gives the file with a new key in front, as NTPsec writes it after a day.
func ntpsecTurn(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	head, keys, ok := strings.Cut(string(content), "I: ")
	if err != nil || !ok {
		t.Fatalf("%v: %s", err, head)
	}
	key := make([]byte, 36)
	rand.Read(key)
	return fmt.Appendf(nil, "%sI: %d\nK: %x\nI: %s", head, binary.BigEndian.Uint32(key), key[4:], keys)
}

// opens tells whether NTPsec has answered so many requests with NTS since its start, and could open every cookie.
func (n *ntpsec) opens(most int) error {
	out, err := n.ask("-n", "-c", "ntsinfo", "127.0.0.1")
	if err != nil {
		return err
	}
	if !regexp.MustCompile(`NTS server recvs w error: +0\n`).MatchString(out) {
		n.t.Fatalf("requests that it could not open:\n%s", out)
	}
	var sent int
	if found := regexp.MustCompile(`NTS server sends: +(\d+)\n`).FindStringSubmatch(out); found != nil {
		fmt.Sscan(found[1], &sent)
	}
	if sent < most {
		return fmt.Errorf("%d answers with NTS", sent)
	}
	return nil
}

// TestOurKeysForNTPsec is ntptsd as the owner of the keys of a daemon that has to be restarted to read them.
func TestOurKeysForNTPsec(t *testing.T) {
	t.Parallel()
	covers(t, cell{ntpsec122, ourKeys, steadily}, cell{ntpsec122, ourKeys, rotating})
	l, hosts := newLab(t, "", "server", "client")
	a := newAuthority(l)
	keys := filepath.Join(l.folder("dump"), "nts-keys")
	s := beside(a.issue("server", "server.test"), "ntpsec", keys, "owner = \"ntptsd\"\nrotate-every = \"4s\"")
	s.listen = aside
	server := startNtptsd(hosts[0], s)
	eventually(t, commandTimeout, exists(keys))
	if content, err := os.ReadFile(keys); err != nil || !strings.HasPrefix(string(content), "T: 0\n") {
		t.Errorf("%.20q, %v: want the rotation of NTPsec switched off", content, err)
	}
	ntpd := startNTPsecServer(hosts[0], a.issue("ntpd", "ntpd.test"), keys)
	server.stop()
	server.run() // it asks at its start, and then once a minute: NTPsec may log each cookie that it cannot open
	client := chrony43.client(hosts[1], a, "server.test nts"+asidePort, 0)
	eventually(t, syncTimeout, client.synchronised)
	eventually(t, syncTimeout, func() error { return server.complains("keys", "restart ntpd when you can") })
	turns := server.counted(rotated, `"ok"`)
	if turns == 0 {
		t.Error("no rotation to the key that was in the file when ntpd started")
	}
	ntpd.restart()
	eventually(t, 2*time.Minute, func() error {
		if n := server.counted(rotated, `"ok"`); n <= turns {
			return fmt.Errorf("%v rotations, as before ntpd was started anew", n)
		}
		return client.synchronised()
	})
	eventually(t, syncTimeout, func() error { return ntpd.opens(10) })
	client.content(t, server, 1)
}

// ctl runs ntptsctl in the host and gives what it printed.
func (d *ntptsd) ctl(args ...string) (string, error) {
	return d.host.run(append([]string{program(d.t, "ntptsctl"), "--socket", d.socket}, args...)...)
}

// complains tells whether ntptsctl and the metric of unproved keys say so, too.
func (d *ntptsd) complains(command, about string) error {
	out, err := d.ctl(command)
	if err == nil && !strings.Contains(out, about) {
		err = fmt.Errorf("ntptsctl %s does not say %q:\n%s", command, about, out)
	}
	if err == nil && d.counted(unproved, "") == 0 {
		err = errors.New("0 " + unproved)
	}
	return err
}

// TestKeysOfNtpdrsNextDoor follows the file of an ntpd-rs, which rewrites it in place.
func TestKeysOfNtpdrsNextDoor(t *testing.T) {
	t.Parallel()
	covers(t, cell{rust, itsKeys, steadily}, cell{rust, itsKeys, rotating})
	l, hosts := newLab(t, "", "server", "above", "chrony", "ntpsec", "rust")
	a := newAuthority(l)
	chrony461.server(hosts[1], a.issue("above", "above.test"))
	keys := filepath.Join(l.folder("dump"), "keys")
	startNtpdrs(hosts[0], ntpdrsSource("server", "above.test", a), ntpdrsServer(keys, 5))
	eventually(t, commandTimeout, exists(keys))
	server := startNtptsd(hosts[0], beside(a.issue("server", "server.test"), "ntpdrs", keys, ""))
	client := chrony43.client(hosts[2], a, "server.test nts", -2)
	others := []interface{ synchronised() error }{
		startNTPsecClient(hosts[3], a, "server.test nts aead AES_SIV_CMAC_512"),
		startNtpdrs(hosts[4], ntpdrsSource("nts", "server.test", a)),
	}
	eventually(t, syncTimeout, client.synchronised)
	follow(t, keys, 2, client.synchronised)
	for _, o := range others {
		eventually(t, syncTimeout, o.synchronised)
	}
	client.content(t, server, 3)
	probed(t, hosts[2], a, "server.test", 17)
}

// TestProofFails lets nothing rotate until chronyd has answered a cookie under the next key, and tells why it did not.
func TestProofFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		fail     func(*chronyd)
		about    string
		repaired func(*chronyd)
	}{
		{"chronyd lets nobody in", func(d *chronyd) { d.tell("deny", "all") }, "allow", func(d *chronyd) { d.tell("allow", "all") }},
		{"chronyd is stopped", func(d *chronyd) { d.stop() }, "run", func(d *chronyd) { d.launch() }},
		{"chronyd hangs", func(d *chronyd) { d.hang() }, "answer", func(d *chronyd) { d.goOn() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			covers(t, cell{chrony461.String(), ourKeys, interrupted})
			l, hosts := newLab(t, "", "server", "client")
			a := newAuthority(l)
			dump := l.folder("dump")
			keys := filepath.Join(dump, "ntskeys")
			chronyd := chrony461.besideServer(hosts[0], a, dump, "ntsrotate 0")
			server := startNtptsd(hosts[0], besideChrony(hosts[0], a.issue("server", "server.test"), keys, "nks0"))
			eventually(t, commandTimeout, exists(keys))
			c.fail(chronyd)
			eventually(t, syncTimeout, func() error { return server.complains("keys", c.about) })
			before := server.counted(rotated, `"ok"`)
			time.Sleep(5 * time.Second) // more than a turn
			if n := server.counted(rotated, `"ok"`); n != before {
				t.Errorf("%v rotations without a proof", n-before)
			}
			c.repaired(chronyd)
			client := chrony43.client(hosts[1], a, "server.test nts", -2)
			eventually(t, syncTimeout, client.synchronised)
			follow(t, keys, 2, client.synchronised)
			client.content(t, server, 1)
			eventually(t, syncTimeout, server.unproved)
		})
	}
}

// TestSocketOfAnotherUser lets ntptsd run as one who may not use chronyd's command socket.
func TestSocketOfAnotherUser(t *testing.T) {
	t.Parallel()
	l, hosts := newLab(t, "", "server", "client")
	a := newAuthority(l)
	dump := l.folder("dump")
	keys := filepath.Join(dump, "ntskeys")
	chronyd := chrony461.besideServer(hosts[0], a, dump, "ntsrotate 0")
	s := besideChrony(hosts[0], a.issue("server", "server.test"), keys, "nks0")
	s.user = "nobody"
	give(t, nobody, dump)
	l.allow(s)
	server := startNtptsd(hosts[0], s)
	eventually(t, syncTimeout, func() error { return server.complains("keys", "permission denied") })
	eventually(t, commandTimeout, exists(keys))
	if _, err := chronyd.ask("rekey"); err != nil { // an operator's help for one turn
		t.Error(err)
	}
	client := chrony43.client(hosts[1], a, "server.test nts", -2)
	eventually(t, syncTimeout, client.synchronised)
}

// TestTornKeyFile puts into the place of a file that is followed what half-written, foreign and hostile files look like,
// while clients come and go.
func TestTornKeyFile(t *testing.T) {
	t.Parallel()
	covers(t, cell{chrony461.String(), itsKeys, interrupted})
	l, hosts := newLab(t, "", "server", "client", "newcomer")
	a := newAuthority(l)
	dump := l.folder("dump")
	keys := filepath.Join(dump, "ntskeys")
	chrony461.besideServer(hosts[0], a, dump)
	eventually(t, commandTimeout, exists(keys))
	good, err := os.ReadFile(keys)
	if err != nil {
		t.Fatal(err)
	}
	server := startNtptsd(hosts[0], beside(a.issue("server", "server.test"), "chrony", keys, "owner = \"neighbour\""))
	client := chrony461.client(hosts[1], a, "server.test nts", -2)
	eventually(t, syncTimeout, client.synchronised)
	files := map[string][]byte{
		"empty":       {},
		"torn":        good[:len(good)/2],
		"torn key":    good[:len(good)-3],
		"twice":       append(good[:len(good):len(good)], good...),
		"hostile":     []byte(strings.Repeat("\x00\xff", 1<<20)),
		"of NTPsec":   []byte("T: 0\nL: 32\nI: 1\nK: " + strings.Repeat("00", 32) + "\n"),
		"wrong slots": wrongSlots(t, good),
	}
	for name, bad := range files {
		if err := os.WriteFile(keys, bad, 0o600); err != nil { // in place, as no careful writer does
			t.Fatal(err)
		}
		time.Sleep(1200 * time.Millisecond) // a file is in use within a second
		if r, err := probe(t, hosts[2], a, "server.test"); err != nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		l.replace(keys, good)
	}
	const probes = 20
	stop := restless(t, keys, good)
	for range probes {
		if r, err := probe(t, hosts[2], a, "server.test"); err != nil {
			t.Errorf("while the file changes: %+v, %v", r, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	l.replace(keys, good)
	eventually(t, syncTimeout, client.synchronised)
	eventually(t, syncTimeout, func() error {
		if server.counted("ntptsd_keyring_neighbour_failing", "") != 0 {
			return errors.New("the file is as it was, and cannot be followed")
		}
		return nil
	})
	client.content(t, server, 1+probes+float64(len(files)))
}

// wrongSlots is a key file of chronyd with two of its lines in each other's place.
func wrongSlots(t *testing.T, good []byte) []byte {
	t.Helper()
	lines := strings.SplitAfter(string(good), "\n")
	if len(lines) < 6 {
		t.Fatalf("%d lines in a key file", len(lines))
	}
	lines[2], lines[3] = lines[3], lines[2]
	return []byte(strings.Join(lines, ""))
}

// restless replaces a file again and again until it is told to stop, carefully and, as nobody should, in place and torn.
func restless(t *testing.T, path string, good []byte) (stop func()) {
	const most = 1 << 20 // times, whatever happens
	enough, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for n := range most {
			select {
			case <-enough:
				return
			default:
			}
			err := os.WriteFile(path, good[:n%(len(good)-3)], 0o600)
			if err == nil && n%3 == 0 {
				err = os.WriteFile(path, good, 0o600)
			}
			if err == nil && n%5 == 0 {
				if err = os.WriteFile(path+"-tmp", good, 0o600); err == nil {
					err = os.Rename(path+"-tmp", path)
				}
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	return func() { close(enough); <-ended }
}

// TestChronydLosesItsKeys starts a chronyd anew without the keys that it has proved to know: its file is gone, or another one
// is in its memory. Within a minute or so it has them again, and nobody had to do anything.
func TestChronydLosesItsKeys(t *testing.T) {
	t.Parallel()
	covers(t, cell{chrony461.String(), ourKeys, interrupted})
	l, hosts := newLab(t, "", "server", "client")
	a := newAuthority(l)
	dump := l.folder("dump")
	keys := filepath.Join(dump, "ntskeys")
	chronyd := chrony461.besideServer(hosts[0], a, dump, "ntsrotate 0")
	server := startNtptsd(hosts[0], beside(a.issue("server", "server.test"), "chrony", keys, fmt.Sprintf("neighbour-socket = %q", hosts[0].chronySocket())))
	answers := func() error {
		_, err := probe(t, hosts[1], a, "server.test")
		return err
	}
	eventually(t, syncTimeout, answers)
	for name, lose := range map[string]func(){
		"gone":       func() { os.Remove(keys) },
		"unreadable": func() { os.Rename(dump, dump+"-away") },
	} {
		chronyd.stop()
		lose()
		chronyd.launch()
		if name == "unreadable" { // for a moment
			eventually(t, commandTimeout, exists(chronyd.socket))
			os.RemoveAll(dump)
			if err := os.Rename(dump+"-away", dump); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, 90*time.Second, answers)
		eventually(t, syncTimeout, server.unproved)
		eventually(t, syncTimeout, exists(keys))
	}
}
