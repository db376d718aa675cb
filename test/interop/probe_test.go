package interop

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/aead"
)

// report is what the cases want to know of ntptsctl probe --json.
type report struct {
	Status      string `json:"status"`
	KeyExchange struct {
		AEAD    string `json:"aead"`
		Cookies int    `json:"cookies"`
	} `json:"key_exchange"`
	TimeServer string     `json:"time_server"`
	Exchanges  []exchange `json:"exchanges"`
}

type exchange struct {
	Authenticated  bool    `json:"authenticated"`
	Synchronised   bool    `json:"synchronised"`
	Cookie         string  `json:"cookie"`
	Refill         int     `json:"cookies_returned"`
	Offset         float64 `json:"offset_seconds"`
	Leap           uint8   `json:"leap"`
	Stratum        uint8   `json:"stratum"`
	ReferenceID    string  `json:"reference_id"`
	RootDelay      float64 `json:"root_delay_seconds"`
	RootDispersion float64 `json:"root_dispersion_seconds"`
}

// probe runs ntptsctl probe in the host for one exchange. What it thinks of the server is not an error: a clock that is
// not synchronised, say.
func probe(t *testing.T, from *host, a *authority, name string) (report, error) {
	t.Helper()
	r, err := probeOnce(t, from, name, "--ca", a.root)
	if err == nil && !r.Exchanges[0].Authenticated {
		err = fmt.Errorf("not authenticated: %+v", r)
	}
	return r, err
}

// probeOnce runs ntptsctl probe with the arguments for one exchange.
func probeOnce(t *testing.T, from *host, args ...string) (report, error) {
	t.Helper()
	out, failed := from.run(append([]string{program(t, "ntptsctl"), "probe", "--json", "--count", "1"}, args...)...)
	var r report
	if err := json.Unmarshal([]byte(out), &r); err != nil || len(r.Exchanges) != 1 {
		return r, fmt.Errorf("no answer: %w: %s", failed, out)
	}
	return r, nil
}

// probed runs ntptsctl probe in the host. It waits, since a daemon just started may not serve yet.
func probed(t *testing.T, from *host, a *authority, name string, session aead.ID) {
	t.Helper()
	args := []string{program(t, "ntptsctl"), "probe", name, "--ca", a.root, "--json", "--count", "3",
		"--aead", strconv.Itoa(int(session))}
	var out string
	eventually(t, syncTimeout, func() (err error) {
		out, err = from.run(args...)
		return err
	})
	var r report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if r.KeyExchange.AEAD != session.String() || r.KeyExchange.Cookies != 8 || len(r.Exchanges) != 3 {
		t.Fatalf("want %v, 8 cookies, 3 exchanges: %s", session, out)
	}
	for i, e := range r.Exchanges {
		if !e.Authenticated || !e.Synchronised || e.Refill < 1 {
			t.Errorf("exchange %d: %s", i, out)
		}
	}
}

func TestProbeOfChrony(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		chrony chrony
		aead   aead.ID
	}{{chrony43, 15}, {chrony461, 15}, {chrony461, 30}} {
		t.Run(c.chrony.version+" "+c.aead.String(), func(t *testing.T) {
			t.Parallel()
			l, hosts := newLab(t, "", "server", "client")
			a := newAuthority(l)
			c.chrony.server(hosts[0], a.issue("server", "server.test"))
			probed(t, hosts[1], a, "server.test", c.aead)
		})
	}
}

func TestProbeOfNTPsec(t *testing.T) {
	t.Parallel()
	l, hosts := newLab(t, "", "server", "client")
	a := newAuthority(l)
	startNTPsecServer(hosts[0], a.issue("server", "server.test"), l.dir+"/nts-keys")
	for _, id := range []aead.ID{15, 16, 17} {
		probed(t, hosts[1], a, "server.test", id)
	}
}

func TestProbeOfNtptsd(t *testing.T) {
	t.Parallel()
	l, hosts := newLab(t, "", "server", "client")
	a := newAuthority(l)
	startNtptsd(hosts[0], settings{pair: a.issue("server", "server.test", "server-v6.test")})
	probed(t, hosts[1], a, "server.test", 15)
	probed(t, hosts[1], a, "server-v6.test", 30)
}
