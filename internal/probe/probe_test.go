package probe

import (
	"context"
	"crypto/x509"
	"errors"
	"math"
	"net"
	"testing"
	"time"
	"unicode"

	"github.com/ntptsd/ntptsd/protocol/ntp"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func reportWith(offset float64, expires time.Time) Report {
	return Report{
		KeyExchange: &KE{Expires: expires, ExpiresOf: "CN=server"},
		Exchanges: []Exchange{
			{Offset: 9, Delay: 2, Synchronised: true, Stratum: 2},
			{Offset: offset, Delay: 0.01, Synchronised: true, Stratum: 2},
		},
	}
}

func TestJudge(t *testing.T) {
	warn := Limits{Offset: 500 * time.Millisecond, Days: 14}
	critical := Limits{Offset: 5 * time.Second, Days: 2}
	days := func(n float64) time.Time { return now.Add(time.Duration(n * 24 * float64(time.Hour))) }
	unsynchronised := reportWith(0, days(90))
	unsynchronised.Exchanges[1].Synchronised = false
	for _, c := range []struct {
		name   string
		report Report
		want   Status
		found  int
	}{
		{"all well, the slow exchange does not count", reportWith(0.4, days(90)), OK, 0},
		{"offset warns", reportWith(0.6, days(90)), Warning, 1},
		{"a negative offset counts as much", reportWith(-0.6, days(90)), Warning, 1},
		{"offset is critical", reportWith(-5.1, days(90)), Critical, 1},
		{"certificate warns", reportWith(0, days(13.9)), Warning, 1},
		{"certificate is critical", reportWith(0, days(1)), Critical, 1},
		{"the worst counts", reportWith(0.6, days(1)), Critical, 2},
		{"unsynchronised", unsynchronised, Critical, 1},
		{"no answer", Report{Err: ErrNoAnswer}, Critical, 1},
		{"no such name", Report{Err: &net.DNSError{Err: "no such host"}}, Unknown, 1},
		{"interrupted", Report{Err: context.Canceled}, Unknown, 1},
	} {
		status, found := Judge(c.report, warn, critical, now)
		if status != c.want || len(found) != c.found {
			t.Errorf("%s: %v with %d findings %v, want %v with %d", c.name, status, len(found), found, c.want, c.found)
		}
	}
	if s, found := Judge(reportWith(100, days(0.1)), Limits{}, Limits{}, now); s != OK {
		t.Errorf("with all limits off: %v %v", s, found)
	}
}

// A server chooses the names in its certificate, and must not write lines of its own with them.
func TestNothingOfAServersReachesTheTerminalRaw(t *testing.T) {
	r := reportWith(0, now)
	r.KeyExchange.ExpiresOf = "CN=a\x1b]0;pwned\x07\nOK: fake"
	r.Err = errors.New("certificate is valid for \u2028OK: fake\x9b")
	_, found := Judge(r, Limits{Days: 14}, Limits{}, now)
	if len(found) != 2 {
		t.Fatalf("%d findings, want 2: %v", len(found), found)
	}
	for _, f := range found {
		for _, c := range f.Text {
			if !unicode.IsPrint(c) {
				t.Errorf("%q has %q in it", f.Text, c)
			}
		}
	}
}

// The sign is a promise: positive means that the server is ahead. RFC 5905 section 8.
func TestOffsetAndDelay(t *testing.T) {
	sent := now
	received := now.Add(30 * time.Millisecond)
	for _, ahead := range []time.Duration{0, time.Second, -2 * time.Second, 20 * 365 * 24 * time.Hour} {
		h := ntp.Header{
			Receive:  ntp.TimestampOf(sent.Add(ahead + 10*time.Millisecond)),
			Transmit: ntp.TimestampOf(sent.Add(ahead + 15*time.Millisecond)),
			Stratum:  2, RootDelay: ntp.ShortOf(20 * time.Millisecond), RootDispersion: ntp.ShortOf(5 * time.Millisecond),
		}
		var e Exchange
		e.fill(h, sent, received)
		// 10 ms there, 15 ms back: the asymmetry shows as -2.5 ms.
		if want := ahead.Seconds() - 0.0025; math.Abs(e.Offset-want) > 1e-6 {
			t.Errorf("ahead by %v: offset %v, want %v", ahead, e.Offset, want)
		}
		if math.Abs(e.Delay-0.025) > 1e-6 {
			t.Errorf("delay %v, want 0.025", e.Delay)
		}
		if want := 0.01 + 0.0125 + 0.005; math.Abs(e.RootDistance-want) > 1e-4 {
			t.Errorf("root distance %v, want %v", e.RootDistance, want)
		}
	}
}

func TestSynchronised(t *testing.T) {
	for _, c := range []struct {
		leap    ntp.Leap
		stratum uint8
		want    bool
	}{{ntp.LeapNone, 1, true}, {ntp.LeapInsert, 15, true}, {ntp.LeapUnknown, 2, false}, {ntp.LeapNone, 0, false}, {ntp.LeapNone, 16, false}} {
		var e Exchange
		e.fill(ntp.Header{Leap: c.leap, Stratum: c.stratum}, now, now)
		if e.Synchronised != c.want {
			t.Errorf("leap %v stratum %d: %v, want %v", c.leap, c.stratum, e.Synchronised, c.want)
		}
	}
}

func TestEarliestExpiry(t *testing.T) {
	cert := func(days int) *x509.Certificate { return &x509.Certificate{NotAfter: now.AddDate(0, 0, days)} }
	short, long, root := cert(10), cert(90), cert(3650)
	for _, c := range []struct {
		chains [][]*x509.Certificate
		want   *x509.Certificate
	}{
		{nil, nil},
		{[][]*x509.Certificate{{long, root}}, long},
		{[][]*x509.Certificate{{long, short, root}}, short},
		{[][]*x509.Certificate{{long, short}, {long, root}}, long}, // a client needs one chain
	} {
		if got := earliestExpiry(c.chains); got != c.want {
			t.Errorf("%v: got %v, want %v", c.chains, got, c.want)
		}
	}
}

// A datagram that is not the answer to the question is as if it had not come, RFC 8915 section 5.7.
func TestAnswerIgnoresStrangers(t *testing.T) {
	q := query{transmit: 7}
	good := ntp.Header{Version: 4, Mode: ntp.ModeServer, Stratum: 2, Origin: 7}
	for _, c := range []struct {
		name   string
		header func(*ntp.Header)
		ok     bool
		err    error
	}{
		{"the answer", func(*ntp.Header) {}, true, nil},
		{"another origin", func(h *ntp.Header) { h.Origin = 8 }, false, nil},
		{"not a server", func(h *ntp.Header) { h.Mode = ntp.ModeBroadcast }, false, nil},
		{"a kiss", func(h *ntp.Header) { h.SetKiss(ntp.KissRate) }, false, ErrKiss},
	} {
		h := good
		c.header(&h)
		if _, ok, err := q.answer(h.AppendTo(nil), nil, now, now); ok != c.ok || !errors.Is(err, c.err) {
			t.Errorf("%s: %v %v, want %v %v", c.name, ok, err, c.ok, c.err)
		}
	}
	if _, ok, err := q.answer(make([]byte, 47), nil, now, now); ok || err != nil {
		t.Errorf("a short datagram: %v %v", ok, err)
	}
}

func TestCookiesAreNeverReused(t *testing.T) {
	s := session{initial: [][]byte{{1}, {2}}}
	first, _, err := s.take(0)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := s.take(0)
	if err != nil || first[0] == second[0] {
		t.Errorf("took %v, then %v: %v", first, second, err)
	}
	if _, _, err := s.take(1); !errors.Is(err, ErrNoRefill) {
		t.Errorf("without a refill: %v, want ErrNoRefill", err)
	}
}
