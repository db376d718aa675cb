package nts

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

type responseTest struct {
	name    string
	packet  []byte
	cookies int
	nak     bool
	err     error
}

func responseTests(t testing.TB) []responseTest {
	key := testKey(t, aead.AESSIVCMAC256)
	server := header(4, ntp.ModeServer)
	kiss := func(k ntp.Kiss) []byte {
		h, err := ntp.ParseHeader(server)
		if err != nil {
			t.Fatal(err)
		}
		h.SetKiss(k)
		return h.AppendTo(nil)
	}
	holding := func(inner []byte, parts ...[]byte) []byte { return seal(key, 16, inner, 0, slices.Concat(parts...)) }
	ordinary := holding(cookie, server, uniqueID)
	damaged := bytes.Clone(ordinary)
	damaged[20] ^= 1
	return []responseTest{
		{"one cookie", ordinary, 1, false, nil},
		{"eight cookies", holding(bytes.Repeat(cookie, 8), server, uniqueID), 8, false, nil},
		{"nine cookies", holding(bytes.Repeat(cookie, 9), server, uniqueID), 8, false, nil},
		{"no cookie", holding(nil, server, uniqueID), 0, false, nil},
		{"unknown encrypted field", holding(slices.Concat(unknown, cookie), server, uniqueID), 1, false, nil},
		{"cookie in the clear", holding(nil, server, uniqueID, cookie), 0, false, nil},
		{"unknown field", holding(cookie, server, unknown, uniqueID), 1, false, nil},
		{"authentic kiss", holding(nil, kiss(ntp.KissRate), uniqueID), 0, false, nil},
		{"NAK", slices.Concat(kiss(ntp.KissNTSN), uniqueID), 0, true, nil},
		{"NAK without unique id", kiss(ntp.KissNTSN), 0, false, ErrNoUniqueID},
		{"other kiss", slices.Concat(kiss(ntp.KissRate), uniqueID), 0, false, ErrNoAuthenticator},
		{"plain answer with unique id", slices.Concat(server, uniqueID), 0, false, ErrNoAuthenticator},
		{"plain answer", server, 0, false, ErrNoUniqueID},
		{"no unique id", holding(cookie, server), 0, false, ErrNoUniqueID},
		{"two unique ids", holding(cookie, server, uniqueID, uniqueID), 0, false, ErrRepeated},
		{"field after the authenticator", slices.Concat(ordinary, unknown), 0, false, ErrAfterAuthenticator},
		{"header damaged", damaged, 0, false, ErrOpen},
		{"encrypted octets are no fields", holding(make([]byte, 8), server, uniqueID), 0, false, ErrPlaintext},
		{"mode 3", holding(cookie, header(4, ntp.ModeClient), uniqueID), 0, false, ErrMode},
		{"version 3", holding(cookie, header(3, ntp.ModeServer), uniqueID), 0, false, ErrVersion},
		{"cut off", ordinary[:40], 0, false, ntp.ErrShort},
	}
}

func TestResponseRules(t *testing.T) {
	key := testKey(t, aead.AESSIVCMAC256)
	for _, tt := range responseTests(t) {
		r, err := ParseResponse(tt.packet, key)
		if len(r.Cookies) != tt.cookies || r.NAK != tt.nak || !errors.Is(err, tt.err) {
			t.Errorf("%s: %d cookies, NAK %v, %v; want %d, %v, %v",
				tt.name, len(r.Cookies), r.NAK, err, tt.cookies, tt.nak, tt.err)
		}
		if err == nil && !bytes.Equal(r.UniqueID, uniqueID[4:]) {
			t.Errorf("%s: unique id %x", tt.name, r.UniqueID)
		}
		for _, c := range r.Cookies {
			if !bytes.Equal(c, cookie[4:]) {
				t.Errorf("%s: cookie %x", tt.name, c)
			}
		}
	}
}

func TestAuthenticatorPadsToLength(t *testing.T) {
	key := testKey(t, aead.AESSIVCMAC256)
	packet := slices.Concat(header(4, ntp.ModeServer), uniqueID)
	shortest := len(packet) + 8 + 16 + 16
	for padTo, want := range map[int]int{
		0: shortest, shortest - 4: shortest, shortest: shortest, shortest + 3: shortest, shortest + 4: shortest + 4,
		shortest + 103: shortest + 100, ntp.MaxPacket: ntp.MaxPacket,
	} {
		// Old octets behind the packet must not come through as padding.
		dirty := append(bytes.Repeat([]byte{0xee}, 2*ntp.MaxPacket)[:0], packet...)
		got := AppendAuthenticator(dirty, key, make([]byte, 16), nil, padTo)
		if len(got) != want {
			t.Errorf("to %d: %d octets, want %d", padTo, len(got), want)
			continue
		}
		if len(bytes.Trim(got[shortest:], "\x00")) != 0 {
			t.Errorf("to %d: padding %x", padTo, got[shortest:])
		}
		if _, err := ParseResponse(got, key); err != nil {
			t.Errorf("to %d: %v", padTo, err)
		}
	}
}

func TestNAKIsShorterThanAnyRequest(t *testing.T) {
	answer := ntp.Header{Version: 4, Mode: ntp.ModeServer, Stratum: 2, Poll: 6, Origin: 99, Receive: 100, Transmit: 101}
	id := bytes.Repeat([]byte{7}, UniqueIDLen)
	nak := AppendNAK(nil, answer, id)
	got, err := ParseResponse(nak, testKey(t, aead.AESSIVCMAC256))
	if err != nil || !got.NAK || !bytes.Equal(got.UniqueID, id) || len(nak) != 84 {
		t.Errorf("%d octets, %+v, %v", len(nak), got, err)
	}
	want := answer
	want.Leap, want.Stratum, want.ReferenceID = ntp.LeapUnknown, 0, ntp.ReferenceID{'N', 'T', 'S', 'N'}
	if h, err := ntp.ParseHeader(nak); h != want || err != nil {
		t.Errorf("header %+v, %v, want %+v", h, err, want)
	}
}
