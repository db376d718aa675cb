package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// now is when the goldens were made.
var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

const (
	hour = time.Hour
	day  = 24 * hour
)

func chrony() api.Tracking {
	return api.Tracking{
		Source: "chrony", Version: "4.6.1", Synchronised: true, Leap: api.LeapNone, Stratum: 2, ReferenceID: "192.0.2.10",
		ReferenceTime: new(ago(35 * time.Second)), RootDelaySeconds: 0.0123, RootDispersionSeconds: 0.00061, ErrorBoundSeconds: 0.00677,
		OffsetSeconds: new(-0.000012), FrequencyPPM: new(-12.3456), ReadAt: ago(time.Second), AgeSeconds: 1.2,
	}
}

func ourRing() api.Ring {
	return api.Ring{
		Name: "default", Dialect: "chrony", Owner: "ntptsd", RotateEverySeconds: day.Seconds(), NextRotation: new(now.Add(22 * hour)),
		NeighbourFile: "/var/lib/chrony/ntskeys",
		Keys: []api.Key{
			{ID: "0a1b2c3d", Fingerprint: "5d41402a", AEAD: 15, State: "old", Created: ago(3 * day), MintFrom: ago(26 * hour), AcceptUntil: now.Add(46 * hour)},
			{ID: "0a1b2c3e", Fingerprint: "9b74c989", AEAD: 15, State: "current", Created: ago(26 * hour), MintFrom: ago(2 * hour), AcceptUntil: now.Add(70 * hour)},
			{ID: "0a1b2c3f", Fingerprint: "77f3e1d2", AEAD: 30, State: "next", Created: ago(2 * hour), MintFrom: now.Add(22 * hour), AcceptUntil: now.Add(94 * hour)},
		},
	}
}

func theirRing() api.Ring {
	return api.Ring{Name: "rack", Dialect: "ntpdrs", Owner: "neighbour", NeighbourFile: "/var/lib/ntpd-rs/keys", Keys: []api.Key{},
		Problem: "/var/lib/ntpd-rs/keys cannot be read: permission denied"}
}

func targets() []api.Target {
	return []api.Target{
		{ID: "this-host", Ring: "default", Weight: 1, Family: "any", AEADs: []uint16{15, 30}, Fit: true, Stratum: new(uint8(2)),
			RootDistanceSeconds: new(0.0068), OffsetSeconds: new(0.0000031), LastProbe: new(ago(12 * time.Second)), Served: 1234},
		{ID: "b.example.net:10123", Ring: "rack", Weight: 3, Family: "ipv6", AEADs: []uint16{}, Reason: "no answer within 3s", LastProbe: new(ago(5 * time.Minute))},
		{ID: "c.example.net", Ring: "default", Weight: 1, Family: "any", AEADs: []uint16{15}, Fit: true, Draining: true},
	}
}

// show is what a view makes of an answer.
func show(t *testing.T, command string, answer any) (string, bool) {
	t.Helper()
	v := reflect.New(reflect.TypeOf(answer)).Elem()
	v.Set(reflect.ValueOf(answer))
	for _, f := range v.Fields() { // as ntptsd does: no list is null
		if f.Kind() == reflect.Slice && f.IsNil() {
			f.Set(reflect.MakeSlice(f.Type(), 0, 0))
		}
	}
	b, err := json.Marshal(v.Interface())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range api.Commands() {
		if d := c.Declaration(); d.Name == command && d.Changes {
			b = []byte(`{"summary":"do it","result":` + string(b) + "}")
		}
	}
	var out bytes.Buffer
	bad, err := All()[command].Show(&out, b, now)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return out.String(), bad
}

func TestViews(t *testing.T) {
	for _, c := range []struct {
		name, command string
		answer        any
		bad           bool
		want          string
	}{
		{"all is well", "status", api.Status{
			Version: "0.3.0", StartedAt: ago(3 * day), Clock: chrony(), Neighbour: api.Neighbour{Name: "chrony", Via: "/run/chrony/chronyd.sock", AgeSeconds: new(1.2)},
			Rings: []api.Ring{ourRing()}, Targets: targets()[:1], Problems: []string{},
		}, false, `
ntptsd            0.3.0, started 3d ago
clock             synchronised, source chrony, stratum 2, refid 192.0.2.10, within 6.8ms
neighbour         chrony answered 1s ago
asked by          /run/chrony/chronyd.sock
ring default      chrony, owner ntptsd, key 9b74c989 made 26h ago, rotates every 24h, next in 22h
target this-host  fit, stratum 2, within 6.8ms, 1234 served
no problems
`},
		{"with problems", "status", api.Status{
			Version: "0.3.0", StartedAt: ago(3 * time.Second),
			Clock:     api.Tracking{Source: "chrony", Leap: api.LeapUnsynchronised, AgeSeconds: 300},
			Neighbour: api.Neighbour{Name: "chrony", Problem: "it does not answer: connection refused", AgeSeconds: new(300.0)},
			Rings:     []api.Ring{theirRing()}, Targets: targets()[1:],
			Problems: []string{"the clock is not synchronised, and time clients are told so: chrony says so", "target b.example.net:10123 is not fit: no answer within 3s"},
		}, true, `
ntptsd                      0.3.0, started 3s ago
clock                       not synchronised, source chrony, read 5m ago
neighbour                   chrony answered 5m ago: it does not answer: connection refused
ring rack                   ntpdrs, owner neighbour, no current key, rotated by the neighbour
target b.example.net:10123  unfit: no answer within 3s, 0 served
target c.example.net        draining, 0 served
problems:
  the clock is not synchronised, and time clients are told so: chrony says so
  target b.example.net:10123 is not fit: no answer within 3s
`},
		{"just started", "status", api.Status{
			StartedAt: now, Neighbour: api.Neighbour{Name: "ntpsec"}, Rings: []api.Ring{}, Targets: []api.Target{}, Problems: []string{},
		}, false, `
ntptsd     -, started 0s ago
clock      not read yet
neighbour  ntpsec has not answered yet
no problems
`},
		{"smearing", "status", api.Status{
			Version: "0.3.0", Clock: api.Tracking{Source: "ntpd", Smearing: true}, Rings: []api.Ring{}, Targets: []api.Target{}, Problems: []string{},
		}, false, `
ntptsd     0.3.0, started -
clock      not synchronised: ntpd smears a leap second
neighbour  none
no problems
`},
		{"synchronised", "tracking", chrony(), false, `
source           chrony
version          4.6.1
synchronised     yes
smearing         no
leap             none
stratum          2
reference id     192.0.2.10
reference time   35s ago
offset           -12us
frequency        -12.346 ppm
correction       +0s
root delay       12ms
root dispersion  610us
error bound      6.8ms
read             1s ago
`},
		{"nothing known", "tracking", api.Tracking{AgeSeconds: 9.2e9}, false, `
source           -
version          -
synchronised     no
smearing         no
leap             -
stratum          0
reference id     -
reference time   -
offset           -
frequency        -
correction       +0s
root delay       0s
root dispersion  0s
error bound      0s
read             not yet
`},
		{"some", "sources", api.Sources{Sources: []api.Source{
			{Name: "ntp1.example.net", Address: "2001:db8::10", Kind: "server", Selection: "selected", Stratum: 1, PollSeconds: 64, Reach: 0o377,
				LastRxSeconds: new(12.7), OffsetSeconds: new(0.000012), ErrorSeconds: new(0.000035), DelaySeconds: new(0.0032), Authentication: "nts"},
			{Name: "PPS0", Kind: "refclock", Selection: "falseticker", PollSeconds: 0.25, Reach: 7, OffsetSeconds: new(-0.0032)},
		}}, false, `
NAME              ADDRESS       KIND      STATE        STRATUM  POLL   REACH  LAST  OFFSET  ERROR  DELAY  AUTH
ntp1.example.net  2001:db8::10  server    selected     1        64s    377    12s   +12us   35us   3.2ms  nts
PPS0              -             refclock  falseticker  0        0.25s  7      -     -3.2ms  -      -      -
`},
		{"none", "sources", api.Sources{Sources: []api.Source{}}, false, `
the time daemon next door follows nothing
`},
		{"some", "clients", api.Clients{Known: 345, Next: "1-2001:db8::7", Clients: []api.Client{
			{Address: "192.0.2.7", Requests: 123456, Dropped: new(uint64(0)), KeyExchanges: new(uint64(3)), IntervalSeconds: new(64.004), LastSeconds: new(12.0)},
			{Address: "2001:db8::7", Requests: 1},
		}}, false, `
ADDRESS      REQUESTS  DROPPED  KEYEXCHANGES  INTERVAL  LAST
192.0.2.7    123456    0        3             64s       12s
2001:db8::7  1         -        -             -         -
2 of the 345 clients that the time daemon remembers; --limit shows more
those behind: clients 1-2001:db8::7
`},
		{"cut", "clients", api.Clients{Known: 65536, More: true, Clients: []api.Client{{Address: "192.0.2.7", Requests: 1}}}, false, `
ADDRESS    REQUESTS  DROPPED  KEYEXCHANGES  INTERVAL  LAST
192.0.2.7  1         -        -             -         -
1 of more than 65536 clients that the time daemon remembers: its list is longer than what is read of it
`},
		{"none", "clients", api.Clients{Clients: []api.Client{}}, false, `
the time daemon next door remembers no client
`},
		{"two rings", "keys", api.Keys{Rings: []api.Ring{ourRing(), theirRing()}}, false, `
ring default: dialect chrony, owner ntptsd, rotates every 24h, next in 22h
file of the time daemon next door: /var/lib/chrony/ntskeys
STATE    ID        FINGERPRINT  AEAD  MADE     MINTS    ENDS
old      0a1b2c3d  5d41402a     15    3d ago   26h ago  in 46h
current  0a1b2c3e  9b74c989     15    26h ago  2h ago   in 2d
next     0a1b2c3f  77f3e1d2     30    2h ago   in 22h   in 3d

ring rack: dialect ntpdrs, owner neighbour, rotated by the neighbour
file of the time daemon next door: /var/lib/ntpd-rs/keys
problem: /var/lib/ntpd-rs/keys cannot be read: permission denied
it has no keys
`},
		{"not known when", "keys rotate", api.Keys{Rings: []api.Ring{{Name: "x", Dialect: "native", Owner: "ntptsd", RotateEverySeconds: 3600, Keys: []api.Key{{}}}}}, false, `
ring x: dialect native, owner ntptsd, rotates every 1h, the next time is not known
STATE  ID  FINGERPRINT  AEAD  MADE  MINTS  ENDS
-      -   -            0     -     -      -
`},
		{"none", "keys", api.Keys{Rings: []api.Ring{}}, false, `
there is no ring: ntptsd neither hands out cookies nor opens any
`},
		{"some", "targets", api.Targets{Targets: targets()}, false, `
TARGET               STATE     RING     WEIGHT  FAMILY  AEADS  STRATUM  DISTANCE  OFFSET  PROBED   SERVED
this-host            fit       default  1       any     15,30  2        6.8ms     +3.1us  12s ago  1234
b.example.net:10123  unfit     rack     3       ipv6    -      -        -         -       5m ago   0
c.example.net        draining  default  1       any     15     -        -         -       -        0
b.example.net:10123: no answer within 3s
`},
		{"none", "targets drain", api.Targets{Targets: []api.Target{}}, false, `
there are no targets: clients get their time where they exchange keys
`},
		{"done", "targets undrain", api.Targets{Targets: targets()[2:]}, false, `
TARGET         STATE     RING     WEIGHT  FAMILY  AEADS  STRATUM  DISTANCE  OFFSET  PROBED  SERVED
c.example.net  draining  default  1       any     15     -        -         -       -       0
`},
		{"done", "reload", api.None{}, false, `
configuration reloaded
`},
		{"fit", "fit", api.Fit{Fit: true}, false, "fit\n"},
		{"not", "fit", api.Fit{Reasons: []string{"stratum 16 is too much"}}, true, "not fit:\n  stratum 16 is too much\n"},
		{"one", "source", api.Source{Name: "ntp1", Address: "192.0.2.10", Kind: "server", Selection: "selected", Stratum: 1, PollSeconds: 64, Reach: 0o377,
			LastRxSeconds: new(12.7), OffsetSeconds: new(0.000012), DelaySeconds: new(0.0032), Authentication: "nts"}, false, `
name            ntp1
address         192.0.2.10
kind            server
state           selected
stratum         1
poll            64s
reach           377 (octal: the last eight polls, the newest in the lowest bit)
last answer     12s ago
offset          +12us
error           -
delay           3.2ms
authentication  nts
`},
		{"some", "networks", api.Networks{Known: 12.4, New: 3, Requests: 99, NTSShare: new(0.4), KeyExchanges: 7, Networks: []api.Network{
			{Prefix: "192.0.2.0/24", Requests: 90, NTSRequests: 40, KeyExchanges: 40, NAKs: 1, FirstSeen: ago(day), LastSeen: ago(time.Minute), IntervalSeconds: new(64.0), RekeysEveryPoll: true},
			{Prefix: "198.51.100.0/24", RateLimited: 15, FailedKeyExchanges: 65, FirstSeen: ago(time.Minute), LastSeen: ago(time.Second)},
			{Prefix: "2001:db8::/48", Requests: 9, RateLimited: 2, FirstSeen: ago(time.Hour), LastSeen: ago(time.Second)},
		}}, false, `
NETWORK          REQUESTS  NTS  KEYEXCHANGES  FAILED  NAKS  LIMITED  INTERVAL  FIRST    LAST    REMARK
192.0.2.0/24     90        40   40            0       1     0        64s       24h ago  1m ago  re-keys on every poll
198.51.100.0/24  0         0    0             65      0     15       -         1m ago   1s ago  -
2001:db8::/48    9         0    0             0       0     2        -         1h ago   1s ago  -
about 12 networks, 3 of them new; 99 requests, NTS 40.0 %; 7 key exchanges
`},
		{"none", "networks", api.Networks{}, false, "nobody has asked our own services yet\n"},
		{"three", "certs", api.Certificates{Certificates: []api.Certificate{
			{File: "authority", State: api.CertificateValid, RenewAt: new(now.Add(20 * day)), Names: []string{"a.example", "192.0.2.1"}, Issuer: "CN=x", Fingerprint: "0123456789abcdef0123", NotAfter: now.Add(30 * day), DaysLeft: 30},
			{File: "/etc/b.pem", State: api.CertificateExpired, Names: []string{}, NotAfter: ago(day), DaysLeft: -1, Problem: "expired by this machine's clock"},
			{File: "acme", State: api.CertificateFailing, Names: []string{}, Problem: "there is none yet", LastError: "the authority says: no\x1b", NextAttempt: new(now.Add(time.Hour))},
		}}, false, `
FILE        STATE    ENDS     DAYS  RENEWED  NAMES                ISSUER  SHA256
authority   valid    in 30d   30.0  in 20d   a.example,192.0.2.1  CN=x    0123456789abcdef
/etc/b.pem  expired  24h ago  -1.0  -        -                    -       -
acme        failing  -        -     -        -                    -       -
/etc/b.pem: expired by this machine's clock
acme: there is none yet
acme: last error, next try in 1h: the authority says: no\x1b
`},
		{"none", "certs", api.Certificates{}, false, "there is no certificate: nothing is served by TLS\n"},
		{"some", "handshakes", api.Handshakes{Open: 2, Cookies: 80, MedianSeconds: new(0.0021), Connections: []api.Count{{Name: "served", Count: 10}, {Name: "gone", Count: 0}, {Name: "full", Count: 3}},
			Responses: []api.Count{{Name: "AEAD_AES_SIV_CMAC_256", Count: 10}}}, false, `
open           2
cookies        80
TLS handshake  median 2.1ms, 90 % -, 99 % -
ended          served 10, full 3
failed         -
AEAD           AEAD_AES_SIV_CMAC_256 10
group          -
`},
		{"some", "cookies", api.Cookies{Ages: []api.Count{{Name: "current", Count: 3}, {Name: "unknown", Count: 1}}}, false, `
KEY      COOKIES  SHARE
current  3        75.0%
unknown  1        25.0%
`},
		{"none", "cookies", api.Cookies{Ages: []api.Count{{Name: "current"}}}, false, "no cookie has come back yet\n"},
		{"some", "events", api.Events{Lost: true, Events: []api.Event{{At: now, Kind: "key", Severity: "info", Text: "ring default: key bb mints now"}}}, false,
			"some events are forgotten already\n" + now.UTC().Format(time.RFC3339) + " info    key         ring default: key bb mints now\n"},
		{"none", "events", api.Events{}, false, "nothing has happened\n"},
		{"hours", "history", api.History{At: []time.Time{now.Truncate(time.Hour), now.Truncate(time.Hour).Add(time.Minute), now.Truncate(time.Hour).Add(time.Hour)},
			OffsetSeconds: []*float64{new(0.001), new(0.003), nil}, ErrorBoundSeconds: []*float64{new(0.01), nil, nil}, FrequencyPPM: []*float64{nil, nil, nil},
			Handshakes: []uint64{1, 2, 3}, TimeRequests: []uint64{10, 20, 30}}, false,
			"HOUR            LEAST   MEDIAN  GREATEST  WITHIN  KEYEXCHANGES  REQUESTS\n" + now.UTC().Format("2006-01-02T15Z") + "  +1.0ms  +3.0ms  +3.0ms    10ms    3             30\n" +
				now.UTC().Add(time.Hour).Format("2006-01-02T15Z") + "  -       -       -         -       3             30\n"},
		{"empty", "history", api.History{}, false, "there is no history yet\n"},
		{"confined", "whoami", api.Identity{Name: "token prometheus", Role: "monitor", Only: []string{"metrics"}, Until: new(now.Add(day))}, false,
			"you are  token prometheus\nrole     monitor\nonly     metrics\nuntil    " + now.Add(day).UTC().Format(time.RFC3339) + ", in 24h\n"},
		{"link", "login", api.Link{Token: "x", URLs: []string{"https://a:4461/#token=x"}, Role: "monitor", Until: now.Add(5 * time.Minute)}, false,
			"https://a:4461/#token=x\nworks once, until " + now.Add(5*time.Minute).UTC().Format(time.RFC3339) + " (in 5m), with the role monitor\n"},
		{"lines", "peers", api.Native{Daemon: "ntpd", Text: "     remote\n*a\x1b[2J  x\n"}, false, "     remote\n*a\\x1b[2J  x\n"},
	} {
		got, bad := show(t, c.command, c.answer)
		if want := strings.TrimPrefix(c.want, "\n"); got != want || bad != c.bad {
			t.Errorf("%s, %s: bad %v\n%s\nwant %v\n%s", c.command, c.name, bad, got, c.bad, want)
		}
	}
}

// A command without a view could not be called; one with a name of our own could not be told apart.
func TestEveryCommandHasAView(t *testing.T) {
	all := All()
	for _, c := range api.Commands() {
		d := c.Declaration()
		v, ok := all[d.Name]
		delete(all, d.Name)
		if !ok || v.Show == nil || v.Needs > len(d.Args) || slices.ContainsFunc(d.Args[:min(v.Needs, len(d.Args))], func(a api.Arg) bool { return a.Flag }) {
			t.Errorf("%q has no view, or one that needs too much: %+v", d.Name, v)
		}
		switch strings.Fields(d.Name)[0] {
		case "probe", "help", "completion", "tunnel", "top", "watch", "profiles":
			t.Errorf("%q is ntptsctl's own", d.Name)
		}
	}
	for name := range all {
		t.Errorf("there is a view of %q, which is no command", name)
	}
}

// Whatever text the daemon sends, in whichever place: nothing acts on the terminal, nothing adds a line, and there is an end.
func TestNothingOfTheDaemonsReachesTheTerminalRaw(t *testing.T) {
	const evil = "\x1b[2Jno problems\r\n\tall is well\u009b\u202e\x00\x7f" // "\x1b" begins what terminals obey
	long := strings.Repeat("\x1b\u0301x", 1<<16)
	for _, text := range []string{evil, long} {
		for command, answer := range map[string]any{
			"status": api.Status{
				Version: text, Clock: api.Tracking{Source: text, Synchronised: true, ReferenceID: text}, Neighbour: api.Neighbour{Name: text, Via: text, Problem: text},
				Rings:   []api.Ring{{Name: text, Dialect: text, Owner: text, Problem: text, Keys: []api.Key{{State: "current", Fingerprint: text}}}},
				Targets: []api.Target{{ID: text, Reason: text}}, Problems: []string{text},
			},
			"tracking": api.Tracking{Source: text, Version: text, Leap: text, ReferenceID: text},
			"sources":  api.Sources{Sources: []api.Source{{Name: text, Address: text, Kind: text, Selection: text, Authentication: text}}},
			"clients":  api.Clients{Next: text, Clients: []api.Client{{Address: text}}},
			"keys": api.Keys{Rings: []api.Ring{{Name: text, Dialect: text, Owner: text, NeighbourFile: text, Problem: text,
				Keys: []api.Key{{ID: text, Fingerprint: text, State: text}}}}},
			"targets":    api.Targets{Targets: []api.Target{{ID: text, Ring: text, Family: text, Reason: text}}},
			"fit":        api.Fit{Reasons: []string{text}},
			"source":     api.Source{Name: text, Address: text, Kind: text, Selection: text, Authentication: text},
			"networks":   api.Networks{Networks: []api.Network{{Prefix: text}}},
			"certs":      api.Certificates{Certificates: []api.Certificate{{File: text, Names: []string{text}, Issuer: text, Fingerprint: text, Problem: text}}},
			"handshakes": api.Handshakes{Connections: []api.Count{{Name: text, Count: 1}}, Failures: []api.Count{{Name: text, Count: 1}}},
			"cookies":    api.Cookies{Ages: []api.Count{{Name: text, Count: 1}}},
			"events":     api.Events{Events: []api.Event{{Kind: text, Severity: text, Text: text}}},
			"whoami":     api.Identity{Name: text, Role: text, Only: []string{text}},
			"login":      api.Link{URLs: []string{text}, Role: text},
			"rv":         api.Native{Daemon: text, Text: strings.ReplaceAll(text, "\n", "")},
			"peers":      api.Native{Text: "a\n" + strings.ReplaceAll(text, "\n", "")},
		} {
			got, _ := show(t, command, answer)
			checkSafe(t, command, got)
			if len(got) > 20000 {
				t.Errorf("%s writes %d octets", command, len(got))
			}
			if n := strings.Count(got, "\n"); n > 15 { // the rows of tracking, the longest without a list
				t.Errorf("%s writes %d lines:\n%s", command, n, got)
			}
		}
	}
}

func checkSafe(t *testing.T, what, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e') {
			t.Errorf("%s writes %q", what, r)
			return
		}
	}
}

func TestTablesHaveAnEnd(t *testing.T) {
	const more = 7
	got, _ := show(t, "clients", api.Clients{Clients: make([]api.Client, maxRows+more)})
	if n := strings.Count(got, "\n"); n != maxRows+2 || !strings.HasSuffix(got, fmt.Sprintf("\nand %d more; --json shows all\n", more)) {
		t.Errorf("%d lines, the end is %q", n, got[len(got)-50:])
	}
	got, _ = show(t, "targets", api.Targets{Targets: []api.Target{{AEADs: make([]uint16, 1<<20)}}})
	if len(got) > 1000 {
		t.Errorf("%d octets for a list of AEADs", len(got))
	}
}
