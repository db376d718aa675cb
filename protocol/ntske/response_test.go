package ntske

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/aead"
)

func cookies(n, length int) (c [][]byte) {
	for i := range n {
		c = append(c, bytes.Repeat([]byte{byte(i + 1)}, length))
	}
	return c
}

func TestResponseWire(t *testing.T) {
	ntp, internal, warning := []uint16{NTPv4}, ErrorInternal, uint16(7)
	full := Response{Protocols: ntp, AEADs: []aead.ID{30}, Compliant: true, Server: "a.b", Port: 1234, Cookies: cookies(2, 4)}
	const cookie12 = "00050004 01010101 00050004 02020202 "
	for _, test := range []struct {
		name string
		r    Response
		want string
	}{
		{"everything", full, proto + "80040002 001e 04000000 80070002 04d2 80060003 612e62 " + cookie12 + end},
		{"plain", Response{Protocols: ntp, AEADs: []aead.ID{15}, Cookies: cookies(2, 4)}, proto + siv + cookie12 + end},
		{"no protocol", Response{AEADs: full.AEADs, Port: 1, Cookies: full.Cookies}, "80010000 80000000"},
		{"no AEAD", Response{Protocols: ntp, Compliant: true, Port: 1, Cookies: full.Cookies}, "80010002 0000 80040000 80000000"},
		{"error", Response{Protocols: ntp, AEADs: full.AEADs, Error: &internal}, "80020002 0002 80000000"},
		{"warning", Response{Protocols: ntp, AEADs: []aead.ID{15}, Warning: &warning}, proto + siv + "80030002 0007" + end},
	} {
		if got := test.r.AppendTo([]byte("x")); got[0] != 'x' || !bytes.Equal(got[1:], unhex(t, test.want)) {
			t.Errorf("%s: appended to %x, want %s", test.name, got[1:], test.want)
		}
	}
	if got, err := ParseResponse(full.AppendTo(nil)); err != nil || !reflect.DeepEqual(got, full) {
		t.Errorf("%+v came back as %+v, %v", full, got, err)
	}
	for code := ErrorUnrecognized; code <= 3; code++ {
		b := AppendError(nil, code)
		if want := unhex(t, "80020002 000"+string('0'+rune(code))+end); !bytes.Equal(b, want) {
			t.Errorf("%v is %x", code, b)
		}
		r, err := ParseResponse(b)
		if err != code || r.Error == nil || *r.Error != code || code.Error() == "" {
			t.Errorf("%v came back as %v", code, err)
		}
	}
}

// TestResponseFits: NTPsec's client reads a response into 2048 octets, and a name of 99. Native cookies for AEAD 15 have
// 104 octets, the longest of all have 168.
func TestResponseFits(t *testing.T) {
	for length, want := range map[int]int{104: 993, 168: 1505} {
		r := Response{Protocols: []uint16{NTPv4}, AEADs: []aead.ID{30}, Compliant: true, Server: strings.Repeat("n", 99), Port: 1234,
			Cookies: cookies(MaxCookies, length)}
		if n := len(r.AppendTo(nil)); n >= 2048 || n != want {
			t.Errorf("8 cookies of %d octets make a response of %d, want %d", length, n, want)
		}
	}
}

func TestParseResponseRefuses(t *testing.T) {
	const cookie = "00050004 01020304 "
	for _, test := range []struct {
		name, response string
		want           error // nil: accepted
	}{
		{"as it should be", proto + siv + cookie + end, nil},
		{"any order", cookie + siv + proto + end, nil},
		{"AEAD record not critical", proto + "00040002 000f" + cookie + end, nil},
		{"cookie critical", proto + siv + "80050004 01020304" + end, nil},
		{"unknown, not critical", proto + siv + uncrit + cookie + end, nil},
		{"cookie of 256 octets", proto + siv + "00050100" + strings.Repeat("61", 256) + end, nil},

		{"nothing", "", ErrTruncated},
		{"no end", proto + siv + cookie, ErrTruncated},
		{"cut off", proto + siv + "00050004 010203", ErrTruncated},
		{"end with a body", proto + siv + cookie + "80000001 00", ErrEnd},
		{"end not critical", proto + siv + cookie + "00000000", ErrEnd},
		{"data after the end", proto + siv + cookie + end + "00", ErrEnd},
		{"too long", proto + siv + strings.Repeat(cookie, 8192) + end, ErrTooLong},

		{"no protocol in common", "80010000" + end, ErrNoProtocol},
		{"no AEAD in common", proto + "80040000" + end, ErrNoAEAD},
		{"error", "80020002 0001" + end, ErrorBadRequest},
		{"unknown error", "80020002 f000" + end, ErrorCode(0xf000)},
		{"error after cookies", proto + siv + cookie + "80020002 0002" + end, ErrorInternal},
		{"error of three octets", "80020003 000100" + end, ErrResponse},
		{"error of one octet", "80020001 00" + end, ErrResponse},
		{"warning", proto + siv + cookie + "80030002 0001" + end, ErrResponse},
		{"warning of one octet", proto + siv + cookie + "80030001 01" + end, ErrResponse},

		{"no record 1", siv + cookie + end, ErrResponse},
		{"record 1 twice", proto + siv + proto + cookie + end, ErrResponse},
		{"record 1 not critical", "00010002 0000" + siv + cookie + end, ErrResponse},
		{"record 1 odd", "80010003 000000" + siv + cookie + end, ErrResponse},
		{"two protocols", "80010004 0000 8001" + siv + cookie + end, ErrResponse},
		{"another protocol", "80010002 8001" + siv + cookie + end, ErrResponse},
		{"no record 4", proto + cookie + end, ErrResponse},
		{"record 4 twice", proto + siv + siv + cookie + end, ErrResponse},
		{"record 4 odd", proto + "80040001 0f" + cookie + end, ErrResponse},
		{"two AEADs", proto + "80040004 000f 0010" + cookie + end, ErrResponse},
		{"no cookie", proto + siv + end, ErrResponse},
		{"empty cookie", proto + siv + cookie + "00050000" + end, ErrResponse},
		{"cookie of 3 octets", proto + siv + "00050003 010203" + end, ErrResponse},
		{"cookie of 260 octets", proto + siv + "00050104" + strings.Repeat("61", 260) + end, ErrResponse},
		{"server with a blank", proto + siv + cookie + "80060003 612062" + end, ErrResponse},
		{"server twice", proto + siv + cookie + "80060001 61 80060001 61" + end, ErrResponse},
		{"port 0", proto + siv + cookie + "80070002 0000" + end, ErrResponse},
		{"port twice", proto + siv + cookie + "80070002 0001 80070002 0001" + end, ErrResponse},
		{"1024 with a body", proto + siv + "04000001 61" + cookie + end, ErrResponse},
		{"unknown, critical", proto + siv + crit + cookie + end, ErrResponse},
	} {
		if _, err := ParseResponse(unhex(t, test.response)); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: error is %v, want %v", test.name, err, test.want)
		}
	}
}

func TestParseResponseKeepsEightCookies(t *testing.T) {
	r := Response{Protocols: []uint16{NTPv4}, AEADs: []aead.ID{15}, Cookies: cookies(9, 100)}
	got, err := ParseResponse(r.AppendTo(nil))
	if err != nil || !reflect.DeepEqual(got.Cookies, r.Cookies[:MaxCookies]) {
		t.Errorf("%d cookies, %v", len(got.Cookies), err)
	}
}

func FuzzParseResponse(f *testing.F) {
	for _, e := range readCaptures(f).Exchanges {
		f.Add([]byte(e.Response))
	}
	f.Add(unhex(f, proto+siv+"80060003 612e62 80070002 1234 00050004 01020304"+end))
	f.Add(unhex(f, proto+siv+"80030002 0001"+end))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseResponse(b)
		if len(r.Cookies) > MaxCookies {
			t.Fatalf("%d cookies", len(r.Cookies))
		}
		if err != nil {
			return
		}
		if len(r.Protocols) != 1 || len(r.AEADs) != 1 || len(r.Cookies) == 0 || r.Error != nil || r.Warning != nil {
			t.Fatalf("accepted %+v", r)
		}
		if again, err := ParseResponse(r.AppendTo(nil)); err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%+v came back as %+v, %v", r, again, err)
		}
	})
}
