package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
)

// testKey is deterministic, for tests only.
func testKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
}

func someRecord(n int) Record {
	return Record{
		Time: time.Date(2026, 11, 25, 14, 22, n, 1000*n, time.UTC), Kind: Attempt, Caller: "certificate alice", Role: "operator", From: "192.0.2.1",
		Command: "sources add", Args: json.RawMessage(`{"source":"ntp1.example"}`), Confirm: 300, Key: "k-1", Summary: "add <source> & \"more\"",
		Before: "not there", After: "\x1b[2Jhostile\n{\"seq\":9}", Result: "done",
	}
}

// chain is a log of so many records.
func chain(t testing.TB, n int) (lines [][]byte, records []Record) {
	t.Helper()
	end := Empty()
	for i := range n {
		r, err := someRecord(i).Bounded().Seal(end)
		if err != nil {
			t.Fatal(err)
		}
		line, err := r.AppendTo(nil)
		if err != nil {
			t.Fatal(err)
		}
		lines, records, end = append(lines, line), append(records, r), r.Head()
	}
	return lines, records
}

// verify is what is wrong with the files, given a head.
func verify(h *Head, files ...[]byte) (*Verifier, error) {
	v := &Verifier{}
	if h != nil {
		if err := v.Expect(*h, testKey().Public().(ed25519.PublicKey)); err != nil {
			return v, err
		}
	}
	for i, f := range files {
		if err := v.Read(string(rune('a'+i)), bytes.NewReader(f), nil); err != nil {
			return v, err
		}
	}
	return v, v.Finish()
}

func TestVerify(t *testing.T) {
	lines, records := chain(t, 20)
	all := func(l ...[]byte) []byte { return bytes.Join(l, nil) }
	join := func(from, to int) []byte { return all(lines[from:to]...) }
	head := records[19].Head().Sign(testKey())
	old := records[4].Head().Sign(testKey())
	alien := head
	alien.Hash = strings.Repeat("1", 64)
	reseal := func(i int, change func(*Record)) []byte { // as somebody does who knows how the hash is made
		r := records[i]
		change(&r)
		r, err := r.Seal(Head{r.Sequence - 1, r.Previous, ""})
		if err != nil {
			t.Fatal(err)
		}
		b, _ := r.AppendTo(nil)
		return b
	}
	for name, c := range map[string]struct {
		files [][]byte
		head  *Head
		kind  FaultKind
		want  string
	}{
		"right":                     {[][]byte{join(0, 8), join(8, 20)}, &head, 0, ""},
		"nothing":                   {nil, nil, 0, ""},
		"an old head":               {[][]byte{join(0, 20)}, &old, 0, ""},
		"older files rotated away":  {[][]byte{join(8, 20)}, &head, 0, ""},
		"altered":                   {[][]byte{join(0, 16), bytes.Replace(join(16, 20), []byte("alice"), []byte("mallo"), 1)}, &head, Altered, "b:1: record 17 was altered: its hash is not that of what stands there"},
		"no record":                 {[][]byte{all(join(0, 3), []byte("hello\n"), join(3, 20))}, nil, Altered, "a:4: record 4 was altered: audit: the line is no record: it does not end in its hash"},
		"missing":                   {[][]byte{join(0, 17), join(19, 20)}, &head, Missing, "b:1: records 18 to 19 are missing"},
		"one missing":               {[][]byte{all(join(0, 17), join(18, 20))}, &head, Missing, "a:18: record 18 is missing"},
		"twice":                     {[][]byte{all(join(0, 17), join(16, 20))}, &head, Misplace, "a:18: record 17 stands where record 18 belongs"},
		"wrong order of files":      {[][]byte{join(8, 20), join(0, 8)}, &head, Misplace, "b:1: record 1 stands where record 21 belongs"},
		"cut":                       {[][]byte{join(0, 15)}, &head, Cut, "the tail behind record 15 was cut off: the head says that there were 20"},
		"all gone":                  {[][]byte{{}}, &head, Cut, "there is no record: the head says that there were 20"},
		"torn":                      {[][]byte{join(0, 15), lines[15][:100]}, nil, Torn, "b:1: the line has no end: a crash while record 16 was written leaves it so, or somebody cut the file"},
		"altered and hashed anew":   {[][]byte{all(join(0, 16), reseal(16, func(r *Record) { r.Caller = "uid 0" }), join(17, 20))}, &head, Altered, "a:18: record 18 does not follow from record 17: one of them was altered and hashed anew"},
		"the last one anew":         {[][]byte{all(join(0, 19), reseal(19, func(r *Record) { r.Caller = "uid 0" }))}, &head, Other, "a:20: record 20 is not the one that the head names: the log was written anew from there or from before, or is another one"},
		"the head is of another":    {[][]byte{join(0, 20)}, &alien, Other, "the head of record 20 is not signed by key " + KeyID(testKey().Public().(ed25519.PublicKey)) + ": it was altered, or is of another log"},
		"the head is not kept":      {[][]byte{join(8, 20)}, &old, Missing, "record 5 of the head is not kept any more: the files begin with record 9; give the older ones, too, or a newer head"},
		"a line too long":           {[][]byte{all(join(0, 2), bytes.Repeat([]byte("x"), MaxLine+1), []byte("\n"))}, nil, Altered, "a:3: record 3 was altered: the line is longer than any record"},
		"a first record before one": {[][]byte{withPrevious(t, records[0])}, nil, Altered, "a:1: record 1 was altered and hashed anew: nothing can stand before it"},
	} {
		_, err := verify(c.head, c.files...)
		got := ""
		if f, ok := errors.AsType[*Fault](err); ok {
			got = f.Error()
			if f.Kind != c.kind {
				t.Errorf("%s: kind %d, want %d", name, f.Kind, c.kind)
			}
		} else if err != nil {
			t.Errorf("%s: %v is no fault", name, err)
		}
		if got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// withPrevious is record 1 with something before it, and the right hash.
func withPrevious(t *testing.T, r Record) []byte {
	t.Helper()
	r.Previous, r.Hash = strings.Repeat("a", 64), ""
	line, err := r.AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Hash = Sum(line)
	line, err = r.AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// Whatever octet of a log is changed, left out or put in, it is found.
func TestEverySingleOctetCounts(t *testing.T) {
	lines, records := chain(t, 3)
	log, head := bytes.Join(lines, nil), records[2].Head()
	verify := func(h *Head, log []byte) (*Verifier, error) {
		v := &Verifier{}
		if err := v.Expect(*h, nil); err != nil { // its signature is not what is tried here
			return v, err
		}
		if err := v.Read("a", bytes.NewReader(log), nil); err != nil {
			return v, err
		}
		return v, v.Finish()
	}
	for i := range log {
		for _, x := range []byte{0x01, 0x20, 0x80} {
			changed := bytes.Clone(log)
			changed[i] ^= x
			if _, err := verify(&head, changed); err == nil {
				t.Fatalf("octet %d changed by %#x is not found", i, x)
			}
		}
		if _, err := verify(&head, append(bytes.Clone(log[:i]), log[i+1:]...)); err == nil {
			t.Fatalf("octet %d left out is not found", i)
		}
		if _, err := verify(&head, bytes.Join([][]byte{log[:i], {' '}, log[i:]}, nil)); err == nil {
			t.Fatalf("a space before octet %d is not found", i)
		}
		if _, err := verify(&head, log[:i]); err == nil {
			t.Fatalf("a cut before octet %d is not found", i)
		}
	}
}

// A caller can fill a record, and never keep it from being written.
func TestBoundedFits(t *testing.T) {
	for name, text := range map[string]string{"letters": "x", "quotes": `"`, "controls": "\x00", "no UTF-8": "\xff", "separators": "\u2028", "wide": "😀"} {
		long := strings.Repeat(text, 20000)
		args, err := json.Marshal(map[string]string{"a": strings.Repeat("y", maxArgs-20)})
		if err != nil {
			t.Fatal(err)
		}
		r := Record{Sequence: 1<<64 - 1, Time: time.Date(20000, 1, 1, 0, 0, 0, 999999999, time.UTC), Kind: long, Of: 1<<64 - 1, Caller: long, Role: long, From: long,
			Command: long, Args: args, DryRun: true, Confirm: 86399.123456789, Key: long, Summary: long, Before: long, After: long, Result: long, Error: long,
			Omitted: 1<<64 - 1, Previous: zeros, Hash: zeros}.Bounded()
		line, err := r.AppendTo(nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		back, err := Parse(line)
		if err != nil || !reflect.DeepEqual(back, r) {
			t.Errorf("%s: %v, %+v", name, err, back)
		}
		if !strings.HasSuffix(r.Summary, "…") || len(r.Args) < maxArgs-20 {
			t.Errorf("%s: summary ends in %.10q, args have %d octets", name, r.Summary[len(r.Summary)-3:], len(r.Args))
		}
	}
	for args, want := range map[string]string{`{ "a" : 1 }`: `{"a":1}`, `null`: `{"unreadable":true}`, `[1]`: `{"unreadable":true}`, `{"a":`: `{"unreadable":true}`,
		"{\"a\":\"\xff\"}": `{"unreadable":true}`, `{"a":"` + strings.Repeat("x", maxArgs) + `"}`: `{"octets":6152}`, ``: ``} {
		if got := (Record{Args: json.RawMessage(args)}).Bounded().Args; string(got) != want {
			t.Errorf("%.20s: %s, want %s", args, got, want)
		}
	}
}

func TestHead(t *testing.T) {
	h := Head{Sequence: 34, Hash: strings.Repeat("ab", 32)}.Sign(testKey())
	back, err := ParseHead(h.String())
	if err != nil || back != h || !back.SignedBy(testKey().Public().(ed25519.PublicKey)) {
		t.Errorf("%v, %v", back, err)
	}
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	next, without := h, h
	next.Sequence++
	without.Signature = ""
	for name, ok := range map[string]bool{"other key": h.SignedBy(other), "other sequence": next.SignedBy(testKey().Public().(ed25519.PublicKey)),
		"no signature": without.SignedBy(other), "no key": h.SignedBy(nil)} {
		if ok {
			t.Errorf("%s: counts as signed", name)
		}
	}
	for _, bad := range []string{"", "34", "34:", "034:" + h.Hash, "+34:" + h.Hash, "34:" + strings.ToUpper(h.Hash), h.String() + "=", "34:" + h.Hash + ":AAAA", "34:" + h.Hash + ":",
		"99999999999999999999:" + h.Hash, h.String() + strings.Repeat("x", 100)} {
		if _, err := ParseHead(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// What a newer ntptsd adds does not keep this one from verifying.
func TestUnknownMembersAreVerified(t *testing.T) {
	_, records := chain(t, 1)
	line, _ := records[0].AppendTo(nil)
	line = bytes.Replace(line, []byte(`"kind"`), []byte(`"news":{"a":[1]},"kind"`), 1)
	sum := Sum(line)
	if _, err := verify(nil, line); err == nil {
		t.Error("it was put in, and is not found")
	}
	if _, err := verify(nil, bytes.Replace(line, []byte(records[0].Hash), []byte(sum), 1)); err != nil {
		t.Error(err)
	}
}

// A caller's texts must not move the terminal of who reads the log with tail, and must not make a line too long for that either.
func TestNothingInALineActsOnATerminal(t *testing.T) {
	const acts = "\u009b2J\x7f\u202e\u2066\U000e0041\ufeff"
	r := someRecord(1)
	r.Caller, r.Summary, r.Error = acts, acts, "caf\u00e9 "+acts
	r.Args = json.RawMessage(`{"source":"` + acts + `"}`)
	sealed, err := r.Bounded().Seal(Empty())
	if err != nil {
		t.Fatal(err)
	}
	line, err := sealed.AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range strings.TrimSuffix(string(line), "\n") {
		if !unicode.IsPrint(c) {
			t.Errorf("%+q stands in the line", c)
		}
	}
	var args struct{ Source string }
	got, err := Parse(line)
	if err != nil || got.Caller != acts || got.Error != "caf\u00e9 "+acts || json.Unmarshal(got.Args, &args) != nil || args.Source != acts || Sum(line) != got.Hash {
		t.Errorf("%s reads as %+v, %v", line, got, err)
	}
	for _, text := range []string{"\u009b", "\u202e", "\U000e0041"} {
		long := strings.Repeat(text, MaxLine)
		r.Caller, r.Summary, r.Error, r.Before, r.After = long, long, long, long, long
		r.Args = json.RawMessage(`{"source":"` + strings.Repeat(text, maxArgs/len(text)-20) + `"}`)
		if _, err := r.Bounded().Seal(Empty()); err != nil {
			t.Errorf("a record full of %+q cannot be written: %v", text, err)
		}
	}
}
