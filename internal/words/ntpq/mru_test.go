package ntpq

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// many answers with n clients, a hundred at a time, the oldest first, and ends if it ends.
func many(n int, ends bool) func(q mode6.Request) (string, error) {
	next := 0
	return func(q mode6.Request) (string, error) {
		const nonce = "nonce=00112233445566778899aabb"
		if q.Op == mode6.OpRequestNonce {
			return nonce, nil
		}
		var text strings.Builder
		text.WriteString(nonce)
		for i := range min(100, n-next) {
			n := next + 1
			fmt.Fprintf(&text, ", addr.%d=[2001:db8::%x:%x]:123, last.%[1]d=0xeead0000.%08[4]x, first.%[1]d=0xeead0000.00000001, ct.%[1]d=1, mv.%[1]d=35, rs.%[1]d=0x50",
				i, n>>16, n&0xffff, n)
			next++
		}
		if next == n && ends {
			text.WriteString(", now=0xeead0005.00000000")
		}
		return text.String(), nil
	}
}

func TestLatestRowsOfManyClients(t *testing.T) {
	for version, notes := range map[string]int{ofClassic: 1, ofSec: 2} {
		asked := 0
		list := many(2500, true)
		w := New(aDoor(version, func(q mode6.Request) (string, error) { asked++; return list(q) }))
		text, err := w.Say(t.Context(), "mrulist", nil)
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if err != nil || len(lines) != 2+maxRows+notes || !strings.HasSuffix(lines[2], " 2001:db8::9c4") || lines[len(lines)-1] != "# Only the latest 1000 of 2500 are shown" {
			t.Fatalf("%s: %d lines, %v: %s", version, len(lines), err, lines[len(lines)-1])
		}
		before := asked
		few, err := w.Say(t.Context(), "mrulist", []string{"3"})
		want := append(append(lines[:5:5], lines[2+maxRows:]...), "# Only the latest 3 of 1000 are shown", "")
		if err != nil || few != strings.Join(want, "\n") || asked != before {
			t.Errorf("%s: %v, %d more questions\n%s", version, err, asked-before, few)
		}
		if all, _ := w.Say(t.Context(), "mrulist", []string{"1000"}); all != text {
			t.Errorf("%s: all of the rows are not all", version)
		}
	}
}

func TestRestrictionBitsOfBoth(t *testing.T) { // limited is 0x40 here, 0x20 there
	for version, want := range map[string]string{ofClassic: "   50 L 3 4 ", ofSec: "   50 . 3 4 "} {
		text, err := New(aDoor(version, many(1, true))).Say(t.Context(), "mrulist", nil)
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("%s: %v\n%s", version, err, text)
		}
	}
}

// A list without an end, or one that stops, is an error, and more clients than we hold are told.
func TestListsWithoutAnEnd(t *testing.T) {
	if _, err := New(aDoor(ofClassic, many(100, false))).Say(t.Context(), "mrulist", nil); api.KindOf(err) != api.Unavailable || !errors.Is(err, mode6.ErrNoHeadway) {
		t.Errorf("%v", err)
	}
	text, err := New(aDoor(ofSec, many(mode6.MaxClients+1000, true))).Say(t.Context(), "mrulist", []string{"2"})
	if err != nil || !strings.Contains(text, "not complete") || strings.Count(text, "\n") != 2+2+4 {
		t.Errorf("%v\n%s", err, text)
	}
}
