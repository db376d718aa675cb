package cmdmon

import (
	"errors"
	"math"
	"net/netip"
	"strings"
	"testing"
	"testing/quick"
	"time"
)

func TestFloats(t *testing.T) {
	var file struct {
		Values []struct {
			Encode *float64
			Hex    string
			Means  float64 `json:"decodes_to"`
		}
	}
	load(t, "cmdmon-floats.json", &file)
	for _, v := range file.Values {
		r := reader{b: unhex(t, v.Hex)}
		if got := r.float(); got != v.Means {
			t.Errorf("%s is %v, want %v", v.Hex, got, v.Means)
		}
		if v.Encode == nil {
			continue
		}
		if got := parseFloat(encodeFloat(*v.Encode)); got != v.Means {
			t.Errorf("%v becomes %v, want %v", *v.Encode, got, v.Means)
		}
	}
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, 5e-324} {
		if got := parseFloat(encodeFloat(x)); math.IsNaN(got) || math.IsInf(got, 0) {
			t.Errorf("%v becomes %v", x, got)
		}
	}
}

func TestFloatsKeepSevenDigits(t *testing.T) {
	err := quick.Check(func(c int32, e int8) bool {
		x := math.Ldexp(float64(c), int(e)%16)
		return math.Abs(parseFloat(encodeFloat(x))-x) <= math.Abs(x)*1.2e-7
	}, nil)
	if err != nil {
		t.Error(err)
	}
}

// What chronyc really sent comes out of ours for the same words.
func TestRequestsOfChronyc(t *testing.T) {
	var file struct {
		Vectors []struct {
			Arguments string `json:"chronyc_arguments"`
			Number    int    `json:"request_number"`
			Command   Command
			Hex       string
		}
	}
	load(t, "cmdmon-chronyc-4.3-requests.json", &file)
	host := func(s string) Subnet { return Subnet(netip.MustParsePrefix(s)) }
	source := func(kind uint32, name string, change func(*NewSource)) NewSource {
		s, err := DefaultSource(kind, name)
		if err != nil {
			t.Fatal(err)
		}
		s.MaxUnreachable = 0 // 4.8 and later
		change(&s)
		return s
	}
	one := Address{IP: netip.MustParseAddr("10.9.1.88")}
	bodies := map[string]Body{
		"online 10.9.0.2":                     host("10.9.0.2/32"),
		"online":                              Subnet{},
		"burst 1/2":                           Measurements{Good: 1, Total: 2},
		"burst 3/5 10.9.1.88":                 Measurements{host("10.9.1.88/32"), 3, 5},
		"accheck 10.9.1.2":                    Of{IP: netip.MustParseAddr("10.9.1.2")},
		"delete 10.9.1.88":                    Of(one),
		"ntpdata 10.9.1.88":                   Of(one),
		"clients":                             Page{},
		"allow 10.8/16":                       Clientele(netip.MustParsePrefix("10.8.0.0/16")),
		"maxpoll 10.9.1.88 8":                 Poll{one, 8},
		"dump":                                Zero{},
		"local stratum 9 distance 0.5 orphan": OldLocal{On: true, Stratum: 9, Distance: 0.5, Orphan: true},
		"tracking":                            nil, "sources": nil, "serverstats": nil, "activity": nil,
	}
	matched := 0
	for _, v := range file.Vectors {
		datagram := unhex(t, v.Hex)
		body, ok := bodies[v.Arguments]
		switch {
		case v.Command == AddSource:
			r := reader{b: datagram[requestHeader:]}
			kind := r.u32()
			name, _, _ := strings.Cut(string(r.take(256)), "\x00")
			body = source(kind, name, func(s *NewSource) { readSource(&r, s) })
		case !ok:
			continue
		}
		r := reader{b: datagram[8:]}
		if got := (Request{v.Command, r.u32(), body}).AppendTo(nil); !samePadded(got, datagram) {
			t.Errorf("%s:\n%x, want\n%x", v.Arguments, got, datagram)
		}
		matched++
	}
	if matched < 17 {
		t.Errorf("only %d requests compared", matched)
	}
}

// readSource takes over what chronyc was told beside its defaults.
func readSource(r *reader, s *NewSource) {
	for _, f := range []*uint32{&s.Port} {
		*f = r.u32()
	}
	s.MinPoll, s.MaxPoll, s.PresendMinPoll = r.i32(), r.i32(), r.i32()
	s.MinStratum, s.PollTarget, s.Version, s.MaxSources = r.u32(), r.u32(), r.u32(), r.u32()
	s.MinSamples, s.MaxSamples, s.AuthKey, s.NTSPort = r.i32(), r.i32(), r.u32(), r.u32()
	s.MaxDelay, s.MaxDelayRatio, s.MaxDelayDevRatio = r.float(), r.float(), r.float()
	s.MinDelay, s.Asymmetry, s.Offset = r.float(), r.float(), r.float()
	s.Flags, s.FilterLength, s.CertSet, s.MaxDelayQuantile = r.u32(), r.i32(), r.u32(), r.float()
}

// What chronyc adds without being told is our DefaultSource.
func TestDefaultSourceIsChronycs(t *testing.T) {
	var file struct {
		Vectors []struct {
			Arguments string `json:"chronyc_arguments"`
			Command   Command
			Hex       string
		}
	}
	load(t, "cmdmon-chronyc-4.3-requests.json", &file)
	for _, v := range file.Vectors {
		if v.Arguments != "add server 10.9.1.88 iburst minpoll 4 prefer key 20" {
			continue
		}
		s, err := DefaultSource(Server, "10.9.1.88")
		if err != nil {
			t.Fatal(err)
		}
		s.Flags |= SourceIBurst | SourcePrefer
		s.MinPoll, s.AuthKey = 4, 20
		s.MaxUnreachable = 0 // 4.8 and later
		datagram := unhex(t, v.Hex)
		r := reader{b: datagram[8:]}
		if got := (Request{AddSource, r.u32(), s}).AppendTo(nil); !samePadded(got, datagram) {
			t.Errorf("%s:\n%x, want\n%x", v.Arguments, got, datagram)
		}
		return
	}
	t.Error("chronyc added no source")
}

// The packets of whole chronyc runs are all understood.
func TestSessionsOfChronyc(t *testing.T) {
	var file struct {
		Sessions []struct {
			Packets []struct{ Dir, Hex string }
		}
	}
	load(t, "cmdmon-chronyc-sessions.json", &file)
	replies := 0
	for _, s := range file.Sessions {
		var asked Request
		for _, p := range s.Packets {
			b := unhex(t, p.Hex)
			if p.Dir == "tx" {
				r := reader{b: b[4:]}
				asked.Command = Command(r.u16())
				r.u16()
				asked.Sequence = r.u32()
				continue
			}
			reply, err := ParseReply(b)
			if err != nil {
				t.Fatal(err)
			}
			var status Status
			if err := reply.Check(asked); err != nil && !errors.As(err, &status) {
				t.Errorf("%v: %v", asked.Command, err)
			}
			if m, err := decoded(reply); reply.Status == Success && reply.Type != typeNull && (m == nil || err != nil) {
				t.Errorf("%v: type %d is not read: %v", asked.Command, reply.Type, err)
			}
			replies++
		}
	}
	if replies < 50 {
		t.Errorf("only %d replies", replies)
	}
}

func TestCheck(t *testing.T) {
	q := Request{Command: Rekey, Sequence: 7}
	for _, c := range []struct {
		reply Reply
		want  error
	}{
		{Reply{Command: Rekey, Sequence: 7}, nil},
		{Reply{Command: Rekey, Sequence: 8}, ErrForeign},
		{Reply{Command: Dump, Sequence: 7}, ErrForeign},
		{Reply{Command: Rekey, Sequence: 7, Status: Unauthorised}, Unauthorised},
		{Reply{Command: Rekey, Sequence: 7, Status: AccessDenied}, nil},
	} {
		if err := c.reply.Check(q); !errors.Is(err, c.want) && err != c.want {
			t.Errorf("%+v: %v, want %v", c.reply, err, c.want)
		}
	}
	if s := Status(77).Error(); !strings.Contains(s, "77") || Status(77).Number() != 520 {
		t.Error(s)
	}
	if !strings.Contains(Unauthorised.Error(), "command socket") || Unauthorised.Number() != 501 {
		t.Error(Unauthorised)
	}
}

func TestNotAReply(t *testing.T) {
	good := Reply{Command: Rekey, Type: typeNull}.AppendTo(nil)
	for name, change := range map[string]func([]byte) []byte{
		"short":    func(b []byte) []byte { return b[:27] },
		"long":     func(b []byte) []byte { return append(b, make([]byte, MaxReply)...) },
		"version":  func(b []byte) []byte { b[0] = 5; return b },
		"request":  func(b []byte) []byte { b[1] = typeRequest; return b },
		"reserved": func(b []byte) []byte { b[3] = 1; return b },
	} {
		if _, err := ParseReply(change(append([]byte(nil), good...))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBodiesCutOffAreErrors(t *testing.T) {
	for _, typ := range []ReplyType{typeNSources, typeSourceData, typeTracking, typeSourceStats, typeActivity, typeSmoothing, typeNTPData,
		typeNTPData2, typeSourceName, typeAuthData, typeClients, typeStats2, typeStats3, typeStats4, typeSelectData, typeManualList} {
		if _, err := decoded(Reply{Type: typ, Body: []byte{0, 0}}); !errors.Is(err, ErrShort) {
			t.Errorf("type %d: %v", typ, err)
		}
	}
	if _, err := ParseRTC(Reply{Type: typeRTC, Body: []byte{0}}); !errors.Is(err, ErrShort) {
		t.Error(err)
	}
	if _, err := ParseTracking(Reply{Type: 99}); err == nil || errors.Is(err, ErrShort) {
		t.Errorf("an unknown type: %v", err)
	}
}

func TestNamesOfNewSources(t *testing.T) {
	for name, good := range map[string]bool{
		"": false, "a b": false, "a\nb": false, "a\x00": false, strings.Repeat("a", 256): false, strings.Repeat("a", 255): true, "2001:db8::1": true,
	} {
		if _, err := DefaultSource(Server, name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestTests(t *testing.T) {
	if got := (NTPData{Flags: 0x3ff}).Tests(); got != tests {
		t.Error(got)
	}
	if got := (NTPData{Flags: 1 << 9}).Tests(); got != "1" {
		t.Error(got)
	}
}

func TestEveryCommandHasAName(t *testing.T) {
	if Local3.Versions() == "" || Local2.Versions() == "" || Rekey.Versions() != "" || Rekey.OverUDP() || !TrackingCommand.OverUDP() {
		t.Error("the table of commands lost a row")
	}
	if s := Command(999).String(); s != "command 999" {
		t.Error(s)
	}
}

func FuzzParseReply(f *testing.F) {
	for _, vectors := range daemons(f) {
		for _, v := range vectors {
			if v.Reply != nil {
				f.Add(unhex(f, v.Reply.Hex))
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseReply(b)
		if err != nil {
			return
		}
		again, err := ParseReply(p.AppendTo(nil))
		if err != nil || again.Command != p.Command || again.Type != p.Type || again.Status != p.Status || string(again.Body) != string(p.Body) {
			t.Errorf("%+v, then %+v, %v", p, again, err)
		}
		if _, err := decoded(p); err == nil && p.Type == typeTracking {
			one, _ := ParseTracking(p)
			two, err := ParseTracking(one.Reply(Request{}))
			if err != nil || one != two {
				t.Errorf("%+v, then %+v, %v", one, two, err)
			}
		}
		_, _ = ParseRTC(p)
	})
}

func FuzzFloat(f *testing.F) {
	f.Add(uint32(0x04800000))
	f.Fuzz(func(t *testing.T, x uint32) {
		v := parseFloat(x)
		if math.IsNaN(v) || math.IsInf(v, 0) || parseFloat(encodeFloat(v)) != v {
			t.Errorf("%08x is %v, then %v", x, v, parseFloat(encodeFloat(v)))
		}
	})
}

func FuzzTime(f *testing.F) {
	f.Add(int64(1795384890), uint32(343537547))
	f.Fuzz(func(t *testing.T, seconds int64, nanoseconds uint32) {
		when := time.Unix(seconds, int64(nanoseconds%1e9)).UTC()
		r := reader{b: appendTime(nil, when)}
		if uint64(seconds)>>32 == noHigh || seconds == 0 {
			return
		}
		if got := r.time(); !got.Equal(when) {
			t.Errorf("%v becomes %v", when, got)
		}
	})
}

// chronyc numbers sources that do not resolve in ten decimal digits.
func TestAddressesAsChronycPrintsThem(t *testing.T) {
	for want, a := range map[string]Address{"": {}, "ID#0000000042": {ID: 42}, "ID#4294967295": {ID: math.MaxUint32},
		"2001:db8::1": {IP: netip.MustParseAddr("2001:db8::1")}} {
		if got := a.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
