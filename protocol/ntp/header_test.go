package ntp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Captured from chronyd 4.3: an answer, a NAK and the request of the latter; and from NTPsec 1.2.2 before its
// first synchronisation.
var headerTests = []struct {
	name, octets string
	want         Header
}{
	{
		"chronyd request",
		"230006200000000000000000000000000000000000000000000000000000000000000000000000001327d5ec409ce02a",
		Header{Version: 4, Mode: ModeClient, Poll: 6, Precision: 32, Transmit: 0x1327d5ec409ce02a},
	},
	{
		"chronyd answer",
		"240306e700000000000000007f7f0101eeade573072cc60f570beebeb7376b7beeade5746b2fcbd5eeade5746b35fb9c",
		Header{
			Version: 4, Mode: ModeServer, Stratum: 3, Poll: 6, Precision: -25,
			ReferenceID: ReferenceID{127, 127, 1, 1}, ReferenceTime: 0xeeade573072cc60f,
			Origin: 0x570beebeb7376b7b, Receive: 0xeeade5746b2fcbd5, Transmit: 0xeeade5746b35fb9c,
		},
	},
	{
		"chronyd NAK",
		"e40006e700000000000000004e54534eeeade573072cc60f1327d5ec409ce02aeeade5746c224e59eeade5746f29fff6",
		Header{
			Leap: LeapUnknown, Version: 4, Mode: ModeServer, Poll: 6, Precision: -25,
			ReferenceID: ReferenceID{'N', 'T', 'S', 'N'}, ReferenceTime: 0xeeade573072cc60f,
			Origin: 0x1327d5ec409ce02a, Receive: 0xeeade5746c224e59, Transmit: 0xeeade5746f29fff6,
		},
	},
	{
		"NTPsec answer",
		"e40006e90000000000000003494e49540000000000000000488d227a37f49b16eeade57b488d20aceeade57b489338e5",
		Header{
			Leap: LeapUnknown, Version: 4, Mode: ModeServer, Poll: 6, Precision: -23, RootDispersion: 3,
			ReferenceID: ReferenceID{'I', 'N', 'I', 'T'},
			Origin:      0x488d227a37f49b16, Receive: 0xeeade57b488d20ac, Transmit: 0xeeade57b489338e5,
		},
	},
	{
		"each field its own value",
		"9d02fc8001020304a50607080a0b0c0d1112131415161718212223242526272831323334353637384142434445464748",
		Header{
			Leap: LeapDelete, Version: 3, Mode: ModeBroadcast, Stratum: 2, Poll: -4, Precision: -128,
			RootDelay: 0x01020304, RootDispersion: 0xa5060708, ReferenceID: ReferenceID{10, 11, 12, 13},
			ReferenceTime: 0x1112131415161718, Origin: 0x2122232425262728,
			Receive: 0x3132333435363738, Transmit: 0x4142434445464748,
		},
	},
}

func TestHeaderIsReadAndWritten(t *testing.T) {
	for _, tt := range headerTests {
		octets := unhex(t, tt.octets)
		got, err := ParseHeader(octets)
		if err != nil || got != tt.want {
			t.Errorf("%s: read as\n%+v, %v, want\n%+v", tt.name, got, err, tt.want)
		}
		if b := tt.want.AppendTo([]byte("before")); !bytes.Equal(b, append([]byte("before"), octets...)) {
			t.Errorf("%s: written as %x, want %x", tt.name, b[6:], octets)
		}
	}
}

func TestHeaderNeeds48Octets(t *testing.T) {
	for n := range HeaderLen {
		if _, err := ParseHeader(make([]byte, n)); !errors.Is(err, ErrShort) {
			t.Errorf("%d octets: %v, want %v", n, err, ErrShort)
		}
	}
	if _, err := ParseHeader(make([]byte, HeaderLen)); err != nil {
		t.Error(err)
	}
}

// A value that its bits cannot hold must not spill into its neighbours.
func TestHeaderWritesFirstOctetMasked(t *testing.T) {
	h := Header{Leap: 0xff, Version: 0xf8 | 4, Mode: 0xf8 | ModeServer}
	if got := h.AppendTo(nil)[0]; got != 0xe4 {
		t.Errorf("first octet %#x, want 0xe4", got)
	}
}

func FuzzHeader(f *testing.F) {
	for _, tt := range headerTests {
		f.Add(unhex(f, tt.octets))
	}
	f.Add([]byte{0x23})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHeader(b)
		if (err != nil) != (len(b) < HeaderLen) {
			t.Fatalf("%d octets: %v", len(b), err)
		}
		if err == nil && !bytes.Equal(h.AppendTo(nil), b[:HeaderLen]) {
			t.Fatalf("%x written back as %x", b[:HeaderLen], h.AppendTo(nil))
		}
	})
}
