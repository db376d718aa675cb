package ntske

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestNextRecordTruncated(t *testing.T) {
	whole := unhex(t, "80040004 000f001e")
	for n := range whole {
		if _, rest, err := NextRecord(whole[:n]); !errors.Is(err, ErrTruncated) || len(rest) != n {
			t.Errorf("%d octets: %v, %d left", n, err, len(rest))
		}
	}
}

func TestAppendRecordTooLong(t *testing.T) {
	longest := Record{Type: NewCookie, Body: make([]byte, 65535)}
	if r, rest, err := NextRecord(longest.AppendTo(nil)); err != nil || len(rest) != 0 || len(r.Body) != 65535 {
		t.Errorf("%d octets came back as %d and %d, %v", 65535, len(r.Body), len(rest), err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a body of 65536 octets became a record of another length")
		}
	}()
	Record{Body: make([]byte, 65536)}.AppendTo(nil)
}

func TestReadMessage(t *testing.T) {
	broken := errors.New("broken")
	request := string(unhex(t, proto+siv+end))
	inBody := string(unhex(t, "3fff0004"+end+proto+siv+end))
	long := string(unhex(t, proto+siv+"3fff0800"+strings.Repeat("61", 2048)+end))
	for _, test := range []struct {
		name string
		r    io.Reader
		max  int
		want string
		err  error
	}{
		{"at once", strings.NewReader(request), 1024, request, nil},
		{"one octet at a time", iotest.OneByteReader(strings.NewReader(request)), 1024, request, nil},
		{"with EOF", iotest.DataErrReader(strings.NewReader(request)), 1024, request, nil},
		{"end in a body", strings.NewReader(inBody), 1024, inBody, nil},
		{"exactly the limit", strings.NewReader(request), len(request), request, nil},
		{"over the limit", strings.NewReader(request), len(request) - 1, request[:len(request)-1], ErrTooLong},
		{"over the limit, one octet at a time", iotest.OneByteReader(strings.NewReader(request)), 10, request[:10], ErrTooLong},
		{"longer than a step", strings.NewReader(long), 4096, long, nil},
		{"longer than a step, halves", iotest.HalfReader(strings.NewReader(long)), 4096, long, nil},
		{"trailing octets", strings.NewReader(request + "xyz"), 1024, request + "xyz", nil},
		{"cut off", strings.NewReader(request[:13]), 1024, request[:13], ErrTruncated},
		{"nothing", strings.NewReader(""), 1024, "", ErrTruncated},
		{"no room", strings.NewReader(request), 0, "", ErrTooLong},
		{"reader fails", io.MultiReader(strings.NewReader(request[:5]), iotest.ErrReader(broken)), 1024, request[:5], broken},
		{"reader that gives nothing", emptyReader{}, 1024, "", io.ErrNoProgress},
	} {
		got, err := ReadMessage(test.r, nil, test.max)
		if string(got) != test.want || err != test.err {
			t.Errorf("%s: %q, %v, want %q, %v", test.name, got, err, test.want, test.err)
		}
	}
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

// TestReadMessageBuffer: a buffer with room is used, and not beyond max even where it is longer.
func TestReadMessageBuffer(t *testing.T) {
	request := unhex(t, proto+siv+end)
	buf := bytes.Repeat([]byte{0xee}, 64)
	got, err := ReadMessage(bytes.NewReader(append(bytes.Clone(request), "trailing octets"...)), buf, len(request)+3)
	if err != nil || &got[0] != &buf[0] || len(got) != len(request)+3 || buf[len(got)] != 0xee {
		t.Errorf("%q, %v, then %x", got, err, buf[len(got)])
	}
}

func FuzzNextRecord(f *testing.F) {
	for _, s := range []string{"", "8000", end, siv, "7fff0003 616263", "80050005 0102", proto + siv + end} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rest, again := b, []byte(nil)
		for {
			r, next, err := NextRecord(rest)
			if err != nil {
				if !errors.Is(err, ErrTruncated) || len(next) != len(rest) {
					t.Fatalf("%v, %d octets left of %d", err, len(next), len(rest))
				}
				break
			}
			if len(rest)-len(next) != 4+len(r.Body) {
				t.Fatalf("%d octets taken for a body of %d", len(rest)-len(next), len(r.Body))
			}
			again, rest = r.AppendTo(again), next
		}
		if !bytes.Equal(append(again, rest...), b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

// steps reads at most n octets at a time.
type steps struct {
	r io.Reader
	n int
}

func (s steps) Read(b []byte) (int, error) { return s.r.Read(b[:min(len(b), s.n)]) }

func FuzzReadMessage(f *testing.F) {
	f.Add(unhex(f, proto+siv+end), uint16(1024), byte(1))
	f.Add(unhex(f, proto+siv+end+"0000"), uint16(18), byte(200))
	f.Add(unhex(f, proto+siv+"3fff0800"+strings.Repeat("61", 2048)+end), uint16(4096), byte(100))
	f.Add(unhex(f, proto+siv+"3fff0800"+strings.Repeat("61", 2048)+end), uint16(600), byte(255))
	f.Fuzz(func(t *testing.T, b []byte, max uint16, step byte) {
		got, err := ReadMessage(steps{bytes.NewReader(b), int(step) + 1}, nil, int(max))
		if len(got) > int(max) || !bytes.HasPrefix(b, got) {
			t.Fatalf("read %x of %x, max %d", got, b, max)
		}
		ends := 0 // where End of Message ends in b, 0 if it does not
		for rest := b; ends == 0; {
			r, next, err := NextRecord(rest)
			if err != nil {
				break
			}
			if rest = next; r.Type == EndOfMessage {
				ends = len(b) - len(rest)
			}
		}
		want := ErrTruncated
		switch {
		case ends != 0 && ends <= int(max):
			want = nil
		case len(b) >= int(max):
			want = ErrTooLong
		}
		if err != want || err == nil && len(got) < ends {
			t.Fatalf("read %d of %d octets, %v, want %v (max %d, end at %d)", len(got), len(b), err, want, max, ends)
		}
	})
}
