package mode6

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// What a configuration line became of real daemons is read as what it says.
func TestVerdictsOfRealDaemons(t *testing.T) {
	verdicts := make(map[string]int)
	for _, d := range daemons(t) {
		for _, v := range d.Vectors {
			if Opcode(v.Request.Op) != OpConfigure || v.Text == nil || len(v.Responses) == 0 || v.Responses[0].Code != nil {
				continue
			}
			err := ParseVerdict([]byte(*v.Text))
			if taken := strings.HasPrefix(*v.Text, "Config Succeeded"); taken != (err == nil) {
				t.Errorf("%s %s: %q is %v", d.name, v.Name, *v.Text, err)
			}
			if err == nil {
				verdicts["taken"]++
				continue
			}
			if _, ok := errors.AsType[Refusal](err); !ok || !strings.Contains(err.Error(), "ntpd refuses the line: ") || strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("%s %s: %v", d.name, v.Name, err)
			}
			verdicts["refused"]++
		}
	}
	if verdicts["taken"] < 30 || verdicts["refused"] < 6 {
		t.Errorf("%v", verdicts)
	}
}

// The line that a real daemon took is what we send for it, but for the width of its first blank.
func TestLinesOfRealRequests(t *testing.T) {
	compared := 0
	for _, d := range daemons(t) {
		for _, v := range d.Vectors {
			a := v.Request.Auth
			if !strings.HasPrefix(v.Name, "cfg_") || a == nil || strings.Contains(v.Request.Data, "\n") {
				continue
			}
			q, err := Configure(v.Request.Data)
			if err != nil {
				t.Errorf("%s %s: %v", d.name, v.Name, err)
				continue
			}
			secret, _ := hex.DecodeString(a.Hex)
			alg, err := ParseAlgorithm(a.Type)
			if err != nil {
				t.Fatal(err)
			}
			k, err := NewKey(a.ID, alg, secret)
			if err != nil {
				t.Fatal(err)
			}
			q.Sequence, q.Version = v.Request.Sequence, v.Request.Version
			want, err := ParseRequest(unhex(t, v.Request.Hex))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(strings.Fields(string(q.Data)), " "); got != string(want.Data) {
				t.Errorf("%s %s: %q, want %q", d.name, v.Name, got, want.Data)
			}
			// A daemon of either kind finds the MAC: nothing moves when it looks elsewhere.
			four, err := q.AppendSigned(nil, k, Align4)
			eight, err8 := q.AppendSigned(nil, k, Align8)
			if err != nil || err8 != nil || string(four) != string(eight) || k.Verify(four) != nil {
				t.Errorf("%s %s: %x, %x, %v, %v", d.name, v.Name, four, eight, err, err8)
			}
			compared++
		}
	}
	if compared < 30 {
		t.Errorf("%d requests compared", compared)
	}
}

func TestWhatIsNoLine(t *testing.T) {
	for _, line := range []string{"", " ", "server a\nserver b", "server a\x00", "server \xc3\xa4", "server a # b", "\tserver a", " server a", "server a ", "server",
		"a " + strings.Repeat("a", maxLine-1)} {
		if q, err := Configure(line); !errors.Is(err, ErrLine) {
			t.Errorf("%q: %q, %v", line, q.Data, err)
		}
	}
	if q, err := Configure("a " + strings.Repeat("a", maxLine-2)); err != nil || len(q.Data) > MaxData {
		t.Errorf("%d octets, %v", len(q.Data), err)
	}
}

func TestRefusalsAreShort(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "ntpd refuses the line: it does not say why",
		"Config Succeeded \r\n":           "",
		"config succeeded":                "ntpd refuses the line: config succeeded",
		"\x1b[2Jno\x00\r\nserver evil":    "ntpd refuses the line: [2Jno  server evil",
		strings.Repeat("x", 468) + "\r\n": "ntpd refuses the line: " + strings.Repeat("x", 200),
	} {
		got := ""
		if err := ParseVerdict([]byte(text)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// Whatever is taken as a line is one that both kinds of daemons authenticate, and nothing else than the line and blanks.
func FuzzConfigure(f *testing.F) {
	f.Add("server 192.0.2.1 iburst", []byte("Config Succeeded\r\n"))
	f.Fuzz(func(t *testing.T, line string, answer []byte) {
		if err := ParseVerdict(answer); err != nil {
			if text := fmt.Sprint(err); len(text) > 300 || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' }) {
				t.Fatalf("%q", text)
			}
		}
		q, err := Configure(line)
		if err != nil {
			return
		}
		k := testKey(t)
		four, err := q.AppendSigned(nil, k, Align4)
		eight, err8 := q.AppendSigned(nil, k, Align8)
		if err != nil || err8 != nil || string(four) != string(eight) || len(four) > MaxDatagram {
			t.Fatalf("%x, %x: %v, %v", four, eight, err, err8)
		}
		if got := string(q.Data); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(line), " ") || strings.ContainsAny(got, "\r\n#\x00") ||
			strings.TrimSpace(got) != got {
			t.Fatalf("%q becomes %q", line, q.Data)
		}
	})
}
