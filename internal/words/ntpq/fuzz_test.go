package ntpq

import (
	"slices"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// Whatever a daemon says to whatever word: the text is lines that cannot move a cursor, and is not much longer than what was said.
func FuzzText(f *testing.F) {
	for _, s := range sessions(f) {
		r := newReplay(f, s)
		name, _, _ := strings.Cut(s.Command, " ")
		which := slices.IndexFunc(vocabulary, func(w word) bool { return w.Name == name })
		for _, a := range r.answers {
			if _, data, err := r.ask(a.q); err == nil && a.q.Op != mode6.OpReadStatus && which >= 0 {
				f.Add(data, uint16(0xf60a), uint8(which), strings.Contains(s.Server, "ntpsec"))
				break
			}
		}
	}
	f.Add([]byte("\x00\x01\x80\x11, leap=9, reach=-1, flash=0xffffffffffff, filtdelay= 1e300 nan, refid=\"\x1b]0;\x07\", rec=0x0.0, stratum=1e400"), uint16(0), uint8(0), false)
	f.Add([]byte("nonce=00, addr.0=[::1]:1, last.0=0x1.00000001, ct.0=18446744073709551615, sc.0=1e308, now=0x1.00000002"), uint16(0), uint8(14), true)
	f.Fuzz(func(t *testing.T, data []byte, status uint16, which uint8, ofTwo bool) {
		if len(data) > mode6.MaxAnswer {
			return
		}
		version := ofClassic
		if ofTwo {
			version = ofSec
		}
		word := vocabulary[int(which)%len(vocabulary)]
		var args []string
		if word.Name == "pstats" {
			args = []string{"1"}
		}
		asked := 0
		text, err := New(door(func(q mode6.Request) (uint16, string, error) {
			if string(q.Data) == "version" {
				return 0, version, nil
			}
			asked++
			if q.Op == mode6.OpReadStatus { // few, for speed
				return 0, string(data[:min(len(data), 16)&^3]), nil
			}
			return status, string(data), nil
		})).Say(t.Context(), word.Name, args)
		if err != nil {
			return
		}
		if i := strings.IndexFunc(text, func(c rune) bool { return c != '\n' && c != '\t' && (c < ' ' || c > '~') }); i >= 0 {
			t.Fatalf("%s: %q passes", word.Name, text[i])
		}
		if text != "" && !strings.HasSuffix(text, "\n") {
			t.Fatalf("%s: %q is not of whole lines", word.Name, text)
		}
		const page = 8 << 10
		if len(text) > page+(asked+1)*max(4*len(data), 512)+maxRows*160 {
			t.Fatalf("%s: %d octets of %d", word.Name, len(text), len(data))
		}
	})
}
