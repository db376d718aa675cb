package interop

import (
	"encoding/json"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// mruClients is a busy public server's hour, and less than the 10,922 that NTPsec remembers by itself.
const mruClients = 10_000

// TestWalkOfManyClients reads them all from NTPsec. How long it takes is told, and not judged.
func TestWalkOfManyClients(t *testing.T) {
	t.Parallel()
	covers(t, cell{ntpsec122, asClock, steadily})
	l, hosts := newLab(t, "", "server")
	a := newAuthority(l)
	startNTPsec(hosts[0], "tos orphan 2 orphanwait 1")
	server := startNtptsd(hosts[0], settings{pair: a.issue("server", "server.test"), time: "[::]:10123", clock: "source = \"ntpd\""})
	eventually(t, syncTimeout, func() error { return following(hosts[0].plain(hosts[0].v4)) })
	if err := hosts[0].within(askFromMany); err != nil {
		t.Fatal(err)
	}
	var all api.Clients
	eventually(t, commandTimeout, func() error {
		begin := time.Now()
		out, err := server.ctl("clients", "--limit", fmt.Sprint(api.MaxClients), "--json")
		if err != nil {
			return err
		}
		t.Logf("%d octets of clients in %v", len(out), time.Since(begin))
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			return err
		}
		if all.Known < mruClients || len(all.Clients) != api.MaxClients {
			return fmt.Errorf("%d clients of %d known", len(all.Clients), all.Known)
		}
		return nil
	})
	seen := map[string]bool{}
	for _, c := range all.Clients {
		if seen[c.Address] {
			t.Errorf("%s twice", c.Address)
		}
		seen[c.Address] = true
	}
	lacking := 0
	for i := range mruClients {
		if !seen[manyAddress(i).String()] {
			lacking++
		}
	}
	if lacking > all.Known-mruClients { // a busier client may have taken the place of one
		t.Errorf("%d clients are missing, %d are known", lacking, all.Known)
	}
}

// manyAddress is the i-th of the addresses that the loopback interface has.
func manyAddress(i int) net.IP { return net.IPv4(127, 1, byte(i/250), byte(i%250+1)) }

// askFromMany sends one request from each, no faster than one daemon reads.
func askFromMany() error {
	request := make([]byte, ntp.HeaderLen)
	request[0] = 4<<3 | byte(ntp.ModeClient)
	answer := make([]byte, 1024)
	for i := range mruClients {
		conn, err := net.DialUDP("udp", &net.UDPAddr{IP: manyAddress(i)}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 123})
		if err != nil {
			return err
		}
		conn.SetDeadline(time.Now().Add(2 * time.Second))
		_, err = conn.Write(request)
		if err == nil {
			_, err = conn.Read(answer)
		}
		conn.Close()
		if err != nil {
			return fmt.Errorf("request %d: %w", i, err)
		}
	}
	return nil
}
