package ntske

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/aead"
)

// unhex reads hex with blanks.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The records that most requests are made of.
const (
	proto  = "80010002 0000 "
	siv    = "80040002 000f "
	end    = "80000000"
	crit   = "bfff0003 616263 " // unknown and critical
	uncrit = "3fff0003 616263 "
)

// accepted is no ErrorCode that ParseRequest returns.
const accepted ErrorCode = 0xffff

// TestJudgement is the table of what a server answers, RFC 8915 section 4 and chronyd's precedence.
func TestJudgement(t *testing.T) {
	for _, test := range []struct {
		name, request string
		want          ErrorCode
	}{
		{"1, 4, 0", proto + siv + end, accepted},
		{"4, 1, 0", siv + proto + end, accepted},
		{"record 4 not critical", proto + "00040002 000f " + end, accepted},

		{"no record 1", siv + end, ErrorBadRequest},
		{"record 1 twice", proto + siv + proto + end, ErrorBadRequest},
		{"record 1 not critical", "00010002 0000 " + siv + end, ErrorBadRequest},
		{"record 1 empty", "80010000 " + siv + end, ErrorBadRequest},
		{"record 1 odd", "80010003 000000 " + siv + end, ErrorBadRequest},

		{"no record 4", proto + end, ErrorBadRequest},
		{"record 4 twice", proto + siv + siv + end, ErrorBadRequest},
		{"record 4 empty", proto + "80040000 " + end, ErrorBadRequest},
		{"record 4 odd", proto + "80040001 00 " + end, ErrorBadRequest},

		{"record 1 with several ids", "80010006 8001 0000 0001 " + siv + end, accepted},
		{"record 1 without NTPv4", "80010002 8001 " + siv + end, accepted},
		{"record 1 without NTPv4, no record 4", "80010002 8001 " + end, accepted},
		{"record 1 without NTPv4, record 4 twice", "80010002 8001 " + siv + siv + end, accepted},
		{"unknown AEADs only", proto + "80040004 0001 0002 " + end, accepted},

		{"unknown, not critical", proto + uncrit + siv + end, accepted},
		{"unknown, critical", proto + siv + crit + end, ErrorUnrecognized},
		{"pool record, critical", proto + siv + "80090000 " + end, ErrorUnrecognized},
		{"pool record, not critical", proto + siv + "00080000 " + end, accepted},

		{"record 2", proto + siv + "80020002 0001 " + end, ErrorBadRequest},
		{"record 3", proto + siv + "80030002 0001 " + end, ErrorBadRequest},
		{"record 5", proto + siv + "00050004 01020304 " + end, ErrorBadRequest},

		{"record 6", proto + siv + "00060004 6e74702e " + end, accepted},
		{"record 6 critical", proto + siv + "80060004 6e74702e " + end, accepted},
		{"record 6 empty", proto + siv + "00060000 " + end, ErrorBadRequest},
		{"record 6 with a blank", proto + siv + "00060003 612062 " + end, ErrorBadRequest},
		{"record 6 with a line break", proto + siv + "00060003 610a62 " + end, ErrorBadRequest},
		{"record 6 not ASCII", proto + siv + "00060002 c3a4 " + end, ErrorBadRequest},
		{"record 6 of 255 octets", proto + siv + "000600ff" + strings.Repeat("61", 255) + end, accepted},
		{"record 6 of 256 octets", proto + siv + "00060100" + strings.Repeat("61", 256) + end, ErrorBadRequest},
		{"record 6 twice", proto + siv + "00060001 61 00060001 61 " + end, ErrorBadRequest},
		{"record 7", proto + siv + "00070002 007b " + end, accepted},
		{"record 7 critical", proto + siv + "80070002 007b " + end, accepted},
		{"record 7 of one octet", proto + siv + "00070001 7b " + end, ErrorBadRequest},
		{"record 7 of three octets", proto + siv + "00070003 007b00 " + end, ErrorBadRequest},
		{"record 7 with port 0", proto + siv + "00070002 0000 " + end, ErrorBadRequest},
		{"record 7 twice", proto + siv + "00070002 007b 00070002 007b " + end, ErrorBadRequest},

		{"1024", proto + siv + "04000000 " + end, accepted},
		{"1024 critical", proto + siv + "84000000 " + end, accepted},
		{"1024 with a body", proto + siv + "04000001 61 " + end, ErrorBadRequest},

		{"end not critical", proto + siv + "00000000", ErrorBadRequest},
		{"end with a body", proto + siv + "80000001 00", ErrorBadRequest},
		{"end twice", proto + siv + end + end, ErrorBadRequest},
		{"data after the end", proto + siv + end + "00", ErrorBadRequest},
		{"no end", proto + siv, ErrorBadRequest},
		{"cut off in a head", proto + siv + "8000 00", ErrorBadRequest},
		{"cut off in a body", proto + "80040004 000f", ErrorBadRequest},
		{"nothing", "", ErrorBadRequest},
		{"end only", end, ErrorBadRequest},

		{"unknown critical before malformed", proto + crit + "80040001 00 " + end, ErrorUnrecognized},
		{"malformed before unknown critical", proto + "80040001 00 " + crit + end, ErrorBadRequest},
		{"record 2 before unknown critical", "80020002 0001 " + crit + end, ErrorBadRequest},
		{"unknown critical, and record 1 missing", siv + crit + end, ErrorUnrecognized},
		{"unknown critical, and record 4 doubled before it", proto + siv + siv + crit + end, ErrorUnrecognized},
		{"unknown critical, then cut off", proto + crit + "8004", ErrorUnrecognized},
		{"unknown critical, then a bad end", proto + crit + "00000000", ErrorUnrecognized},
		{"too long for its lists", proto + siv + strings.Repeat("3fff7fff"+strings.Repeat("00", 0x7fff), 2) + end, ErrorBadRequest},
	} {
		req, err := ParseRequest(unhex(t, test.request))
		got := accepted
		if err != nil && !errors.As(err, &got) {
			t.Errorf("%s: error %v is no ErrorCode", test.name, err)
		}
		if got != test.want {
			t.Errorf("%s: judged %v, want %v", test.name, err, test.want)
		}
		if err != nil && !reflect.DeepEqual(req, Request{}) {
			t.Errorf("%s: a request beside the error: %+v", test.name, req)
		}
	}
}

func TestParseRequestValues(t *testing.T) {
	got, err := ParseRequest(unhex(t, "00070002 1234 80010004 8001 0000 00060003 612e62 80040004 001e 000f 04000000 "+end))
	want := Request{Protocols: []uint16{0x8001, 0}, AEADs: []aead.ID{30, 15}, Compliant: true, Server: "a.b", Port: 0x1234}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("parsed to %+v, %v, want %+v", got, err, want)
	}
	wire := unhex(t, "80010004 8001 0000 80040004 001e 000f 04000000 00070002 1234 00060003 612e62 "+end)
	if b := want.AppendTo([]byte("x")); !bytes.Equal(b[1:], wire) || b[0] != 'x' {
		t.Errorf("appended to %x, want %x", b[1:], wire)
	}
}

func TestChoose(t *testing.T) {
	all := []aead.ID{15, 16, 17, 30}
	for _, test := range []struct {
		client    []aead.ID
		compliant bool
		offered   []aead.ID
		legacy    bool
		want      aead.ID // 0: none
	}{
		{[]aead.ID{15}, false, all, false, 15},
		{[]aead.ID{17, 15}, false, all, false, 17},
		{[]aead.ID{17, 15}, false, []aead.ID{15, 16}, false, 15},
		{[]aead.ID{1, 99, 16, 15}, false, all, false, 16},
		{[]aead.ID{30, 15}, false, all, false, 15},
		{[]aead.ID{30, 15}, true, all, false, 30},
		{[]aead.ID{30, 15}, false, all, true, 30},
		{[]aead.ID{15, 30}, true, all, true, 15},
		{[]aead.ID{30, 15}, true, []aead.ID{15}, true, 15},
		{[]aead.ID{30}, false, all, false, 0},
		{[]aead.ID{1}, true, all, true, 0},
		{nil, true, all, true, 0},
		{[]aead.ID{15}, true, nil, true, 0},
	} {
		req := Request{AEADs: test.client, Compliant: test.compliant}
		if id, ok := req.Choose(test.offered, test.legacy); id != test.want || ok != (test.want != 0) {
			t.Errorf("%+v: chose %v, %v", test, id, ok)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, c := range readCaptures(f).ClientRequests {
		f.Add([]byte(c.Request))
	}
	for _, s := range []string{
		proto + siv + crit + end, proto + siv + "04000001 61" + end, proto + siv + "80000001 00", proto + siv + end + "00",
		proto + siv + "00060003 612e62 00070002 1234 04000000" + end, "80010002 8001" + siv + siv + end, "8001 00",
	} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		req, err := ParseRequest(b)
		if err != nil {
			if code, ok := err.(ErrorCode); !ok || code > ErrorBadRequest {
				t.Fatalf("error is %#v", err)
			}
			return
		}
		wire := req.AppendTo(nil)
		if len(wire) > len(b) {
			t.Fatalf("%x grew to %x", b, wire)
		}
		if again, err := ParseRequest(wire); err != nil || !reflect.DeepEqual(again, req) {
			t.Fatalf("%+v came back as %+v, %v", req, again, err)
		}
	})
}
