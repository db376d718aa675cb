package keyexchange

import (
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/ntptsd/ntptsd/protocol/ntske"
)

// exporter is a session without TLS.
type exporter string

func (e exporter) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	sum := sha512.Sum512(fmt.Appendf(nil, "%s %s %x %d", e, label, context, length))
	return sum[:length], nil
}

// decision is all that an answer depends on beside the question.
type decision struct {
	*settings
	board *board
	rings Rings
}

func decide(t testing.TB, cfg *config.Config, rings Rings) decision {
	t.Helper()
	targets, err := newTargets(cfg.KeyExchange)
	if err != nil {
		t.Fatal(err)
	}
	return decision{newSettings(cfg.KeyExchange, nil), newBoard(cfg.KeyExchange, targets, nil), rings}
}

func (d decision) ask(request []byte, e ntske.Exporter, nonces io.Reader) (answer, error) {
	return d.answer(question{request, netip.MustParseAddr("192.0.2.1"), e, nonces}, d.board, d.rings)
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
		keys := rings[int(shape>>2)%len(rings)]
		a, err := decide(t, cfg, keys).ask(request, exporter("fuzz"), rand.Reader)
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
			checkCookies(t, r, keys.set, exporter("fuzz"), r.Compliant || r.AEADs[0] != 30)
		}
	})
}

func TestTheLongestResponseFitsClients(t *testing.T) {
	cfg := defaults()
	cfg.KeyExchange.NTPServer, cfg.KeyExchange.NTPPort = strings.Repeat("a", 255), 10123
	for _, d := range []cookie.Dialect{cookie.Native, cookie.Chrony, cookie.NTPsec} {
		s := decide(t, cfg, newRing(t, d))
		for _, id := range s.board.places[0].aeads {
			if !d.Carries(id) {
				continue
			}
			request := ntske.Request{Protocols: []uint16{ntske.NTPv4}, AEADs: []aead.ID{id}, Compliant: true}
			a, err := s.ask(request.AppendTo(nil), exporter(""), rand.Reader)
			if err != nil || a.verdict != Served || len(a.response) > maxResponse {
				t.Errorf("%v %v: %v, %d octets, %v", d, id, a.verdict, len(a.response), err)
			}
		}
	}
}

func TestOwnFailuresAreInternalErrors(t *testing.T) {
	s := decide(t, defaults(), newRing(t, cookie.Native))
	broken := iotest.ErrReader(errors.New("no randomness"))
	a, err := s.ask(chronyRequest, exporter(""), broken)
	if err == nil || a.verdict != InternalError || string(a.response) != string(unhex("80020002 0002 80000000")) {
		t.Errorf("without randomness: %v %x %v", a.verdict, a.response, err)
	}
	s = decide(t, defaults(), ring{})
	a, err = s.ask(chronyRequest, exporter(""), rand.Reader)
	if err == nil || a.verdict != InternalError {
		t.Errorf("without keys: %v %v", a.verdict, err)
	}
	a, _ = s.ask([]byte{1}, exporter(""), rand.Reader)
	if a.verdict != BadRequest {
		t.Errorf("a bad request without keys: %v", a.verdict)
	}
}

func BenchmarkAnswer(b *testing.B) {
	s := decide(b, defaults(), newRing(b, cookie.Native))
	b.ReportAllocs()
	for b.Loop() {
		if a, err := s.ask(chronyRequest, exporter(""), rand.Reader); a.verdict != Served {
			b.Fatal(a.verdict, err)
		}
	}
}
