package interop

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

const (
	syncTimeout   = 60 * time.Second // NTPsec needs about 10 s on an idle machine
	rotations     = 6                // under a running client: so many that cookies of a key come back after it is old
	rotateTimeout = 60 * time.Second

	requests = "ntptsd_timeserver_requests_total"
	served   = "ntptsd_keyexchange_connections_total"
)

func TestChronyClientSynchronises(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		chrony      chrony
		keyExchange string
		aead, bits  string
	}{
		{chrony43, "", "15", "256"},
		{chrony461, "", "30", "128"},
		{chrony461, "aeads = [15]", "15", "256"},
	} {
		t.Run(c.chrony.version+" AEAD "+c.aead, func(t *testing.T) {
			t.Parallel()
			covers(t, cell{c.chrony.String(), asClient, steadily})
			l, hosts := newLab(t, "", "server", "client")
			a := newAuthority(l)
			startNtptsd(hosts[0], settings{pair: a.issue("server", "server.test"), keyExchange: c.keyExchange})
			client := c.chrony.client(hosts[1], a, "server.test nts", 0)
			eventually(t, syncTimeout, client.synchronised)
			got, err := client.authData()
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v", got)
			if got.algorithm != c.aead || got.keyLength != c.bits {
				t.Errorf("AEAD %s with %s bits, want %s with %s", got.algorithm, got.keyLength, c.aead, c.bits)
			}
			if n, err := strconv.Atoi(got.cookieLength); err != nil || n%4 != 0 || n > 104 {
				t.Errorf("cookie length %s, want a multiple of 4 up to 104", got.cookieLength)
			}
		})
	}
}

func TestNTPsecClientSynchronises(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ option, aead string }{
		{"", "15"},
		{" aead AES_SIV_CMAC_384", "16"},
		{" aead AES_SIV_CMAC_512", "17"},
	} {
		t.Run("AEAD "+c.aead, func(t *testing.T) {
			t.Parallel()
			covers(t, cell{ntpsec122, asClient, steadily})
			l, hosts := newLab(t, "", "server", "client")
			a := newAuthority(l)
			startNtptsd(hosts[0], settings{pair: a.issue("server", "server.test")})
			client := startNTPsecClient(hosts[1], a, "server.test nts"+c.option)
			eventually(t, syncTimeout, client.synchronised)
			if got, err := client.sessionAEAD(); err != nil || got != c.aead {
				t.Errorf("AEAD %s, %v; want %s", got, err, c.aead)
			}
		})
	}
}

func TestNtpdrsClientSynchronises(t *testing.T) {
	t.Parallel()
	covers(t, cell{rust, asClient, steadily})
	l, hosts := newLab(t, "", "server", "client")
	a := newAuthority(l)
	server := startNtptsd(hosts[0], settings{pair: a.issue("server", "server.test")})
	client := startNtpdrs(hosts[1], ntpdrsSource("nts", "server.test", a))
	eventually(t, syncTimeout, client.synchronised)
	if all, nts := server.counted(requests, ""), server.counted(requests, `"nts"`); all != nts {
		t.Errorf("%v requests, %v with NTS", all, nts)
	}
}

func TestClientsSynchroniseOverIPv6(t *testing.T) {
	t.Parallel()
	l, hosts := newLab(t, "", "server", "chrony", "ntpsec")
	a := newAuthority(l)
	startNtptsd(hosts[0], settings{pair: a.issue("server", "server-v6.test")})
	c := chrony43.client(hosts[1], a, "server-v6.test nts", 0)
	n := startNTPsecClient(hosts[2], a, "server-v6.test nts")
	eventually(t, syncTimeout, c.synchronised)
	if rows, err := c.ask("authdata"); err != nil || rows[0][0] != hosts[0].v6.String() {
		t.Errorf("%q, %v: want time from %s", rows, err, hosts[0].v6)
	}
	eventually(t, syncTimeout, n.synchronised)
}

// The port of the time server is told in the key exchange, record 7.
func TestClientsFollowThePort(t *testing.T) {
	t.Parallel()
	l, hosts := newLab(t, "", "server", "chrony", "ntpsec")
	a := newAuthority(l)
	startNtptsd(hosts[0], settings{pair: a.issue("server", "server.test"), time: "[::]:1123"})
	c := chrony461.client(hosts[1], a, "server.test nts", 0)
	n := startNTPsecClient(hosts[2], a, "server.test nts")
	eventually(t, syncTimeout, c.synchronised)
	eventually(t, syncTimeout, n.synchronised)
}

func TestPlainClientsSynchronise(t *testing.T) {
	t.Parallel()
	l, hosts := newLab(t, "", "server", "chrony", "ntpsec")
	a := newAuthority(l)
	server := startNtptsd(hosts[0], settings{pair: a.issue("server", "server.test")})
	c := chrony461.client(hosts[1], a, "server-v6.test", 0)
	n := startNTPsecClient(hosts[2], a, "server.test")
	eventually(t, syncTimeout, c.selected)
	eventually(t, syncTimeout, func() error {
		_, err := n.selected()
		return err
	})
	if all, plain := server.counted(requests, ""), server.counted(requests, `"plain"`); all != plain || all == 0 {
		t.Errorf("%v requests, %v answered", all, plain)
	}
}

func TestRotationUnderRunningClients(t *testing.T) {
	t.Parallel()
	covers(t, cell{chrony43.String(), asClient, rotating}, cell{chrony461.String(), asClient, rotating},
		cell{ntpsec122, asClient, rotating}, cell{rust, asClient, rotating})
	l, hosts := newLab(t, "", "server", "chrony43", "chrony461", "ntpsec", "rust")
	a := newAuthority(l)
	// A client presents a cookie 8 polls after it got it: 16 s later with NTPsec, which never polls faster than every 2 s.
	// Here a key is accepted for 7 x 3 s after its time.
	server := startNtptsd(hosts[0], settings{pair: a.issue("server", "server.test"), keyRing: `rotate-every = "3s"`})
	clients := []interface{ synchronised() error }{
		chrony43.client(hosts[1], a, "server.test nts", 0),
		chrony461.client(hosts[2], a, "server.test nts", 0),
		startNTPsecClient(hosts[3], a, "server.test nts"),
		startNtpdrs(hosts[4], ntpdrsSource("nts", "server.test", a)),
	}
	for _, c := range clients {
		eventually(t, syncTimeout, c.synchronised)
	}
	before := server.counted(rotated, `"ok"`)
	eventually(t, rotateTimeout, func() error {
		if n := server.counted(rotated, `"ok"`) - before; n < rotations {
			return fmt.Errorf("%v rotations", n)
		}
		return nil
	})
	for _, c := range clients {
		eventually(t, syncTimeout, c.synchronised)
	}
	if all, good := server.counted(requests, ""), server.counted(requests, `"nts"`); all != good {
		t.Errorf("%v requests, %v answered with NTS, %v NAKs", all, good, server.counted(requests, `"nak"`))
	}
	if n := server.counted(served, `"served"`); n != float64(len(clients)) {
		t.Errorf("%v key exchanges, want one a client", n)
	}
}

func TestRestartKeepsKeys(t *testing.T) {
	t.Parallel()
	covers(t, cell{chrony461.String(), asClient, interrupted})
	l, hosts := newLab(t, "", "server", "client")
	a := newAuthority(l)
	server := startNtptsd(hosts[0], settings{pair: a.issue("server", "server.test")})
	client := chrony461.client(hosts[1], a, "server.test nts", -1)
	eventually(t, syncTimeout, client.synchronised)
	server.stop()
	server.run()
	_, before, err := client.received()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, syncTimeout, func() error {
		// More answers than the client has cookies: those given before the restart and those given after it.
		if _, valid, err := client.received(); err != nil || valid < before+10 {
			return fmt.Errorf("%d valid answers after %d, %v", valid, before, err)
		}
		return client.synchronised()
	})
	if n := server.counted(served, `"served"`); n != 0 {
		t.Errorf("%v key exchanges after the restart", n)
	}
}
