package ntp

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// datagram is a header of this version with octets behind it.
func datagram(version uint8, trailing ...[]byte) []byte {
	b := Header{Version: version, Mode: ModeClient}.AppendTo(nil)
	return append(b, slices.Concat(trailing...)...)
}

// field is a field of n octets in all.
func field(n int) []byte {
	return AppendField(nil, 0xf323, bytes.Repeat([]byte{0xaa}, n-FieldHeaderLen))
}

// lying is n octets that claim to be a field of another length.
func lying(n int, claimed uint16) []byte {
	b := make([]byte, n)
	b[2], b[3] = byte(claimed>>8), byte(claimed)
	return b
}

var parseTests = []struct {
	name        string
	packet      []byte
	fields, mac int
	err         error
}{
	{"no octets", nil, 0, 0, ErrShort},
	{"control packet of 12 octets", datagram(2)[:12], 0, 0, ErrShort},
	{"47 octets", datagram(4)[:47], 0, 0, ErrShort},
	{"version 1", datagram(1), 0, 0, nil},
	{"version 2", datagram(2), 0, 0, nil},
	{"version 3", datagram(3), 0, 0, nil},
	{"version 4", datagram(4), 0, 0, nil},
	{"version 0", datagram(0), 0, 0, ErrVersion},
	{"version 5", datagram(5), 0, 0, ErrVersion},
	{"version 6", datagram(6), 0, 0, ErrVersion},
	{"version 7", datagram(7), 0, 0, ErrVersion},
	{"49 octets", datagram(4, make([]byte, 1)), 0, 0, ErrUnaligned},
	{"version 3, 66 octets", datagram(3, make([]byte, 18)), 0, 0, ErrUnaligned},
	{"crypto-NAK", datagram(4, make([]byte, 4)), 0, 4, nil},
	{"4 octets that are no crypto-NAK", datagram(4, []byte{0, 0, 0, 1}), 0, 0, ErrTrailer},
	{"8 octets", datagram(4, make([]byte, 8)), 0, 0, ErrTrailer},
	{"field of 12", datagram(4, field(12)), 0, 0, ErrTrailer},
	{"field of 16 at the end", datagram(4, field(16)), 0, 0, ErrTrailer},
	{"MAC of 20, or a field", datagram(4, field(20)), 0, 20, nil},
	{"MAC of 24, or a field", datagram(4, field(24)), 0, 24, nil},
	{"field of 28", datagram(4, field(28)), 28, 0, nil},
	{"fields of 16 and 28", datagram(4, field(16), field(28)), 44, 0, nil},
	{"fields of 28 and 16", datagram(4, field(28), field(16)), 0, 0, ErrTrailer},
	{"field of 12 before another", datagram(4, field(12), field(28)), 0, 0, ErrField},
	{"field of 16 and crypto-NAK", datagram(4, field(16), make([]byte, 4)), 0, 20, nil},
	{"field of 28 and crypto-NAK", datagram(4, field(28), make([]byte, 4)), 28, 4, nil},
	{"field of 28 and MAC of 20", datagram(4, field(28), make([]byte, 20)), 28, 20, nil},
	{"field of 16 and MAC of 24", datagram(4, field(16), make([]byte, 24)), 16, 24, nil},
	{"field of 28 and 12 octets", datagram(4, field(28), make([]byte, 12)), 0, 0, ErrTrailer},
	{"length 0", datagram(4, lying(28, 0)), 0, 0, ErrField},
	{"length 3", datagram(4, lying(28, 3)), 0, 0, ErrField},
	{"length not a multiple of 4", datagram(4, lying(32, 30)), 0, 0, ErrField},
	{"length past the end", datagram(4, lying(28, 32)), 0, 0, ErrField},
	{"length 65535", datagram(4, lying(28, 0xffff)), 0, 0, ErrField},
	{"length 65532", datagram(4, lying(28, 0xfffc)), 0, 0, ErrField},
	{"200 zeros", datagram(4, make([]byte, 200)), 0, 0, ErrField},
	{"200 zeros, version 3", datagram(3, make([]byte, 200)), 0, 200, nil},
	{"field, version 3", datagram(3, field(28)), 0, 28, nil},
	{"longest", datagram(4, field(MaxPacket-HeaderLen)), MaxPacket - HeaderLen, 0, nil},
	{"too long", datagram(4, field(MaxPacket-HeaderLen+4)), 0, 0, ErrLong},
}

func TestParseCutsByLengthAlone(t *testing.T) {
	for _, tt := range parseTests {
		p, err := Parse(tt.packet)
		if !errors.Is(err, tt.err) || len(p.Fields) != tt.fields || len(p.MAC) != tt.mac {
			t.Errorf("%s: %d octets of fields, %d of MAC, %v; want %d, %d, %v",
				tt.name, len(p.Fields), len(p.MAC), err, tt.fields, tt.mac, tt.err)
		}
	}
}

func TestNextField(t *testing.T) {
	for _, tt := range []struct {
		name   string
		octets []byte
		body   []byte
		rest   []byte
		err    error
	}{
		{"nothing but a header", []byte{1, 4, 0, 4}, []byte{}, []byte{}, nil},
		{"one after another", []byte{1, 4, 0, 8, 1, 2, 3, 4, 9}, []byte{1, 2, 3, 4}, []byte{9}, nil},
		{"none", nil, nil, nil, ErrField},
		{"half a header", []byte{1, 4, 0}, nil, nil, ErrField},
		{"length 0", []byte{1, 4, 0, 0}, nil, nil, ErrField},
		{"length below its header", []byte{1, 4, 0, 3}, nil, nil, ErrField},
		{"length not a multiple of 4", []byte{1, 4, 0, 6, 1, 2, 3, 4}, nil, nil, ErrField},
		{"past the end", []byte{1, 4, 0, 12, 1, 2, 3, 4}, nil, nil, ErrField},
	} {
		f, rest, err := NextField(tt.octets)
		if !errors.Is(err, tt.err) || !bytes.Equal(f.Body, tt.body) || !bytes.Equal(rest, tt.rest) {
			t.Errorf("%s: body %x, rest %x, %v", tt.name, f.Body, rest, err)
		}
		if err == nil && f.Type != 0x0104 {
			t.Errorf("%s: type %#x", tt.name, f.Type)
		}
	}
}

func TestAppendFieldPads(t *testing.T) {
	for body, want := range map[string]string{
		"":      "\x02\x04\x00\x04",
		"1234":  "\x02\x04\x00\x081234",
		"12345": "\x02\x04\x00\x0c12345\x00\x00\x00",
	} {
		// Padding must be zero even where old octets lie behind the slice.
		dirty := bytes.Repeat([]byte{0xee}, 64)[:0]
		if got := AppendField(dirty, 0x0204, []byte(body)); string(got) != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
	if got := AppendField(nil, 1, make([]byte, maxFieldBody)); len(got) != 0xfffc || got[2] != 0xff || got[3] != 0xfc {
		t.Errorf("longest body: %d octets, length %x", len(got), got[2:4])
	}
	defer func() {
		if recover() == nil {
			t.Error("a body whose length does not fit was written")
		}
	}()
	AppendField(nil, 1, make([]byte, maxFieldBody+1))
}

// What Parse yields is the packet and nothing else, and the fields are what AppendField would have made of them.
func FuzzParse(f *testing.F) {
	for _, tt := range parseTests {
		f.Add(tt.packet)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		if !bytes.Equal(slices.Concat(p.Header.AppendTo(nil), p.Fields, p.MAC), b) {
			t.Fatal("header, fields and MAC are not the packet")
		}
		if p.Version < 4 && len(p.Fields) != 0 {
			t.Fatalf("version %d with fields", p.Version)
		}
		if n := len(p.MAC); p.Version == 4 && !slices.Contains([]int{0, 4, 20, 24}, n) {
			t.Fatalf("MAC of %d octets", n)
		}
		var again []byte
		for rest := p.Fields; len(rest) > 0; {
			var fd Field
			if fd, rest, err = NextField(rest); err != nil {
				t.Fatalf("fields that were checked: %v", err)
			}
			at := len(p.Fields) - len(rest) - len(fd.Body)
			if len(fd.Body) < MinFieldLen-FieldHeaderLen || &fd.Body[0] != &b[HeaderLen+at] || cap(fd.Body) != len(fd.Body) {
				t.Fatalf("field of %d octets at %d does not lie in the packet", len(fd.Body), at)
			}
			again = AppendField(again, fd.Type, fd.Body)
		}
		if !bytes.Equal(again, p.Fields) {
			t.Fatalf("fields %x written back as %x", p.Fields, again)
		}
	})
}

func FuzzNextField(f *testing.F) {
	f.Add([]byte{1, 4, 0, 4})
	f.Add([]byte{3, 4, 0, 8, 0, 0, 0, 0, 1, 2})
	f.Add([]byte{3, 4, 0xff, 0xfc, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		fd, rest, err := NextField(b)
		if err == nil && !bytes.Equal(append(AppendField(nil, fd.Type, fd.Body), rest...), b) {
			t.Fatalf("%x is not field and rest", b)
		}
	})
}
