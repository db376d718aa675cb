package mode6

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
)

func TestNotAFragment(t *testing.T) {
	good := Fragment{Version: 2, Op: OpReadVariables, Data: []byte("leap=3")}.AppendTo(nil)
	for name, change := range map[string]func([]byte) []byte{
		"empty":        func([]byte) []byte { return nil },
		"short":        func(b []byte) []byte { return b[:headerLen-1] },
		"long":         func(b []byte) []byte { return append(b, make([]byte, MaxDatagram)...) },
		"mode":         func(b []byte) []byte { b[0] = 2<<3 | 4; return b },
		"request":      func(b []byte) []byte { b[1] &^= flagResponse; return b },
		"count":        func(b []byte) []byte { b[11] = 9; return b },
		"count of 469": func(b []byte) []byte { b[10], b[11] = 1, 0xd5; return append(b, make([]byte, 462)...) },
	} {
		if f, err := ParseFragment(change(bytes.Clone(good))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

// reply is a datagram of an answer to question.
func reply(offset int, data string, more bool, change func(*Fragment)) []byte {
	f := Fragment{Version: 2, Op: OpReadVariables, Sequence: 7, Association: 5, Status: 0x1234, Offset: uint16(offset), More: more, Data: []byte(data)}
	if change != nil {
		change(&f)
	}
	return f.AppendTo(nil)
}

func question() Request { return Request{Op: OpReadVariables, Sequence: 7, Association: 5} }

func TestForeignDatagrams(t *testing.T) {
	for name, b := range map[string][]byte{
		"sequence":    reply(0, "x", false, func(f *Fragment) { f.Sequence++ }),
		"opcode":      reply(0, "x", false, func(f *Fragment) { f.Op = OpReadClock }),
		"association": reply(0, "x", false, func(f *Fragment) { f.Association++ }),
		"error":       reply(0, "", false, func(f *Fragment) { f.Error, f.Sequence = true, 8 }),
		"a request":   {0x16, 2, 0, 7, 0, 0, 0, 5, 0, 0, 0, 0},
		"mode 3":      {0x13, 0x82, 0, 7, 0, 0, 0, 5, 0, 0, 0, 0},
		"cut off":     reply(0, "more than this", false, nil)[:20],
		"empty":       nil,
	} {
		var a Assembly
		a.Expect(question(), nil)
		if whole, err := a.Add(b); whole || !errors.Is(err, ErrForeign) {
			t.Errorf("%s: whole %v, %v", name, whole, err)
		}
		if whole, err := a.Add(reply(0, "mine", false, nil)); !whole || err != nil || string(a.Data()) != "mine" {
			t.Errorf("after %s: whole %v, %v, %q", name, whole, err, a.Data())
		}
		if whole, err := a.Add(b); !whole || !errors.Is(err, ErrForeign) {
			t.Errorf("%s, late: whole %v, %v", name, whole, err)
		}
	}
}

func TestAssembly(t *testing.T) {
	type step struct {
		datagram []byte
		want     error
	}
	restless := func(f *Fragment) { f.Status++ }
	for _, c := range []struct {
		name  string
		steps []step
		want  string // "": not whole
	}{
		{"one", []step{{reply(0, "abc", false, nil), nil}}, "abc"},
		{"backwards", []step{{reply(3, "de", false, nil), nil}, {reply(0, "abc", true, nil), nil}}, "abcde"},
		{"middle last", []step{{reply(0, "a", true, nil), nil}, {reply(2, "c", false, nil), nil}, {reply(1, "b", true, nil), nil}}, "abc"},
		{"an empty end", []step{{reply(3, "", false, nil), nil}, {reply(0, "abc", true, nil), nil}}, "abc"},
		{"twice", []step{{reply(3, "de", false, nil), nil}, {reply(3, "de", false, nil), nil}, {reply(0, "abc", true, nil), nil}, {reply(0, "abc", true, nil), nil}}, "abcde"},
		{"hole", []step{{reply(0, "ab", true, nil), nil}, {reply(3, "d", false, nil), nil}}, ""},
		{"no end", []step{{reply(0, "ab", true, nil), nil}, {reply(2, "cd", true, nil), nil}}, ""},
		{"no start", []step{{reply(1, "b", false, nil), nil}}, ""},
		{"overlap", []step{{reply(0, "abc", true, nil), nil}, {reply(2, "cd", false, nil), ErrContradiction}}, ""},
		{"within", []step{{reply(0, "abc", true, nil), nil}, {reply(1, "b", true, nil), ErrContradiction}}, ""},
		{"other data", []step{{reply(0, "abc", true, nil), nil}, {reply(0, "abd", true, nil), ErrContradiction}}, ""},
		{"other end", []step{{reply(0, "abc", true, nil), nil}, {reply(0, "abc", false, nil), ErrContradiction}}, ""},
		{"two ends", []step{{reply(1, "b", false, nil), nil}, {reply(2, "c", false, nil), ErrContradiction}}, ""},
		{"beyond the end", []step{{reply(1, "b", false, nil), nil}, {reply(2, "c", true, nil), ErrContradiction}}, ""},
		{"end before", []step{{reply(4, "e", true, nil), nil}, {reply(1, "b", false, nil), ErrContradiction}}, ""},
		{"another status", []step{{reply(0, "a", true, nil), nil}, {reply(1, "b", false, restless), ErrContradiction}}, ""},
		{"farthest", []step{{reply(65535, "x", true, nil), nil}}, ""},
		{"too far", []step{{reply(65535, "xy", true, nil), ErrTooLong}}, ""},
	} {
		var a Assembly
		a.Expect(question(), nil)
		whole := false
		for i, s := range c.steps {
			var err error
			if whole, err = a.Add(s.datagram); !errors.Is(err, s.want) {
				t.Errorf("%s %d: %v, want %v", c.name, i, err, s.want)
			}
		}
		if whole != (c.want != "") || string(a.Data()) != c.want || whole && a.Status() != 0x1234 {
			t.Errorf("%s: whole %v, %q, want %q", c.name, whole, a.Data(), c.want)
		}
	}
}

func TestAnswerOfTooManyDatagrams(t *testing.T) {
	var a Assembly
	a.Expect(question(), nil)
	for i := range MaxDatagrams {
		if _, err := a.Add(reply(2*i, "ab", true, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Add(reply(0, "ab", true, nil)); err != nil {
		t.Errorf("one more time the same: %v", err)
	}
	if _, err := a.Add(reply(2*MaxDatagrams, "ab", false, nil)); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	if cap(a.data) > 2*MaxDatagrams*MaxData {
		t.Errorf("%d octets held", cap(a.data))
	}
}

// An error is looked at before its offset, which is of some earlier answer, and is an error without a MAC too.
func TestErrorAnswers(t *testing.T) {
	stale := func(f *Fragment) { f.Error, f.Status, f.Offset = true, 0x0100, 0xffff }
	k := testKey(t)
	for _, c := range []struct {
		key       *Key
		datagram  []byte
		authentic bool
	}{
		{nil, reply(0, "", false, stale), false},
		{k, reply(0, "", false, stale), false},
		{k, append(reply(0, "", false, stale), 0, 0, 0, 0), false}, // classic, with a wrong digest
		{k, k.appendMAC(reply(0, "", false, stale), 0), true},
	} {
		var a Assembly
		a.Expect(question(), c.key)
		if whole, err := a.Add(c.datagram); whole || err != CodePermission || a.Authentic() != c.authentic {
			t.Errorf("%x: whole %v, %v, authentic %v", c.datagram, whole, err, a.Authentic())
		}
	}
}

func TestDataHasToBeAuthentic(t *testing.T) {
	k := testKey(t)
	var a Assembly
	for name, b := range map[string][]byte{
		"no MAC":      reply(0, "abcd", false, nil),
		"empty MAC":   append(reply(0, "abcd", false, nil), 0, 0, 0, 0, 0, 0, 0, 0),
		"another MAC": append(k.appendMAC(reply(0, "abcd", false, nil), 0)[:39], 0),
	} {
		a.Expect(question(), k)
		if whole, err := a.Add(b); whole || !errors.Is(err, ErrMAC) || a.Data() != nil || a.Authentic() {
			t.Errorf("%s: whole %v, %v", name, whole, err)
		}
	}
}

func FuzzParseFragment(f *testing.F) {
	for _, d := range daemons(f) {
		for _, v := range d.Vectors {
			for _, b := range v.datagrams(f) {
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		one, err := ParseFragment(b)
		if err != nil {
			return
		}
		again := one.AppendTo(nil)
		if !bytes.HasPrefix(again, b) || len(again) > aligned(len(b), 4) { // one that was not padded is
			t.Fatalf("%x becomes %x", b, again)
		}
		two, err := ParseFragment(again)
		two.Trailer = one.Trailer
		if err != nil || !reflect.DeepEqual(one, two) {
			t.Fatalf("%+v, then %+v, %v", one, two, err)
		}
	})
}

// An answer cut anywhere comes together in any order, whatever comes twice and whatever foreign stands between.
func FuzzAssembly(f *testing.F) {
	f.Add([]byte("leap=3, stratum=3\r\n"), uint64(1))
	f.Add(bytes.Repeat([]byte("x"), 5000), uint64(2))
	f.Add([]byte{}, uint64(3))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0))
		most := 1 + random.IntN(MaxData)
		if len(data) > MaxDatagrams/2*MaxData || len(data)/most >= MaxDatagrams/2 {
			t.Skip()
		}
		var datagrams [][]byte
		for at := 0; ; {
			n := min(max(most-random.IntN(1+most/2), 1), len(data)-at)
			last := at+n == len(data)
			datagrams = append(datagrams, reply(at, string(data[at:at+n]), !last, nil))
			if random.IntN(4) == 0 {
				datagrams = append(datagrams, datagrams[len(datagrams)-1], reply(at, "foreign", last, func(f *Fragment) { f.Sequence++ }))
			}
			if at += n; last {
				break
			}
		}
		random.Shuffle(len(datagrams), func(i, j int) { datagrams[i], datagrams[j] = datagrams[j], datagrams[i] })
		var a Assembly
		a.Expect(question(), nil)
		whole := false
		for _, d := range datagrams {
			var err error
			if whole, err = a.Add(d); err != nil && !errors.Is(err, ErrForeign) {
				t.Fatal(err)
			}
		}
		if !whole || !bytes.Equal(a.Data(), data) {
			t.Fatalf("whole %v, %q, want %q", whole, a.Data(), data)
		}
	})
}

// Whatever datagrams come, what is held stays within its bounds.
func FuzzAssemblyOfAnything(f *testing.F) {
	for _, d := range daemons(f) {
		for _, v := range d.Vectors {
			if v.Request.Auth == nil {
				f.Add(bytes.Join(v.datagrams(f), nil), uint16(480))
			}
		}
	}
	f.Fuzz(func(t *testing.T, all []byte, size uint16) {
		var a Assembly
		n := int(size)%MaxDatagram + 1
		if f, err := ParseFragment(all[:min(n, len(all))]); err == nil {
			a.Expect(Request{Op: f.Op, Sequence: f.Sequence, Association: f.Association}, nil)
		}
		whole, held := false, 0
		for i := 0; i < len(all); i += n {
			one := all[i:min(i+n, len(all))]
			w, err := a.Add(one)
			if whole && !w {
				t.Fatal("what was whole is no longer")
			}
			if whole = w; err == nil {
				held += len(one)
			}
		}
		if len(a.Data()) > held || len(a.pieces) > MaxDatagrams || cap(a.data) > 2*MaxDatagrams*MaxData {
			t.Fatalf("%d octets of %d, %d pieces, %d octets held", len(a.Data()), held, len(a.pieces), cap(a.data))
		}
	})
}
