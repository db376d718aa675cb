package mode6

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestRequestsThatCannotBe(t *testing.T) {
	for name, q := range map[string]Request{
		"data":    {Data: make([]byte, MaxData+1)},
		"version": {Version: 5},
		"opcode":  {Op: 32},
		"trailer": {Data: make([]byte, MaxData), Trailer: make([]byte, 25)},
	} {
		b, err := q.AppendTo([]byte("before"))
		if !errors.Is(err, ErrRequest) || string(b) != "before" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if _, err := (Request{}).AppendSigned(nil, testKey(t), 16); !errors.Is(err, ErrRequest) {
		t.Error(err)
	}
	if b, err := (Request{Version: 9}).AppendSigned([]byte("before"), testKey(t), Align4); !errors.Is(err, ErrRequest) || string(b) != "before" {
		t.Error(string(b), err)
	}
}

func TestLongestRequest(t *testing.T) {
	b, err := Request{Data: make([]byte, MaxData)}.AppendSigned(nil, testKey(t), Align8)
	if err != nil || len(b) != MaxDatagram {
		t.Errorf("%d octets, %v", len(b), err)
	}
	if _, err := ParseRequest(b); err != nil {
		t.Error(err)
	}
}

// The zero version is the one that every daemon takes.
func TestDefaultVersion(t *testing.T) {
	b, err := Request{Op: OpReadVariables, Sequence: 7, Association: 9, Data: []byte("leap,")}.AppendTo(nil)
	want := "\x16\x02\x00\x07\x00\x00\x00\x09\x00\x00\x00\x05leap,\x00\x00\x00"
	if err != nil || string(b) != want {
		t.Errorf("%q, want %q: %v", b, want, err)
	}
}

func TestNotARequest(t *testing.T) {
	good, err := Request{Op: OpReadVariables, Data: []byte("leap,stratum")}.AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseRequest(good); err != nil {
		t.Fatal(err)
	}
	set := func(at int, value byte) func([]byte) []byte {
		return func(b []byte) []byte { b[at] = value; return b }
	}
	more := func(n int) func([]byte) []byte {
		return func(b []byte) []byte { return append(b, make([]byte, n)...) }
	}
	for name, change := range map[string]func([]byte) []byte{
		"empty":               func([]byte) []byte { return nil },
		"half a header":       func(b []byte) []byte { return b[:8] },
		"mode 3":              set(0, 2<<3|3),
		"mode 7":              set(0, 2<<3|7),
		"version 0":           set(0, 0<<3|6),
		"version 5":           set(0, 5<<3|6),
		"answer":              set(1, flagResponse|2),
		"error":               set(1, flagError|2),
		"more":                set(1, flagMore|2),
		"status":              set(5, 1),
		"offset":              set(9, 1),
		"count beyond":        set(11, 13),
		"count far beyond":    set(10, 0xff),
		"count short of data": set(11, 8), // so that the rest would be 4 octets, no MAC
		"not padded":          func(b []byte) []byte { return append(b, 0) },
		"junk of 4":           more(4),
		"junk of 16":          more(16),
		"junk of 32":          more(32),
		"data of 469":         func(b []byte) []byte { b[10], b[11] = 1, 0xd5; return append(b, make([]byte, 460)...) },
	} {
		if q, err := ParseRequest(change(bytes.Clone(good))); !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %+v, %v", name, q, err)
		}
	}
	for _, mac := range []int{20, 24, 28} {
		if _, err := ParseRequest(more(mac)(bytes.Clone(good))); err != nil {
			t.Errorf("a MAC of %d octets: %v", mac, err)
		}
	}
}

func TestEveryOpcodeHasAName(t *testing.T) {
	for o := OpUnspecified; o <= OpRequestNonce; o++ {
		if strings.HasPrefix(o.String(), "opcode") {
			t.Errorf("%d has none", o)
		}
	}
	if OpUnsetTrap.String() != "unset trap" || Opcode(13).String() != "opcode 13" || OpReadMRU.String() != "read MRU" {
		t.Error(OpUnsetTrap, Opcode(13), OpReadMRU)
	}
}

func TestErrorCodesTellWhatToDo(t *testing.T) {
	seen := make(map[string]bool)
	for c := range ErrorCode(9) {
		text := c.Error()
		if seen[text] || len(text) < 20 || !strings.Contains(text, "ntpd") {
			t.Errorf("%d: %s", c, text)
		}
		seen[text] = true
	}
	if !strings.Contains(CodePermission.Error(), "controlkey") || !strings.Contains(ErrorCode(200).Error(), "200") {
		t.Error(CodePermission, ErrorCode(200))
	}
}

// What is parsed is written again as it came, and what is written is parsed as it was.
func FuzzParseRequest(f *testing.F) {
	for _, d := range daemons(f) {
		for _, v := range d.Vectors {
			f.Add(unhex(f, v.Request.Hex))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := ParseRequest(b)
		if err != nil {
			return
		}
		again, err := q.AppendTo(nil)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x becomes %x, %v", b, again, err)
		}
		for _, a := range []Alignment{Align4, Align8} {
			k := testKey(t)
			signed, err := q.AppendSigned(nil, k, a)
			if err != nil || k.Verify(signed) != nil || len(signed) > MaxDatagram {
				t.Fatalf("%+v, signed it is %x, %v", q, signed, err)
			}
			back, err := ParseRequest(signed)
			back.Trailer = q.Trailer
			if err != nil || !reflect.DeepEqual(back, q) {
				t.Fatalf("%+v, signed it is %+v, %v", q, back, err)
			}
		}
	})
}
