package tunnel

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ntptsd/ntptsd/protocol/cmdmon"
	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// The bytes as they are drawn.
func TestFrameOnTheWire(t *testing.T) {
	for want, datagram := range map[string][]byte{
		"000116": {0x16},
		"000c" + "160c0001" + "00000000" + "00000000":   {0x16, 0x0c, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0},
		"0008" + hex.EncodeToString([]byte("AUTH abc")): AppendGreeting(nil, "abc"),
		"0005" + hex.EncodeToString([]byte("AUTH ")):    AppendGreeting(nil, ""),
		"0002" + hex.EncodeToString([]byte("OK")):       AppendAnswer(nil, ""),
		"0006" + hex.EncodeToString([]byte("NO why")):   AppendAnswer(nil, "why"),
	} {
		b, err := AppendFrame([]byte("x"), datagram)
		if err != nil || hex.EncodeToString(b[1:]) != want {
			t.Errorf("%x becomes %x, want %s: %v", datagram, b[1:], want, err)
		}
	}
	for _, n := range []int{0, MaxDatagram + 1, 1<<16 + 1} {
		if b, err := AppendFrame([]byte("x"), make([]byte, n)); !errors.Is(err, ErrLength) || string(b) != "x" {
			t.Errorf("%d octets: %x, %v", n, b, err)
		}
	}
}

func TestReadFrame(t *testing.T) {
	longest := append([]byte{4, 0}, make([]byte, 1024)...)
	for name, c := range map[string]struct {
		stream []byte
		octets int
		err    error
	}{
		"nothing":         {nil, 0, io.EOF},
		"half a length":   {[]byte{0}, 0, io.ErrUnexpectedEOF},
		"no datagram":     {[]byte{0, 1}, 0, io.ErrUnexpectedEOF},
		"half a datagram": {[]byte{0, 2, 1}, 0, io.ErrUnexpectedEOF},
		"one octet":       {[]byte{0, 1, 7}, 1, nil},
		"1024":            {longest, 1024, nil},
		"0":               {[]byte{0, 0, 1}, 0, ErrLength},
		"1025":            {append([]byte{4, 1}, longest...), 0, ErrLength},
		"65535":           {append([]byte{0xff, 0xff}, longest...), 0, ErrLength},
	} {
		for how, r := range map[string]io.Reader{"whole": bytes.NewReader(c.stream), "by octets": iotest.OneByteReader(bytes.NewReader(c.stream))} {
			b, err := ReadFrame(r, make([]byte, MaxDatagram))
			if !errors.Is(err, c.err) || len(b) != c.octets || c.octets > 0 && !bytes.Equal(b, c.stream[2:]) {
				t.Errorf("%s, %s: %x, %v", name, how, b, err)
			}
		}
	}
	if _, err := ReadFrame(bytes.NewReader(longest), make([]byte, 100)); !errors.Is(err, ErrLength) {
		t.Errorf("room for 100: %v", err)
	}
}

// No datagram is taken for a greeting, and no greeting for a datagram.
func TestGreetingsAreNoDatagrams(t *testing.T) {
	for _, token := range []string{"", "ntptsd_1234", strings.Repeat("x", MaxToken)} {
		b := AppendGreeting(nil, token)
		if got, ok := ParseGreeting(b); !ok || got != token {
			t.Errorf("%q: %q, %v", token, got, ok)
		}
		if _, err := mode6.ParseRequest(b); err == nil {
			t.Errorf("%q is a request of mode 6", b)
		}
		if _, err := cmdmon.ParseRequest(b); err == nil {
			t.Errorf("%q is a request to chronyd", b)
		}
	}
	for _, b := range []string{"", "AUTH", "auth x", " AUTH x", "AUTH\tx", "AUTH " + strings.Repeat("x", MaxToken+1), "OK"} {
		if token, ok := ParseGreeting([]byte(b)); ok {
			t.Errorf("%q: %q", b, token)
		}
	}
}

func TestAnswersToGreetings(t *testing.T) {
	if err := ParseAnswer(AppendAnswer(nil, "")); err != nil {
		t.Error(err)
	}
	long := strings.Repeat("y", MaxReason+9)
	for _, against := range []string{"the token has ended", long} {
		if r, ok := errors.AsType[*Refusal](ParseAnswer(AppendAnswer(nil, against))); !ok || r.Error() != against[:min(len(against), MaxReason)] {
			t.Errorf("%q: %v", against, r)
		}
	}
	for _, b := range []string{"", "OK ", "ok", "NO", "NO ", "NOT", "HTTP/1.1 400 Bad Request", "NO " + long} {
		if err := ParseAnswer([]byte(b)); !errors.Is(err, ErrGreeting) {
			t.Errorf("%q: %v", b, err)
		}
	}
}

// What is read off a stream is written again as it came, and never goes beyond the bound.
func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{0, 1, 7, 0, 2, 8, 9})
	f.Add([]byte{0, 0})
	f.Add([]byte{0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, stream []byte) {
		r, room, again := bytes.NewReader(stream), make([]byte, MaxDatagram), []byte{}
		for {
			b, err := ReadFrame(r, room)
			if err != nil {
				break
			}
			if again, err = AppendFrame(again, b); err != nil {
				t.Fatal(err)
			}
			if token, ok := ParseGreeting(b); ok && string(AppendGreeting(nil, token)) != string(b) {
				t.Fatalf("%q has the token %q", b, token)
			}
			if r, ok := errors.AsType[*Refusal](ParseAnswer(b)); ok && string(AppendAnswer(nil, r.Reason)) != string(b) {
				t.Fatalf("%q has the reason %q", b, r.Reason)
			}
		}
		if !bytes.HasPrefix(stream, again) {
			t.Fatalf("%x became %x", stream, again)
		}
	})
}
