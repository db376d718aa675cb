package ntpq

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/mode6"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

func TestIntervals(t *testing.T) {
	for seconds, want := range map[int64][2]string{
		-5: {"-", "-"}, 0: {"-", "-"}, 1: {"1", "1"}, 2048: {"2048", "2048"}, 2049: {"34m", "34m"}, 17999: {"300m", "300m"}, 18000: {"300m", "300m"},
		18031: {"5h", "5h"}, 345599: {"96h", "96h"}, 350000: {"4d", "4d"}, 86400 * 999: {"999d", "999d"}, 86400 * 1100: {"1100d", "3y"},
		1 << 62: {"12725829d", "INF"},
	} {
		if sec, classic := interval(seconds, false), interval(seconds, true); sec != want[0] || classic != want[1] {
			t.Errorf("%d: %q %q, want %q", seconds, sec, classic, want)
		}
	}
}

func TestNumbersOfNTPsec(t *testing.T) {
	for _, c := range []struct {
		f     float64
		four  string
		three string
	}{
		{0, "  0.0000", "   0.000"}, {999.99, "999.9900", " 999.990"}, {1000, "1000.000", "1000.000"}, {10000, "10000.00", "10000.00"},
		{100000, "100000.0", "100000.0"}, {1e6, " 1000000", " 1000000"}, {12345678.9, "12345678", "12345678"}, {-0.5, " -0.5000", "  -0.500"},
		{-100, "-100.000", "-100.000"}, {-1000, "-1000.00", "-1000.00"}, {-10000, "-10000.0", "-10000.0"}, {-100000, " -100000", " -100000"},
	} {
		if four, three := f8dot4(c.f), f8dot3(c.f); four != c.four || three != c.three {
			t.Errorf("%v: %q %q, want %q %q", c.f, four, three, c.four, c.three)
		}
	}
}

func TestNumbersOfClassic(t *testing.T) {
	for _, c := range []struct {
		f             float64
		plain, signed string
	}{
		{0, "0.000", "+0.000"}, {0.0214, "0.021", "+0.021"}, {-1.5, "-1.500", "-1.500"}, {15937.5, "15937.5", "+15937."}, {-15937.5, "-15937.", "-15937."},
	} {
		if plain, with := thousandths(c.f), signed(thousandths, c.f); plain != c.plain || with != c.signed {
			t.Errorf("%v: %q %q", c.f, plain, with)
		}
	}
	v, err := mode6.ParseVariables([]byte("filtoffset= -0.00 0.00 -1.25 16000.00, offset=-0.5, frequency=1.25"))
	if want := "filtoffset=   +0.00   +0.00   -1.25 +16000., offset=-0.5,\nfrequency=+1.25\n"; err != nil || (classic{}).variables(v, noon) != want {
		t.Errorf("%q, %v", classic{}.variables(v, noon), err)
	}
}

// What a Python program makes of the same texts.
func TestValuesOfPython(t *testing.T) {
	for raw, want := range map[string]string{
		"0": "0", "-5": "-5", "0x1f": "31", "18446744073709506958": "18446744073709506958", "010": "10.0", "00": "0", "1.0": "1.0", "0.000": "0.0",
		"1e-06": "1e-06", "0.0001": "0.0001", "0.00001": "1e-05", "123456789012345678.0": "1.2345678901234568e+17", "1e15": "1000000000000000.0", "1e16": "1e+16",
		"nan": "nan", "-inf": "-inf", "0x1p-2": `"0x1p-2"`, `"ntpd"`: `"ntpd"`, `"a\b"`: `"a\\b"`, "it's": `"it"s"`, `x"y'z`: `"x"y\"z"`, "": `""`,
		"10.9.0.2": `"10.9.0.2"`, strings.Repeat("9", 65): `"` + strings.Repeat("9", 65) + `"`,
	} {
		if got := valueOf(raw).shown(); got != want {
			t.Errorf("%q: %s, want %s", raw, got, want)
		}
	}
}

func TestRatesOfNTPsec(t *testing.T) {
	text := sec{}.fields(table{all: []field{{"t", "reset:", uptime}, {"a", "a:", packets}, {"b", "b:", packets}, {"c", "c:", packets}, {"d", "d:", packets},
		{"e", "e:", number}, {"n", "n:", packets}}},
		map[string]string{"t": "90061", "a": "0", "b": "200000", "c": "3", "d": "x"}, noon)
	want := "reset:   1D 01:01:01\n" +
		"a:             0              \n" +
		"b:        200000        2.0p/s\n" +
		"c:             3    30020.0s/p\n" +
		"d:           ???              \n" +
		"e:             ?\n"
	if text != want {
		t.Errorf("\n%s\nwant\n%s", text, want)
	}
	columns := sec{}.fields(table{recent: true, all: []field{{"t", "reset:", uptime}, {"a", "a:", packets}}}, map[string]string{"t": "10", "a": "2"}, noon)
	if want := "reset:      00:00:10           ???\na:             2           ???        5.0s/p              \n"; columns != want {
		t.Errorf("\n%q\nwant\n%q", columns, want)
	}
}

func TestStatusWords(t *testing.T) {
	for _, c := range []struct {
		op         mode6.Opcode
		id, status uint16
		want       string
	}{
		{mode6.OpReadVariables, 0, 0x0000, "associd=0 status=0000 leap_none, sync_unspec, no events, unspecified,\n"},
		{mode6.OpReadVariables, 0, 0x5b2f, "associd=0 status=5b2f leap_add_sec, sync_27, 2 events, stale_leapsecond_values,\n"},
		{mode6.OpReadVariables, 9, 0x0000, "associd=9 status=0000 , sel_reject, no events,\n"},
		{mode6.OpReadVariables, 9, 0xff1b, "associd=9 status=ff1b conf, authenb, auth, reach, bcast, sel_pps.peer, 1 event, clock_event,\n"},
		{mode6.OpReadClock, 9, 0x0016, "associd=9 status=0016 1 event, clk_bad_time,\n"},
		{mode6.OpReadClock, 9, 0x000f, "associd=9 status=000f no events, clk_15,\n"},
	} {
		if got := statusLine(c.op, c.id, c.status); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// Rows of kinds that no session has.
func TestRowsOfPeers(t *testing.T) {
	row := func(to tongue, l layout, text string) string {
		v, err := mode6.ParseVariables([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return to.peer(l, peer{mode6.Association{ID: 7, Status: 0x1411}, v}, noon)
	}
	at := fmt.Sprintf("0x%08x.00000000", uint32(ntp.TimestampOf(noon)>>32)-5)
	common := ", stratum=3, hpoll=6, ppoll=10, reach=0x1f, rec=" + at + ", delay=1.5, offset=-0.25, jitter=0.5, dispersion=2.0, "
	const tail = "    5   64   37    1.500   -0.250   0.500\n"
	for _, c := range []struct {
		to         tongue
		l          layout
		text, want string
	}{
		{classic{}, peers, "srcadr=224.0.1.1, refid=GPS, hmode=5" + common, "+224.0.1.1       .GPS.            3 M" + tail},
		{classic{}, peers, "srcadr=192.0.2.255, refid=0.0.0.0, hmode=5" + common, "+192.0.2.255     0.0.0.0          3 B" + tail},
		{classic{}, peers, "srcadr=192.0.2.1, refid=, hmode=6" + common, "+192.0.2.1                        3 b" + tail},
		{classic{}, peers, "srcadr=ff05::101, refid=127.127.28.2, hmode=3" + common, "+ff05::101       SHM(2)           3 a" + tail},
		{classic{}, peers, "srcadr=2001:db8:1234:5678::1, refid=127.127.99.2, hmode=2" + common, "+2001:db8:1234:5 REFCLK(99,2)     3 S" + tail},
		{classic{}, opeers, "srcadr=192.0.2.1, dstadr=2001:db8:1234:5678::1, hmode=3" + common, "+192.0.2.1       _8:1234:5678::1  3 u    5   64   37    1.500   -0.250   2.000\n"},
		{sec{}, peers, "srcadr=192.0.2.1, refid=a.b, ntscookies=99" + common, "+192.0.2.1       a.b              3 ?    5   64   37    1.500   -0.250    0.500\n"},
		{sec{}, peers, "srcadr=192.0.2.1, refid=GPS, hmode=3, ntscookies=0" + common, "+192.0.2.1       .GPS.            3 0    5   64   37    1.500   -0.250    0.500\n"},
		{sec{}, peers, `srcadr=0.0.0.0, srchost="pool.example", refid=POOL, hmode=3`, "+pool.example    .POOL.           0 p    -    1    0        .        .        .\n"},
		{sec{}, apeers, "srcadr=192.0.2.1, refid=192.0.2.9, hmode=3" + common, "+192.0.2.1       ...      7       3 u    5   64   37    1.500   -0.250    0.500\n"},
	} {
		if got := row(c.to, c.l, c.text); got != c.want {
			t.Errorf("%T %s:\n%q, want\n%q", c.to, c.text, got, c.want)
		}
	}
}

func TestInterfacesAndRestrictionsOfClassic(t *testing.T) {
	d := aDoor(ofClassic, func(q mode6.Request) (string, error) {
		if string(q.Data) == "ifstats" {
			return `addr.3=192.0.2.1:123, bcast.3=192.0.2.255:123, en.3=1, flags.3=0x19, name.3="eth0", tl.3=1, mc.3=2, rx.3=11, tx.3=13, txerr.3=0, pc.3=2, up.3=99, xyz.3=7`, nil
		}
		return "addr.0=10.0.0.0, mask.0=255.0.255.0, hits.0=3, flags.0=noquery trap, addr.1=::1, mask.1=ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff, hits.1=4, flags.1=", nil
	})
	for word, want := range map[string]string{
		"ifstats": "  3 eth0                     .   19   1  2     11     13      0     2       99\n    192.0.2.1:123\n    192.0.2.255:123\n",
		"reslist": "         3 10.0.0.0 255.0.255.0\n           noquery trap\n         4 ::1/128\n           \n",
	} {
		if text, err := New(d).Say(t.Context(), word, nil); err != nil || !strings.HasSuffix(text, "==\n"+want) {
			t.Errorf("%s: %v\n%s", word, err, text)
		}
	}
}
