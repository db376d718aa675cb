package neighbour

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/mode6"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// An ntpd answers what a real one has answered to the same question; a list of clients in the order in which it was walked.
type ntpd struct {
	t       *testing.T
	conn    *net.UDPConn
	answers map[string][][]byte
	walk    [][][]byte
	instead atomic.Pointer[func(q mode6.Request, answer [][]byte) [][]byte]
}

func (n *ntpd) client() *NTPD { return NewNTPD(n.conn.LocalAddr().(*net.UDPAddr).AddrPort()) }

func question(q mode6.Request) string { return fmt.Sprint(q.Op, q.Association, string(q.Data)) }

func newNTPD(t *testing.T, daemon string) *ntpd {
	t.Helper()
	b, err := os.ReadFile("../../protocol/mode6/testdata/mode6-" + daemon + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Name    string
			Request struct {
				Hex  string
				Auth any
			}
			Responses []struct{ Hex string }
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	n := &ntpd{t: t, answers: make(map[string][][]byte)}
	for _, v := range file.Vectors {
		var answer [][]byte
		for _, r := range v.Responses {
			datagram, err := hex.DecodeString(r.Hex)
			if err != nil {
				t.Fatal(err)
			}
			answer = append(answer, datagram)
		}
		raw, _ := hex.DecodeString(v.Request.Hex)
		q, err := mode6.ParseRequest(raw)
		switch {
		case err != nil || v.Request.Auth != nil || len(answer) == 0:
		case strings.HasPrefix(v.Name, "mru_walk_") && q.Op == mode6.OpReadMRU:
			n.walk = append(n.walk, answer)
		case q.Version == mode6.DefaultVersion && n.answers[question(q)] == nil:
			n.answers[question(q)] = answer
		}
	}
	if n.conn, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(n.serve)
	t.Cleanup(func() { n.conn.Close(); running.Wait() })
	return n
}

func (n *ntpd) serve() {
	b := make([]byte, 1024)
	for {
		size, from, err := n.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		q, err := mode6.ParseRequest(b[:size])
		if err != nil {
			n.t.Errorf("a request that no daemon answers: %v: %x", err, b[:size])
			continue
		}
		answer := n.answer(q)
		if f := n.instead.Load(); f != nil {
			answer = (*f)(q, answer)
		}
		for _, datagram := range answer {
			n.conn.WriteToUDPAddrPort(datagram, from)
		}
	}
}

func (n *ntpd) answer(q mode6.Request) (answer [][]byte) {
	recorded, ok := n.answers[question(q)]
	switch {
	case q.Op == mode6.OpReadMRU && len(n.walk) > 0:
		recorded, n.walk = n.walk[0], n.walk[1:]
	case !ok && q.Op == mode6.OpReadVariables && string(q.Data) == "timerec":
		return [][]byte{n.text(q, "timerec=17")}
	case !ok:
		refusal := mode6.Fragment{Version: 2, Error: true, Op: q.Op, Sequence: q.Sequence, Association: q.Association,
			Status: uint16(mode6.CodeAssociation) << 8}
		return [][]byte{refusal.AppendTo(nil)}
	}
	for _, datagram := range recorded {
		datagram = append([]byte{}, datagram...)
		datagram[2], datagram[3] = byte(q.Sequence>>8), byte(q.Sequence)
		answer = append(answer, datagram)
	}
	return answer
}

func (n *ntpd) text(q mode6.Request, text string) []byte {
	return mode6.Fragment{Version: 2, Op: q.Op, Sequence: q.Sequence, Association: q.Association, Data: []byte(text)}.AppendTo(nil)
}

var daemons = map[string]string{"ntp-4.2.8p15": "ntpd", "ntpsec-1.2.2": "ntpsec", "ntpsec-1.2.5": "ntpsec"}

func TestTrackingOfNTPD(t *testing.T) {
	for daemon, name := range daemons {
		n := newNTPD(t, daemon)
		c := n.client()
		a, err := c.Tracking(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c.Name() != name || a.Source != name || a.Version == "" || a.Smearing || a.OffsetSeconds == nil || a.FrequencyPPM == nil || a.CorrectionSeconds != 0 {
			t.Errorf("%s: %+v", daemon, a)
		}
		if a.Synchronised != (a.Leap != api.LeapUnsynchronised) || a.Synchronised != (a.Stratum > 0) || a.Synchronised && a.RootDispersionSeconds <= 0 {
			t.Errorf("%s: %+v", daemon, a)
		}
	}
}

func TestSystemVariables(t *testing.T) {
	at := time.Date(2026, 12, 31, 12, 0, 0, 0, time.UTC)
	system := func(text string) (api.Tracking, error) {
		v, err := mode6.ParseVariables([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return systemOf(v, "ntpd", at)
	}
	const good = "leap=1, stratum=4, rootdelay=20.5, rootdisp=3.25, refid=192.0.2.9, reftime=0xeecf1fc0.80000000, offset=-1.5, frequency=12.5"
	a, err := system(good)
	if err != nil || !a.Synchronised || a.Leap != api.LeapInsert || a.Stratum != 4 || a.RefID != [4]byte{192, 0, 2, 9} || a.RootDelaySeconds != 0.0205 ||
		a.RootDispersionSeconds != 0.00325 || *a.OffsetSeconds != -0.0015 || *a.FrequencyPPM != -12.5 || a.Smearing ||
		math.Abs(a.ErrorBoundSeconds-(0.01025+0.00325+0.0015)) > 1e-12 || a.ReferenceTime == nil || a.ReferenceTime.Nanosecond() != 5e8 {
		t.Errorf("%+v, %v", a, err)
	}
	for text, check := range map[string]func(api.Tracking) bool{
		"leap=0, stratum=1, rootdelay=0, rootdisp=1, refid=GPS":                         func(a api.Tracking) bool { return a.ReferenceID == "GPS" && a.Stratum == 1 },
		"leap=3, stratum=16, rootdelay=0, rootdisp=1, refid=INIT":                       func(a api.Tracking) bool { return !a.Synchronised && a.Stratum == 0 },
		"leap=0, stratum=16, rootdelay=0, rootdisp=1, refid=STEP":                       func(a api.Tracking) bool { return !a.Synchronised && a.Leap == api.LeapUnsynchronised },
		"leap=0, stratum=2000, rootdelay=0, rootdisp=1, refid=X":                        func(a api.Tracking) bool { return !a.Synchronised },
		"leap=-1, stratum=2, rootdelay=0, rootdisp=1, refid=X":                          func(a api.Tracking) bool { return !a.Synchronised },
		good + ", leapsmearinterval=86400, leapsmearoffset=-250.0":                      func(a api.Tracking) bool { return a.Smearing },
		good + ", leapsmearinterval=86400, leapsmearoffset=0.0":                         func(a api.Tracking) bool { return !a.Smearing && a.Leap == api.LeapNone },
		good + ", leapsmearinterval=0, leapsmearoffset=0.0":                             func(a api.Tracking) bool { return a.Leap == api.LeapInsert },
		"refid=\"\x1b[31m\", leap=0, stratum=1, rootdelay=0, rootdisp=1":                func(a api.Tracking) bool { return !strings.Contains(a.ReferenceID, "\x1b") },
		"leap=0, stratum=2, rootdelay=0, rootdisp=1, refid=10.0.0.1, frequency=nothing": func(a api.Tracking) bool { return a.FrequencyPPM == nil },
	} {
		if a, err := system(text); err != nil || !check(a) {
			t.Errorf("%q: %+v, %v", text, a, err)
		}
	}
	for _, text := range []string{"", "leap=0, stratum=2", "leap=x, stratum=2, rootdelay=0, rootdisp=1, refid=1.2.3.4"} {
		if _, err := system(text); !errors.Is(err, errLacking) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSourcesOfNTPD(t *testing.T) {
	for daemon := range daemons {
		n := newNTPD(t, daemon)
		all, err := n.client().Sources(t.Context())
		if err != nil || len(all) == 0 {
			t.Fatalf("%s: %d sources, %v", daemon, len(all), err)
		}
		seen := make(map[string]int)
		for _, s := range all {
			seen[s.Kind]++
			seen[s.Selection]++
			if s.Name == "" || s.PollSeconds <= 0 || s.Kind == "server" && s.Address == "" || s.OffsetSeconds != nil && (s.LastRxSeconds == nil || *s.LastRxSeconds != 17) {
				t.Errorf("%s: %+v", daemon, s)
			}
		}
		if seen["server"] == 0 || seen["refclock"] == 0 {
			t.Errorf("%s: %v", daemon, seen)
		}
	}
}

// An association that goes away while they are read is left out.
func TestSourcesOfNTPDThatComeAndGo(t *testing.T) {
	n := newNTPD(t, "ntp-4.2.8p15")
	before, err := n.client().Sources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var gone atomic.Int32
	gone.Store(-1)
	drop := func(q mode6.Request, answer [][]byte) [][]byte {
		if q.Op != mode6.OpReadVariables || !gone.CompareAndSwap(-1, int32(q.Association)) && int32(q.Association) != gone.Load() {
			return answer
		}
		return [][]byte{mode6.Fragment{Version: 2, Error: true, Op: q.Op, Sequence: q.Sequence, Association: q.Association,
			Status: uint16(mode6.CodeAssociation) << 8}.AppendTo(nil)}
	}
	n.instead.Store(&drop)
	if after, err := n.client().Sources(t.Context()); err != nil || len(after) != len(before)-1 {
		t.Errorf("%d sources of %d, %v", len(after), len(before), err)
	}
}

func TestClientsOfNTPD(t *testing.T) {
	for daemon := range daemons {
		n := newNTPD(t, daemon)
		all, err := n.client().Clients(t.Context(), 10)
		if err != nil || len(all.Clients) != 10 || all.Known < 100 {
			t.Fatalf("%s: %d of %d clients, %v", daemon, len(all.Clients), all.Known, err)
		}
		for i, c := range all.Clients {
			if c.Requests == 0 || c.LastSeconds == nil || *c.LastSeconds < 0 || i > 0 && c.Requests > all.Clients[i-1].Requests {
				t.Errorf("%s: %+v", daemon, c)
			}
		}
	}
}

func TestModesThatAskForTime(t *testing.T) {
	for mode, want := range map[ntp.Mode]bool{ntp.ModeClient: true, ntp.ModeSymmetricActive: true, ntp.ModeReserved: true,
		ntp.ModeServer: false, ntp.ModeControl: false, ntp.ModePrivate: false, ntp.ModeBroadcast: false} {
		if asksForTime(mode) != want {
			t.Errorf("mode %d", mode)
		}
	}
}

func TestForgedFragmentsAreSkippedOrRefused(t *testing.T) {
	n := newNTPD(t, "ntp-4.2.8p15")
	foreign := func(q mode6.Request, answer [][]byte) [][]byte {
		forged := n.text(q, "leap=0, stratum=1, rootdelay=0, rootdisp=0, refid=EVIL")
		other := append([]byte{}, forged...)
		other[3]++ // another sequence
		return append([][]byte{{}, {0x16}, other, make([]byte, 600)}, answer...)
	}
	n.instead.Store(&foreign)
	if a, err := n.client().Tracking(t.Context()); err != nil || a.ReferenceID == "EVIL" {
		t.Errorf("%+v, %v", a, err)
	}
	overlapping := func(q mode6.Request, _ [][]byte) [][]byte {
		f := mode6.Fragment{Version: 2, More: true, Op: q.Op, Sequence: q.Sequence, Data: []byte("leap=0, stratum=1")}
		g := f
		g.Offset, g.More = 4, false
		return [][]byte{f.AppendTo(nil), g.AppendTo(nil)}
	}
	n.instead.Store(&overlapping)
	if _, err := n.client().Tracking(t.Context()); !errors.Is(err, mode6.ErrContradiction) {
		t.Errorf("overlapping: %v", err)
	}
}

// A list of clients that never ends, though each part is well formed, ends here.
func TestEndlessClientsOfNTPD(t *testing.T) {
	n := newNTPD(t, "ntp-4.2.8p15")
	endless := func(q mode6.Request, answer [][]byte) [][]byte {
		if q.Op != mode6.OpReadMRU {
			return answer
		}
		return [][]byte{n.text(q, "nonce=eeade3670e94bc8fe4a1fe59, addr.0=192.0.2.1:1, last.0=0xeecf1fc0.80000000, first.0=0xeecf1fc0.80000000, ct.0=1, mv.0=35, rs.0=0x0, last.newest=0xeecf1fc0.80000000")}
	}
	n.instead.Store(&endless)
	if _, err := n.client().Clients(t.Context(), 10); !errors.Is(err, mode6.ErrNoHeadway) {
		t.Error(err)
	}
}

func TestSilentNTPDIsTold(t *testing.T) {
	n := newNTPD(t, "ntp-4.2.8p15")
	silent := func(mode6.Request, [][]byte) [][]byte { return nil }
	n.instead.Store(&silent)
	if _, err := n.client().Tracking(t.Context()); err == nil || !strings.Contains(err.Error(), "noquery") || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
	n.conn.Close()
	if _, err := n.client().Tracking(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused: it does not run") {
		t.Errorf("%v", err)
	}
	refused := newNTPD(t, "ntpsec-1.2.5")
	refuse := func(q mode6.Request, _ [][]byte) [][]byte {
		return [][]byte{mode6.Fragment{Version: 2, Error: true, Op: q.Op, Sequence: q.Sequence, Status: uint16(mode6.CodePermission) << 8}.AppendTo(nil)}
	}
	refused.instead.Store(&refuse)
	if _, err := refused.client().Tracking(t.Context()); !errors.Is(err, mode6.CodePermission) {
		t.Errorf("%v", err)
	}
}

// A question is asked again, twice, and longer waited for each time: a machine that is busy loses datagrams, and is late.
func TestLostQuestionsToNTPDAreAskedAgain(t *testing.T) {
	n := newNTPD(t, "ntp-4.2.8p15")
	var asked atomic.Int32
	lose := func(_ mode6.Request, answer [][]byte) [][]byte {
		if asked.Add(1) <= attempts-1 {
			return nil
		}
		return answer
	}
	n.instead.Store(&lose)
	if all, err := n.client().Sources(t.Context()); err != nil || len(all) == 0 {
		t.Errorf("%v, %v", all, err)
	}
}

// Only the busiest are kept, whatever comes.
func TestBusiestClientsAreKept(t *testing.T) {
	var b busiest
	for i := range 5 * api.MaxClients {
		b.add(api.Client{Address: fmt.Sprint(i), Requests: uint64(i)})
	}
	if cap(b.kept) > 4*api.MaxClients {
		t.Errorf("room for %d", cap(b.kept))
	}
	all := b.all()
	if first := all.first(3); all.known != 5*api.MaxClients || first.Known != all.known || len(first.Clients) != 3 ||
		first.Clients[0].Requests != 5*api.MaxClients-1 || first.Clients[2].Requests != 5*api.MaxClients-3 {
		t.Errorf("%d known, %+v", all.known, all.first(3))
	}
	if none := (population{}).first(5); none.Clients == nil || len(none.Clients) != 0 {
		t.Errorf("%+v", none)
	}
}

// A text as long as an answer, in each source, would be in every sample and seven metrics.
func TestTextsOfNTPDAreShort(t *testing.T) {
	n := newNTPD(t, "ntp-4.2.8p15")
	n.instead.Store(new(func(q mode6.Request, answer [][]byte) [][]byte {
		if q.Op != mode6.OpReadVariables || len(q.Data) > 0 {
			return answer
		}
		if q.Association == 0 {
			return [][]byte{n.text(q, "leap=0,stratum=2,refid=192.0.2.1,rootdelay=1,rootdisp=1,version=\""+strings.Repeat("v", 300)+"\"")}
		}
		return [][]byte{n.text(q, "srcadr=192.0.2.1,srchost=\""+strings.Repeat("x", 300)+"\"")}
	}))
	c := n.client()
	clock, err := c.Tracking(t.Context())
	all, failed := c.Sources(t.Context())
	if err != nil || failed != nil || len(all) == 0 {
		t.Fatal(err, failed, len(all))
	}
	if len(clock.Version) > maxShown || len(all[0].Name) > maxShown || !strings.HasPrefix(all[0].Name, "xx") {
		t.Errorf("a version of %d octets, a name of %d: %.20q", len(clock.Version), len(all[0].Name), all[0].Name)
	}
}
