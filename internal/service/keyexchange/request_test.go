package keyexchange

import (
	"bytes"
	"crypto/tls"
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

const unrecognized = "80020002 0000 80000000"

// TestRefusedRequests has a row for each way to ask what is not answered with cookies.
func TestRefusedRequests(t *testing.T) {
	const bad = "80020002 0001 80000000"
	tests := []struct {
		name, request, response string
		verdict                 Verdict
	}{
		{"no protocols", "80040002000f 80000000", bad, BadRequest},
		{"protocols twice", "800100020000 800100020000 80040002000f 80000000", bad, BadRequest},
		{"protocols not critical", "000100020000 80040002000f 80000000", bad, BadRequest},
		{"protocols empty", "80010000 80040002000f 80000000", bad, BadRequest},
		{"protocols odd", "80010003000000 80040002000f 80000000", bad, BadRequest},
		{"no AEADs", "800100020000 80000000", bad, BadRequest},
		{"AEADs twice", "800100020000 80040002000f 80040002000f 80000000", bad, BadRequest},
		{"AEADs empty", "800100020000 80040000 80000000", bad, BadRequest},
		{"AEADs odd", "800100020000 80040003000f00 80000000", bad, BadRequest},
		{"no protocol of ours", "800100028001 80040002000f 80000000", "80010000 80000000", NoProtocol},
		{"no protocol of ours and no AEADs", "800100028001 80000000", "80010000 80000000", NoProtocol},
		{"no AEAD of ours", "800100020000 80040002001f 80000000", "800100020000 80040000 80000000", NoAEAD},
		{"AEAD 30 without record 1024", "800100020000 80040002001e 80000000", "800100020000 80040000 80000000", NoAEAD},
		{"unknown critical record", "800100020000 80040002000f c0000000 80000000", unrecognized, Unrecognized},
		{"unknown critical before malformed", "c0000000 80010000 80000000", unrecognized, Unrecognized},
		{"error record", "800100020000 80040002000f 800200020001 80000000", bad, BadRequest},
		{"warning record", "800100020000 80040002000f 800300020001 80000000", bad, BadRequest},
		{"cookie record", "800100020000 80040002000f 00050004deadbeef 80000000", bad, BadRequest},
		{"record 1024 with a body", "800100020000 80040002001e 0400000100 80000000", bad, BadRequest},
		{"end not critical", "800100020000 80040002000f 00000000", bad, BadRequest},
		{"end with a body", "800100020000 80040002000f 800000020000", bad, BadRequest},
		{"end twice", "800100020000 80040002000f 80000000 80000000", bad, BadRequest},
		{"octets after the end", "800100020000 80040002000f 80000000 00", bad, BadRequest},
		{"only an end", "80000000", bad, BadRequest},
		{"no end", "800100020000 80040002000f", bad, Incomplete},
		{"record cut off", "800100020000 8004000200", bad, Incomplete},
		{"nothing", "", bad, Incomplete},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, defaults(), loopback(t))
			response, _ := f.exchange(f.dial(), unhex(test.request))
			if !bytes.Equal(response, unhex(test.response)) {
				t.Errorf("got %x, want %s", response, test.response)
			}
			f.stop(map[Verdict]int{test.verdict: 1})
		})
	}
}

func TestServedRequests(t *testing.T) {
	legacy := func(k *config.KeyExchange) { k.LegacyGCMSIV = true }
	only16 := func(k *config.KeyExchange) { k.AEADs = []uint16{16} }
	elsewhere := func(k *config.KeyExchange) { k.NTPServer, k.NTPPort = "time.example", 10123 }
	tests := []struct {
		name, request string
		change        func(*config.KeyExchange)
		dialect       cookie.Dialect
		aead          aead.ID
		echo          bool // record 1024 comes back
		compliant     bool // the keys are exported as RFC 8915 says
	}{
		{name: "chronyd 4.3", request: "800100020000 80040002000f 80000000", aead: 15, compliant: true},
		{name: "chronyd 4.5", request: "800100020000 80040004001e000f 80000000", aead: 15, compliant: true},
		{name: "chronyd 4.6.1", request: "800100020000 80040004001e000f 04000000 80000000", aead: 30, echo: true, compliant: true},
		{name: "NTPsec", request: "800100020000 00040002000f 80000000", aead: 15, compliant: true},
		{name: "ntpd-rs", request: "8001000480010000 800400040011000f 80000000", aead: 17, compliant: true},
		{name: "another order", request: "80040002000f 04000000 800100020000 80000000", aead: 15, compliant: true},
		{name: "unknown records", request: "40000003010203 800100020000 80040002000f 7fff0000 80000000", aead: 15, compliant: true},
		{name: "record 1024 critical", request: "800100020000 80040002001e 84000000 80000000", aead: 30, echo: true, compliant: true},
		{name: "a server and a port asked for", request: "800100020000 80040002000f 8006000161 80070002007b 80000000", aead: 15, compliant: true},
		{name: "legacy", request: "800100020000 80040004001e000f 80000000", change: legacy, aead: 30},
		{name: "legacy and compliant", request: "800100020000 80040004001e000f 04000000 80000000", change: legacy, aead: 30, echo: true, compliant: true},
		{name: "configured AEADs", request: "800100020000 80040006000f00100011 80000000", change: only16, aead: 16, compliant: true},
		{name: "dialect carries fewer", request: "800100020000 800400060011001e000f 04000000 80000000", dialect: cookie.NTPsec, aead: 17, compliant: true},
		{name: "dialect carries others", request: "800100020000 800400060011001e000f 04000000 80000000", dialect: cookie.Chrony, aead: 30, echo: true, compliant: true},
		{name: "another server", request: "800100020000 80040002000f 80000000", change: elsewhere, aead: 15, compliant: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := defaults()
			if test.change != nil {
				test.change(cfg.KeyExchange)
			}
			f := startWith(t, cfg, loopback(t), newRing(t, max(test.dialect, cookie.Native)))
			response, state := f.exchange(f.dial(), unhex(test.request))
			r := f.checkServed(response, state, test.compliant)
			if r.AEADs[0] != test.aead || r.Compliant != test.echo {
				t.Errorf("AEAD %v, record 1024 %v; want %v, %v", r.AEADs[0], r.Compliant, test.aead, test.echo)
			}
			if r.Server != cfg.KeyExchange.NTPServer || r.Port != cfg.KeyExchange.NTPPort {
				t.Errorf("server %q port %d", r.Server, r.Port)
			}
			f.stop(map[Verdict]int{Served: 1})
		})
	}
}

func TestWithoutKeysTheAnswerIsInternalError(t *testing.T) {
	f := startWith(t, defaults(), loopback(t), ring{})
	response, _ := f.exchange(f.dial(), chronyRequest)
	if want := unhex("80020002 0002 80000000"); !bytes.Equal(response, want) {
		t.Errorf("got %x, want %x", response, want)
	}
	f.stop(map[Verdict]int{InternalError: 1})
}

func TestTooLargeRequestsAreAnswered(t *testing.T) {
	record := append(unhex("40000400"), make([]byte, 1024)...) // unknown, not critical
	for records, want := range map[int]Verdict{3: Served, 4: TooLarge, 12: TooLarge} {
		f := start(t, defaults(), loopback(t))
		request := append(bytes.Repeat(record, records), chronyRequest...)
		response, state := f.exchange(f.dial(), request)
		if want == Served {
			f.checkServed(response, state, true)
		} else if !bytes.Equal(response, badRequest) {
			t.Errorf("%d octets: got %x", len(request), response)
		}
		f.stop(map[Verdict]int{want: 1})
	}
}

func TestARequestOfOneOctetARecordIsServed(t *testing.T) {
	f := start(t, defaults(), loopback(t))
	conn := tls.Client(f.dial(), f.clientConfig())
	defer conn.Close()
	for i := range chronyRequest {
		if _, err := conn.Write(chronyRequest[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	state := conn.ConnectionState()
	f.checkServed(readResponse(t, conn), &state, true)
	conn.Close()
	f.stop(map[Verdict]int{Served: 1})
}

// TestFramingIsBounded: a request may be long or come in single octets, but not both. Whatever crypto/tls does for a
// record, key updates above all, is bounded by the octets that come.
func TestFramingIsBounded(t *testing.T) {
	f := start(t, defaults(), loopback(t))
	conn := tls.Client(f.dial(), f.clientConfig())
	defer conn.Close()
	request := append(unhex("400104b0"), make([]byte, 1200)...) // unknown, not critical
	for _, b := range append(request, chronyRequest...) {
		if _, err := conn.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if response := readResponse(t, conn); !bytes.Equal(response, badRequest) {
		t.Errorf("got %x, want error 1", response)
	}
	conn.Close()
	f.stop(map[Verdict]int{TooLarge: 1})
}
