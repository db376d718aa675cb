package timeserver

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/ntp"
	"github.com/ntptsd/ntptsd/protocol/nts"
)

// TestWhichPacketsAreAnswered has a row for each kind of packet that is known from the wild.
func TestWhichPacketsAreAnswered(t *testing.T) {
	zeros := func(n int) []byte { return make([]byte, n) }
	const unknown = 0x2001
	type row struct {
		name   string
		packet []byte
		port   uint16
		want   Verdict
	}
	rows := []row{
		{"leap 3 in a request", head(0xe3), 40000, AnsweredPlain},
		{"leap 3, version 3", head(0xdb), 40000, AnsweredPlain},
		{"nonsense in poll, stratum and precision", join([]byte{0x23, 0xff, 0x80, 0x7f}, zeros(44)), 40000, AnsweredPlain},
		{"all zero but the first octet", join([]byte{0x1b}, zeros(47)), 40000, AnsweredPlain},
		{"from port 123", version4(), 123, AnsweredPlain},
		{"from a low port", version4(), 1, AnsweredPlain},
		{"from port 0", version4(), 0, WrongSource},
		{"version 1, mode 0", head(0x08), 40000, AnsweredPlain},
		{"version 1, mode 0 from port 123", head(0x08), 123, WrongMode},
		{"version 5 probe", join(version4()[:16], []byte("NTP5NTP5"), zeros(24)), 40000, AnsweredPlain},
		{"empty", nil, 40000, Malformed},
		{"12 octets of mode 6", join([]byte{0x16}, zeros(11)), 40000, Malformed},
		{"47 octets", version4()[:47], 40000, Malformed},
		{"49 octets", join(version4(), zeros(1)), 40000, Malformed},
		{"longer than any request", join(version4(), zeros(ntp.MaxPacket)), 40000, Malformed},
		{"crypto-NAK", join(version4(), zeros(4)), 40000, WithMAC},
		{"4 octets that are no crypto-NAK", join(version4(), []byte{0, 0, 0, 1}), 40000, Malformed},
		{"MAC of 20 octets", join(version4(), []byte{0, 0, 0, 9}, zeros(16)), 40000, WithMAC},
		{"MAC of 24 octets", join(version4(), []byte{0, 0, 0, 9}, zeros(20)), 40000, WithMAC},
		{"field and MAC", join(version4(), field(unknown, 28, zeros(24)), []byte{0, 0, 0, 9}, zeros(16)), 40000, WithMAC},
		{"version 3 with trailing octets", join(head(0x1b), zeros(20)), 40000, WithMAC},
		{"version 3 with a field", join(head(0x1b), field(unknown, 28, zeros(24))), 40000, WithMAC},
		{"unknown field of 28 octets", join(version4(), field(unknown, 28, zeros(24))), 40000, AnsweredPlain},
		{"unknown fields of 16 and 28 octets", join(version4(), field(unknown, 16, zeros(12)), field(unknown, 28, zeros(24))), 40000, AnsweredPlain},
		{"last field of 16 octets", join(version4(), field(unknown, 16, zeros(12))), 40000, Malformed},
		{"last field of 24 octets", join(version4(), field(unknown, 24, zeros(20))), 40000, WithMAC}, // looks like one
		{"field length 0", join(version4(), field(unknown, 0, zeros(28))), 40000, Malformed},
		{"field length 12", join(version4(), field(unknown, 12, zeros(8)), field(unknown, 28, zeros(24))), 40000, Malformed},
		{"field length no multiple of 4", join(version4(), field(unknown, 30, zeros(28))), 40000, Malformed},
		{"field past the end", join(version4(), field(unknown, 64, zeros(28))), 40000, Malformed},
		{"200 zeros", join(version4(), zeros(200)), 40000, Malformed},
	}
	for v := byte(1); v <= 4; v++ {
		rows = append(rows, row{"client of version " + string('0'+v), head(v<<3 | 3), 40000, AnsweredPlain})
	}
	for v := byte(2); v <= 4; v++ {
		rows = append(rows, row{"mode 0 of version " + string('0'+v), head(v << 3), 40000, WrongMode})
	}
	for _, v := range []byte{0, 5, 6, 7} {
		rows = append(rows, row{"version " + string('0'+v), head(v<<3 | 3), 40000, WrongVersion})
	}
	for _, m := range []byte{1, 2, 4, 5, 6, 7} {
		rows = append(rows, row{"mode " + string('0'+m), head(4<<3 | m), 40000, WrongMode})
	}
	r := server(t, config.TimeServer{}, nil)
	for _, c := range rows {
		t.Run(c.name, func(t *testing.T) {
			answer, v := ask(r, c.packet, netip.AddrPortFrom(stranger.Addr(), c.port))
			if v != c.want {
				t.Fatalf("%v, want %v", v, c.want)
			}
			if v != AnsweredPlain {
				if len(answer) != 0 {
					t.Errorf("answered with %x", answer)
				}
				return
			}
			asked := parse(t, c.packet)
			h := parse(t, answer)
			if len(answer) != ntp.HeaderLen || h.Mode != ntp.ModeServer || h.Version != asked.Version || h.Poll != asked.Poll || h.Origin != asked.Transmit {
				t.Errorf("%d octets, %+v", len(answer), h)
			}
		})
	}
}

func TestAnswerTellsTheClock(t *testing.T) {
	r := server(t, config.TimeServer{}, nil)
	answer, _ := ask(r, version4(), stranger)
	h := parse(t, answer)
	receive, send := h.Receive, h.Transmit
	h.Receive, h.Transmit = 0, 0
	want := ntp.Header{
		Version: 4, Mode: ntp.ModeServer, Stratum: 2, Poll: 6, Precision: -24,
		RootDelay: ntp.ShortOf(10 * time.Millisecond), RootDispersion: ntp.ShortOf(2 * time.Millisecond),
		ReferenceID: ntp.ReferenceID{192, 0, 2, 1}, ReferenceTime: ntp.TimestampOf(noon.Add(-time.Minute)),
		Origin: transmit,
	}
	if h != want {
		t.Errorf("got  %+v\nwant %+v", h, want)
	}
	const noise = 60 * time.Nanosecond // 2^-24 s
	if d := receive.Time(noon).Sub(received).Abs(); d > noise {
		t.Errorf("receive timestamp off by %v", d)
	}
	if d := send.Time(noon).Sub(noon).Abs(); d > noise {
		t.Errorf("transmit timestamp off by %v", d)
	}
}

func TestUnsynchronisedClockIsNeverGoodTime(t *testing.T) {
	clock := goodClock()
	clock.state.Synchronised, clock.state.Leap = false, ntp.LeapUnknown
	keys := newKeySet(t, 1)
	r := NewResponder(&config.TimeServer{}, []Keys{fixedKeys{keys}}, clock)
	for name, request := range map[string][]byte{"plain": version4(), "nts": newClient(t, keys, 15).request(0)} {
		answer, _ := ask(r, request, stranger)
		if h := parse(t, answer); h.Leap != ntp.LeapUnknown || h.Stratum != 0 || h.ReferenceID != (ntp.ReferenceID{}) {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

func TestTimestampsOfAnAnswerDiffer(t *testing.T) {
	r := server(t, config.TimeServer{}, nil)
	clock := r.clock.(*fixedClock)
	for _, precision := range []int8{-32, -24, -6} { // no noise, usual noise, more than there may be
		clock.state.Precision = precision
		for _, at := range []time.Time{noon, noon.Add(time.Nanosecond), noon.Add(time.Second), noon.Add(-time.Hour)} {
			for range 50 {
				request := version4()
				for i := range 2 { // the second time with an origin that hits the transmit timestamp
					answer, _ := r.Respond(nil, request, stranger, at)
					h := parse(t, answer)
					if h.Transmit == 0 || h.Transmit == h.Receive || h.Transmit == h.Origin || int64(h.Transmit-h.Receive) <= 0 {
						t.Fatalf("precision %d, received %v after noon, round %d: %+v", precision, at.Sub(noon), i, h)
					}
					copy(request[40:], answer[40:48])
				}
			}
		}
	}
}

// TestClockSetBackIsToldAsItIsNow: the kernel stamped the request with a time that was taken back before the answer left.
func TestClockSetBackIsToldAsItIsNow(t *testing.T) {
	r := server(t, config.TimeServer{}, nil)
	answer, _ := r.Respond(nil, version4(), stranger, noon.Add(10*time.Second))
	h := parse(t, answer)
	if in, out := h.Receive.Time(noon).Sub(noon), h.Transmit.Time(noon).Sub(noon); in.Abs() > time.Microsecond || out.Abs() > time.Microsecond {
		t.Errorf("received %v and sent %v after the clock's time", in, out)
	}
}

func TestTimestampsAreBlurredBelowThePrecisionOnly(t *testing.T) {
	seen := map[ntp.Timestamp]bool{}
	for noise := range uint64(1 << 9) {
		seen[blur(noon, noise, -24)] = true
	}
	if len(seen) != 1<<8 {
		t.Errorf("%d values from 8 bits below the precision", len(seen))
	}
	for stamp := range seen {
		if d := stamp.Time(noon).Sub(noon); d < 0 || d > 60*time.Nanosecond {
			t.Errorf("off by %v", d)
		}
	}
}

func TestUniqueIDWithoutNTSIsEchoed(t *testing.T) {
	r := server(t, config.TimeServer{}, nil)
	id := full(nts.TypeUniqueID, []byte("0123456789abcdef0123456789abcdef"))
	answer, v := ask(r, join(version4(), id), stranger)
	if v != AnsweredPlain || string(answer[ntp.HeaderLen:]) != string(id) {
		t.Errorf("%v, %q", v, answer)
	}
}

func TestPlainCanBeRefused(t *testing.T) {
	no := false
	keys := newKeySet(t, 1)
	r := server(t, config.TimeServer{Plain: &no}, keys)
	id := full(nts.TypeUniqueID, make([]byte, 32))
	for name, request := range map[string][]byte{"plain": version4(), "unique id": join(version4(), id)} {
		if answer, v := ask(r, request, stranger); v != PlainRefused || len(answer) != 0 {
			t.Errorf("%s: %v, %x", name, v, answer)
		}
	}
	if _, v := ask(r, newClient(t, keys, 15).request(0), stranger); v != AnsweredNTS {
		t.Errorf("nts: %v", v)
	}
}

func TestDeniedPrefixGetsNothing(t *testing.T) {
	r := server(t, config.TimeServer{Deny: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, nil)
	if answer, v := ask(r, version4(), stranger); v != Denied || len(answer) != 0 {
		t.Errorf("denied: %v, %x", v, answer)
	}
	if _, v := ask(r, version4(), netip.MustParseAddrPort("198.51.100.1:5")); v != AnsweredPlain {
		t.Errorf("others: %v", v)
	}
}

// limited is a server that lets three requests pass at once.
func limited(t *testing.T, kod bool) (*Responder, *client) {
	t.Helper()
	keys := newKeySet(t, 1)
	limit := config.TimeRateLimit{RateLimit: config.RateLimit{Interval: config.Duration(200 * time.Second), Burst: 3}, Leak: 2, KoD: kod}
	return server(t, config.TimeServer{RateLimit: &limit}, keys), newClient(t, keys, 15)
}

// ask1000 counts what becomes of a burst.
func ask1000(r *Responder, request []byte) map[Verdict]int {
	got := map[Verdict]int{}
	for range 1000 {
		_, v := ask(r, request, stranger)
		got[v]++
	}
	return got
}

func TestExcessIsSilentButLeaks(t *testing.T) {
	r, c := limited(t, false)
	for name, request := range map[string][]byte{"plain": version4(), "nts": c.request(0)} {
		got := ask1000(r, request)
		answered := got[AnsweredPlain] + got[AnsweredNTS]
		// One in four of 997: 9 standard deviations to either side.
		if answered < 125 || answered > 375 || answered+got[RateLimited] != 1000 {
			t.Errorf("%s: %v", name, got)
		}
	}
	if _, v := ask(r, version4(), netip.MustParseAddrPort("198.51.100.1:5")); v != AnsweredPlain {
		t.Errorf("another network: %v", v)
	}
}

func TestRateKissGoesToPlainRequestsOnly(t *testing.T) {
	r, c := limited(t, true)
	if got := ask1000(r, version4()); got[AnsweredPlain] != 3 || got[AnsweredRate] < 125 || got[AnsweredRate]+got[RateLimited] != 997 {
		t.Errorf("plain: %v", got)
	}
	if got := ask1000(r, c.request(0)); got[AnsweredRate] != 0 || got[AnsweredNTS] < 125 {
		t.Errorf("nts: %v", got)
	}
	h := firstKiss(t, r)
	if h.Kiss() != ntp.KissRate || h.Leap != ntp.LeapUnknown || h.Origin != transmit {
		t.Errorf("%+v", h)
	}
	if h.Poll != 8 { // 2^8 s is the first interval that keeps to 200 s
		t.Errorf("poll %d", h.Poll)
	}
}

// firstKiss waits for one of the few that leak: one in four.
func firstKiss(t *testing.T, r *Responder) ntp.Header {
	t.Helper()
	for range 1000 {
		if answer, v := ask(r, version4(), stranger); v == AnsweredRate {
			return parse(t, answer)
		}
	}
	t.Fatal("no kiss")
	return ntp.Header{}
}

func TestExcessWithBadCookieGetsNothing(t *testing.T) {
	r, c := limited(t, true)
	c.cookie[0] ^= 1
	if got := ask1000(r, c.request(0)); got[AnsweredNAK] != 3 || got[RateLimited] != 997 {
		t.Errorf("%v", got)
	}
}

func TestMalformedRequestsUseUpNoRate(t *testing.T) {
	r, _ := limited(t, false)
	for range 100 {
		ask(r, head(0x26), stranger)
	}
	if _, v := ask(r, version4(), stranger); v != AnsweredPlain {
		t.Errorf("%v", v)
	}
}
