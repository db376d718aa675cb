package keyexchange

import (
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/ntptsd/ntptsd/protocol/ntske"
)

// exporter is a session without TLS.
type exporter string

func (e exporter) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	sum := sha512.Sum512(fmt.Appendf(nil, "%s %s %x %d", e, label, context, length))
	return sum[:length], nil
}

func mustSettings(t testing.TB, cfg *config.Config) *settings {
	t.Helper()
	s, err := newSettings(cfg.KeyExchange, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// FuzzAnswer: whatever is asked, the answer is a message that a client understands, shorter than 2048 octets, and
// counted as what it is.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"800100020000 80040002000f 80000000",
		"800100020000 80040004001e000f 04000000 80000000",
		"800100020000 000400060010000f0011 80060001610007000204d2 80000000",
		"800100028001 80000000",
		"800100020000 80040002001f 80000000",
		"c0000000 80000000",
		"80020002000080000000",
		"800000",
	} {
		f.Add(unhex(seed), uint8(0))
		f.Add(unhex(seed), uint8(0xff))
	}
	rings := []ring{newRing(f, cookie.Native), newRing(f, cookie.Chrony), newRing(f, cookie.NTPsec)}
	f.Fuzz(func(t *testing.T, request []byte, shape uint8) {
		cfg := defaults()
		cfg.KeyExchange.LegacyGCMSIV = shape&1 != 0
		if shape&2 != 0 {
			cfg.KeyExchange.NTPServer, cfg.KeyExchange.NTPPort = strings.Repeat("a", 255), 10123
		}
		keys := rings[int(shape>>2)%len(rings)].set
		a, err := mustSettings(t, cfg).answer(request, exporter("fuzz"), keys, rand.Reader)
		if err != nil {
			t.Fatalf("own failure: %v", err)
		}
		if len(a.response) > 2047 {
			t.Fatalf("a response of %d octets", len(a.response))
		}
		r, err := ntske.ParseResponse(a.response)
		want := map[Verdict]error{
			Served: nil, NoProtocol: ntske.ErrNoProtocol, NoAEAD: ntske.ErrNoAEAD,
			Unrecognized: ntske.ErrorUnrecognized, BadRequest: ntske.ErrorBadRequest,
		}
		if expected, listed := want[a.verdict]; !listed || !errors.Is(err, expected) {
			t.Fatalf("verdict %v, but the client reads %v", a.verdict, err)
		}
		if a.verdict == Served {
			checkCookies(t, r, keys, exporter("fuzz"), r.Compliant || r.AEADs[0] != 30)
		}
	})
}

func TestTheLongestResponseFitsClients(t *testing.T) {
	cfg := defaults()
	cfg.KeyExchange.NTPServer, cfg.KeyExchange.NTPPort = strings.Repeat("a", 255), 10123
	s := mustSettings(t, cfg)
	for _, d := range []cookie.Dialect{cookie.Native, cookie.Chrony, cookie.NTPsec} {
		keys := newRing(t, d).set
		for _, id := range everyAEAD {
			if !keys.Carries(id) {
				continue
			}
			request := ntske.Request{Protocols: []uint16{ntske.NTPv4}, AEADs: everyAEAD[:0:0], Compliant: true}
			request.AEADs = append(request.AEADs, id)
			a, err := s.answer(request.AppendTo(nil), exporter(""), keys, rand.Reader)
			if err != nil || a.verdict != Served || len(a.response) > maxResponse {
				t.Errorf("%v %v: %v, %d octets, %v", d, id, a.verdict, len(a.response), err)
			}
		}
	}
}

func TestOwnFailuresAreInternalErrors(t *testing.T) {
	s, keys := mustSettings(t, defaults()), newRing(t, cookie.Native).set
	broken := iotest.ErrReader(errors.New("no randomness"))
	a, err := s.answer(chronyRequest, exporter(""), keys, broken)
	if err == nil || a.verdict != InternalError || string(a.response) != string(unhex("80020002 0002 80000000")) {
		t.Errorf("without randomness: %v %x %v", a.verdict, a.response, err)
	}
	a, err = s.answer(chronyRequest, exporter(""), nil, rand.Reader)
	if err == nil || a.verdict != InternalError {
		t.Errorf("without keys: %v %v", a.verdict, err)
	}
	a, _ = s.answer([]byte{1}, exporter(""), nil, rand.Reader)
	if a.verdict != BadRequest {
		t.Errorf("a bad request without keys: %v", a.verdict)
	}
}

func BenchmarkAnswer(b *testing.B) {
	s, keys := mustSettings(b, defaults()), newRing(b, cookie.Native).set
	b.ReportAllocs()
	for b.Loop() {
		if a, err := s.answer(chronyRequest, exporter(""), keys, rand.Reader); a.verdict != Served {
			b.Fatal(a.verdict, err)
		}
	}
}
