package audit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// What is parsed and written again is parsed the same; and what was bounded is what comes back.
func FuzzParse(f *testing.F) {
	lines, _ := chain(f, 2)
	f.Add(lines[0])
	f.Add(lines[1])
	f.Add([]byte(`{"seq":1,"hash":""}`))
	f.Add([]byte(`{"seq":1,"Args":{"":"` + "\x87\u009b" + `"},"prev":"` + zeros + `","hash":"` + zeros + `"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := Parse(line)
		if err != nil {
			return
		}
		again, err := r.AppendTo(nil)
		if err != nil { // a line of many short forms may be longer as we write it
			return
		}
		back, err := Parse(again)
		if err != nil || !back.Time.Equal(r.Time) {
			t.Fatalf("%v: %s", err, again)
		}
		back.Time = r.Time
		var a, b bytes.Buffer
		if len(r.Args) > 0 && (json.Compact(&a, r.Args) != nil || json.Compact(&b, back.Args) != nil ||
			!bytes.Equal(appendLegible(nil, a.Bytes()), b.Bytes())) { // others need not escape what we do
			t.Fatalf("%s, %s", r.Args, back.Args)
		}
		r.Args, back.Args = nil, nil
		if !reflect.DeepEqual(r, back) {
			t.Fatalf("%+v\n%+v", r, back)
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add("certificate alice", "add x", `{"a":1}`, int64(0), uint64(3), 0.5)
	f.Add("\xff\x00", "\u2028\"\\", `{"\u0000":"\ud800"}`, int64(1)<<40, uint64(0), 1e300)
	f.Fuzz(func(t *testing.T, caller, text, args string, at int64, of uint64, confirm float64) {
		if confirm != confirm || confirm-confirm != 0 { // no number of JSON
			return
		}
		r, err := Record{Time: time.Unix(at, at%1e9), Kind: Outcome, Of: of, Caller: caller, Summary: text, Before: caller, After: text, Error: text,
			Args: json.RawMessage(args), Confirm: confirm}.Bounded().Seal(Empty())
		if err != nil {
			t.Fatal(err)
		}
		line, err := r.AppendTo(nil)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(line)
		if err != nil || !reflect.DeepEqual(back, r) {
			t.Fatalf("%v:\n%+v\n%+v", err, r, back)
		}
		if Sum(line) != r.Hash || bytes.Count(line, []byte("\n")) != 1 {
			t.Fatalf("%s", line)
		}
	})
}

// Whatever single octet of a right log is another one, it is found; and no input makes the verifier do worse.
func FuzzVerifier(f *testing.F) {
	lines, records := chain(f, 4)
	log, head := bytes.Join(lines, nil), records[3].Head().Sign(testKey())
	f.Add([]byte{}, uint16(0), byte(1))
	f.Add(log, uint16(100), byte(0x40))
	f.Fuzz(func(t *testing.T, other []byte, at uint16, x byte) {
		if x != 0 {
			changed := bytes.Clone(log)
			changed[int(at)%len(log)] ^= x
			if _, err := verify(&head, changed); err == nil {
				t.Fatalf("octet %d changed by %#x is not found", int(at)%len(log), x)
			}
		}
		if _, err := verify(&head, other); err == nil && !bytes.Equal(other, log) {
			t.Fatalf("another log has this head: %q", other)
		}
	})
}

func FuzzParseHead(f *testing.F) {
	f.Add(Empty().Sign(testKey()).String())
	f.Add("1:")
	f.Fuzz(func(t *testing.T, text string) {
		if h, err := ParseHead(text); err == nil && h.String() != text {
			t.Fatalf("%q is %q", text, h)
		}
	})
}
