package ntske

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/aead"
)

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

type capturedRecord struct {
	Critical bool
	Type     RecordType
	Body     hexBytes
}

type keyPair struct{ C2S, S2C hexBytes }

// captures are what real daemons said, after TLS.
type captures struct {
	ClientRequests []struct {
		Client  string
		Request hexBytes
		Records []capturedRecord
	} `json:"client_requests"`
	Exchanges []exchange
}

type exchange struct {
	Name            string
	Request         hexBytes
	Response        hexBytes
	RequestRecords  []capturedRecord `json:"request_records"`
	ResponseRecords []capturedRecord `json:"response_records"`
	ExporterSecret  hexBytes         `json:"exporter_secret"`
	ExporterHash    string           `json:"exporter_hash"`
	AEADID          aead.ID          `json:"aead_id"`
	KeysInCookie    keyPair          `json:"keys_in_cookie"`
	RFCKeys         keyPair          `json:"rfc_keys"`
	ContextUsed     string           `json:"context_used"`
}

func readCaptures(t testing.TB) (c captures) {
	t.Helper()
	b, err := os.ReadFile("testdata/captures.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	if len(c.ClientRequests) != 5 || len(c.Exchanges) != 21 {
		t.Fatalf("%d client requests and %d exchanges", len(c.ClientRequests), len(c.Exchanges))
	}
	return c
}

// compareRecords takes a message apart, compares, and puts it together again.
func compareRecords(t *testing.T, message []byte, want []capturedRecord) {
	t.Helper()
	var again []byte
	rest := message
	for i, w := range want {
		r, next, err := NextRecord(rest)
		if err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
		if r.Critical != w.Critical || r.Type != w.Type || !bytes.Equal(r.Body, w.Body) {
			t.Errorf("record %d is %+v, want %+v", i, r, w)
		}
		again, rest = r.AppendTo(again), next
	}
	if len(rest) != 0 || !bytes.Equal(again, message) {
		t.Errorf("%x left, put together: %x, want %x", rest, again, message)
	}
}

func TestClientRequests(t *testing.T) {
	siv, both := []aead.ID{15}, []aead.ID{30, 15}
	want := map[string]Request{
		"chronyd 4.3 (Debian 12) client":                     {AEADs: siv},
		"chronyd 4.5 client (nettle 3.10.2)":                 {AEADs: both},
		"chronyd git 8f2db83 (after 4.8) client":             {AEADs: both, Compliant: true},
		"NTPsec 1.2.2 client, default aead":                  {AEADs: siv},
		"NTPsec git fa2a479 (1.2.5+23) client, default aead": {AEADs: siv},
	}
	for _, c := range readCaptures(t).ClientRequests {
		compareRecords(t, c.Request, c.Records)
		w, ok := want[c.Client]
		w.Protocols = []uint16{NTPv4}
		got, err := ParseRequest(c.Request)
		if !ok || err != nil || !reflect.DeepEqual(got, w) {
			t.Errorf("%s: parsed to %+v, %v, want %+v", c.Client, got, err, w)
		}
		again := got.AppendTo(nil)
		if strings.HasPrefix(c.Client, "NTPsec") { // leaves the AEAD record's critical bit away
			again[6] &^= 0x80
		}
		if !bytes.Equal(again, c.Request) {
			t.Errorf("%s: appended to %x, want %x", c.Client, again, c.Request)
		}
	}
}

// answer is what a server of these AEADs says, with the cookies and the port of the captured response.
func answer(request []byte, offered []aead.ID, legacy bool, captured Response) []byte {
	req, err := ParseRequest(request)
	var code ErrorCode
	if errors.As(err, &code) {
		return AppendError(nil, code)
	}
	var resp Response
	if slices.Contains(req.Protocols, NTPv4) {
		resp.Protocols = []uint16{NTPv4}
		if id, ok := req.Choose(offered, legacy); ok {
			resp.AEADs = []aead.ID{id}
			resp.Compliant = req.Compliant && id == aead.AES128GCMSIV
			resp.Port, resp.Cookies = captured.Port, captured.Cookies
		}
	}
	return resp.AppendTo(nil)
}

// TestExchanges answers each captured request and compares with what the daemon answered, byte for byte.
func TestExchanges(t *testing.T) {
	// NTPsec does what RFC 8915 does not want: it takes AEAD 15 unasked, and closes without an Error record.
	ours := map[string]string{
		"ntpsec122-aead1-only":        "80010002 0000 80040000 80000000",
		"ntpsec122-unknown-critical":  "80020002 0000 80000000",
		"ntpsechead-aead1-only":       "80010002 0000 80040000 80000000",
		"ntpsechead-unknown-critical": "80020002 0000 80000000",
	}
	for _, e := range readCaptures(t).Exchanges {
		t.Run(e.Name, func(t *testing.T) {
			compareRecords(t, e.Request, e.RequestRecords)
			compareRecords(t, e.Response, e.ResponseRecords)

			offered, legacy := []aead.ID{15, 16, 17}, false
			switch {
			case strings.HasPrefix(e.Name, "chrony43-"):
				offered = []aead.ID{15}
			case strings.HasPrefix(e.Name, "chrony48-"):
				offered, legacy = []aead.ID{15, 30}, true
			}
			captured, _ := ParseResponse(e.Response)
			want := []byte(e.Response)
			if s, ok := ours[e.Name]; ok {
				want = unhex(t, s)
			} else if strings.HasPrefix(e.Name, "ntpsec") {
				want[6] |= 0x80 // NTPsec leaves the AEAD record's critical bit away
			}
			if got := answer(e.Request, offered, legacy, captured); !bytes.Equal(got, want) {
				t.Errorf("answer is %x, want %x", got, want)
			}
		})
	}
}

func TestCapturedResponses(t *testing.T) {
	failures := map[string]error{
		"chrony43-aead30-only":         ErrNoAEAD,
		"chrony43-proto-unknown":       ErrNoProtocol,
		"chrony43-unknown-critical":    ErrorUnrecognized,
		"chrony43-bad-request-no-aead": ErrorBadRequest,
		"chrony48-1024-nonempty":       ErrorBadRequest,
		"ntpsec122-unknown-critical":   ErrTruncated, // closed without an answer
		"ntpsechead-unknown-critical":  ErrTruncated,
	}
	for _, e := range readCaptures(t).Exchanges {
		got, err := ParseResponse(e.Response)
		if want := failures[e.Name]; want != nil {
			if !errors.Is(err, want) {
				t.Errorf("%s: error is %v, want %v", e.Name, err, want)
			}
			continue
		}
		if err != nil || len(got.Cookies) != 8 || !slices.Equal(got.AEADs, []aead.ID{e.AEADID}) {
			t.Errorf("%s: %d cookies for %v, %v", e.Name, len(got.Cookies), got.AEADs, err)
		}
		if compliant := e.Name == "chrony48-aead30-1024" || e.Name == "chrony48-30,15-1024"; got.Compliant != compliant {
			t.Errorf("%s: compliant is %v", e.Name, got.Compliant)
		}
		if port := map[string]uint16{"chrony43": 0x3efb, "chrony48": 0x3f5f}[e.Name[:8]]; got.Port != port {
			t.Errorf("%s: port is %d, want %d", e.Name, got.Port, port)
		}
	}
}

// tlsExporter is the exporter of RFC 8446 section 7.5 from a session's exporter_master_secret.
type tlsExporter struct {
	secret []byte
	hash   func() hash.Hash
}

func (e tlsExporter) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	sum := func(b []byte) []byte { h := e.hash(); h.Write(b); return h.Sum(nil) }
	derived, err := e.expandLabel(e.secret, label, sum(nil), e.hash().Size())
	if err != nil {
		return nil, err
	}
	return e.expandLabel(derived, "exporter", sum(context), length)
}

func (e tlsExporter) expandLabel(secret []byte, label string, context []byte, length int) ([]byte, error) {
	info := binary.BigEndian.AppendUint16(nil, uint16(length))
	info = append(append(info, byte(len("tls13 "+label))), "tls13 "+label...)
	info = append(append(info, byte(len(context))), context...)
	return hkdf.Expand(e.hash, secret, string(info), length)
}

// TestCapturedKeys derives the keys that the daemons' cookies had inside.
func TestCapturedKeys(t *testing.T) {
	derived := 0
	for _, e := range readCaptures(t).Exchanges {
		if len(e.ExporterSecret) == 0 {
			continue
		}
		exporter := tlsExporter{e.ExporterSecret, sha512.New384}
		if e.ExporterHash == "sha256" {
			exporter.hash = sha256.New
		}
		compliant := e.ContextUsed == "rfc8915"
		for _, test := range []struct {
			compliant bool
			want      keyPair
		}{{compliant, e.KeysInCookie}, {true, e.RFCKeys}} {
			c2s, s2c, err := ExportKeys(exporter, e.AEADID, test.compliant)
			if err != nil || !bytes.Equal(c2s, test.want.C2S) || !bytes.Equal(s2c, test.want.S2C) {
				t.Errorf("%s, compliant %v: keys %x %x, %v, want %x", e.Name, test.compliant, c2s, s2c, err, test.want)
			}
		}
		derived++
	}
	if derived != 14 {
		t.Errorf("%d sessions had keys", derived)
	}
}

type recordingExporter struct {
	calls []string
	err   error
}

func (e *recordingExporter) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	e.calls = append(e.calls, fmt.Sprintf("%s %x %d", label, context, length))
	return make([]byte, length), e.err
}

// TestExporterContext has the table of RFC 8915 section 5.1, and chrony's legacy row.
func TestExporterContext(t *testing.T) {
	for _, test := range []struct {
		id        aead.ID
		compliant bool
		context   string // before the direction
	}{
		{15, false, "0000000f"}, {15, true, "0000000f"}, {16, false, "00000010"}, {17, false, "00000011"},
		{30, true, "0000001e"}, {30, false, "0000000f"},
	} {
		var e recordingExporter
		c2s, s2c, err := ExportKeys(&e, test.id, test.compliant)
		n := test.id.KeyLen()
		want := []string{
			fmt.Sprintf("EXPORTER-network-time-security %s00 %d", test.context, n),
			fmt.Sprintf("EXPORTER-network-time-security %s01 %d", test.context, n),
		}
		if err != nil || len(c2s) != n || len(s2c) != n || !slices.Equal(e.calls, want) {
			t.Errorf("%v, compliant %v: asked for %q, %v, want %q", test.id, test.compliant, e.calls, err, want)
		}
	}
	if _, _, err := ExportKeys(new(recordingExporter), 31, true); err == nil {
		t.Error("keys for an unknown AEAD")
	}
	failing := recordingExporter{err: os.ErrInvalid}
	if _, _, err := ExportKeys(&failing, 15, true); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("error of the exporter became %v", err)
	}
}
