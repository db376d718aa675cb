package ntpq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// door is a daemon that answers as it is told, its version included.
type door func(q mode6.Request) (status uint16, data string, err error)

func (d door) ConverseMode6(_ context.Context, talk func(Ask) error) error {
	return talk(func(q mode6.Request) (uint16, []byte, error) {
		status, data, err := d(q)
		return status, []byte(data), err
	})
}

const (
	ofClassic = `version="ntpd 4.2.8p15"`
	ofSec     = `version="ntpd ntpsec-1.2.2"`
)

// aDoor leads to a daemon of that version, with one answer to all else.
func aDoor(version string, answer func(q mode6.Request) (string, error)) door {
	return func(q mode6.Request) (uint16, string, error) {
		if string(q.Data) == "version" {
			return 0, version, nil
		}
		data, err := answer(q)
		return 0, data, err
	}
}

// asks is what is asked of a daemon with two associations.
func asks(t *testing.T, word string, args ...string) (asked []string, err error) {
	t.Helper()
	_, err = New(aDoor(ofClassic, func(q mode6.Request) (string, error) {
		asked = append(asked, requestKey(q))
		if q.Op == mode6.OpReadStatus {
			return "\x00\x09\x80\x11\x00\x07\x80\x11", nil
		}
		return "leap=0", nil
	})).Say(t.Context(), word, args)
	return asked, err
}

func TestArguments(t *testing.T) {
	for _, c := range []struct{ typed, asks string }{
		{"rv", "read variables 0 "},
		{"rv 0", "read variables 0 "},
		{"readvar 7", "read variables 7 "},
		{"rv &1", "read status 0 |read variables 7 "},
		{"rv &2 leap,stratum offset", "read status 0 |read variables 9 leap,stratum,offset"},
		{"rl 7", "read variables 7 "},
		{"readlist", "read variables 0 "},
		{"cv", "read clock variables 0 "},
		{"clockvar &2 device", "read status 0 |read clock variables 9 device"},
		{"as", "read status 0 "},
		{"pe", "read status 0 |read variables 7 |read variables 9 "},
		{"kernel", "read variables 0 " + strings.Join((table{all: kernel(text)}).names(), ",")},
	} {
		words := strings.Fields(c.typed)
		if asked, err := asks(t, words[0], words[1:]...); err != nil || strings.Join(asked, "|") != c.asks {
			t.Errorf("%s: asks %q, want %q, %v", c.typed, strings.Join(asked, "|"), c.asks, err)
		}
	}
	// As the monitoring service gives an association that is left out.
	if asked, err := asks(t, "rv", "", "leap"); err != nil || asked[0] != "read variables 0 leap" {
		t.Errorf("%q, %v", asked, err)
	}
}

func TestArgumentsThatAreNone(t *testing.T) {
	for typed, kind := range map[string]api.Kind{
		"peers 1": api.BadArgument, "rv x": api.BadArgument, "rv -1": api.BadArgument, "rv 65536": api.BadArgument, "rv &": api.BadArgument,
		"rv &0": api.BadArgument, "rv & 1": api.BadArgument, "rv 0 leap=1": api.BadArgument, `rv 0 a"b`: api.BadArgument,
		"rv 0 " + strings.Repeat("a", 469): api.BadArgument, "rv 0 " + strings.Repeat("ab,", 200): api.BadArgument, "rl 1 leap": api.BadArgument,
		"mrulist 0": api.BadArgument, "mrulist 1001": api.BadArgument, "mrulist limited": api.BadArgument, "mrulist 1 2": api.BadArgument,
		"pstats": api.BadArgument, "pstats 0": api.BadArgument, "pstats 1 2": api.BadArgument, "sysinfo 1": api.BadArgument,
		"config": api.NotFound, "writevar": api.NotFound, "saveconfig": api.NotFound, "": api.NotFound, "\x1b[2J": api.NotFound,
		"rv &3": api.NotFound, "ntsinfo": api.Conflict,
	} {
		words := strings.Fields(cmp.Or(typed, "\x00"))
		asked, err := asks(t, words[0], words[1:]...)
		if api.KindOf(err) != kind {
			t.Errorf("%.40q: %v, want %s", typed, err, kind)
		}
		if kind == api.BadArgument && (asked != nil || !strings.Contains(err.Error(), "it takes")) {
			t.Errorf("%.40q: asks %q, %v", typed, asked, err)
		}
		if err != nil && strings.ContainsRune(err.Error(), 0x1b) {
			t.Errorf("%q passes", err)
		}
	}
}

// Each word has help, a name of its own, and none changes anything.
func TestWords(t *testing.T) {
	seen := map[string]bool{}
	for _, w := range List() {
		for _, name := range []string{w.Name, w.Alias} {
			if name != "" && seen[name] {
				t.Errorf("%s twice", name)
			}
			seen[name] = true
		}
		if w.Summary == "" || strings.HasSuffix(w.Summary, ".") {
			t.Errorf("%s: %q", w.Name, w.Summary)
		}
	}
	for _, name := range []string{"peers", "associations", "rv", "mrulist", "sysinfo", "sysstats", "iostats", "ifstats", "monstats", "kernel", "reslist", "authinfo"} {
		if !seen[name] {
			t.Errorf("no %s", name)
		}
	}
}

func TestRefusals(t *testing.T) {
	gone := errors.New("neighbour: ntpd does not answer")
	for _, c := range []struct {
		typed string
		err   error
		kind  api.Kind
		want  []string
	}{
		{"rv 7", mode6.CodeAssociation, api.NotFound, []string{"***Association ID 7 unknown", "associations lists", "[mode6 error 4]"}},
		{"cv 7", mode6.CodeAssociation, api.NotFound, []string{"no reference clock", "[mode6 error 4]"}},
		{"rv 0 x", mode6.CodeVariable, api.BadArgument, []string{"***A request variable unknown", "[mode6 error 5]"}},
		{"ifstats", mode6.CodePermission, api.Conflict, []string{"***Server disallowed request", "controlkey", "ntpq -k", "[mode6 error 1]"}},
		{"peers", mode6.CodePermission, api.Conflict, []string{"restrict", "[mode6 error 1]"}},
		{"rv", mode6.CodeOpcode, api.Conflict, []string{"[mode6 error 3]"}},
		{"rv", mode6.CodeFormat, api.Unavailable, []string{"[mode6 error 2]"}},
		{"rv", mode6.CodeValue, api.Unavailable, []string{"[mode6 error 6]"}},
		{"rv", mode6.CodeRestricted, api.Conflict, []string{"[mode6 error 7]"}},
		{"rv", mode6.CodeUnspecified, api.Unavailable, []string{"[mode6 error 0]"}},
		{"rv", mode6.ErrContradiction, api.Unavailable, []string{"incomplete"}},
		{"rv", gone, api.Unavailable, []string{"***Request timed out", gone.Error()}},
		{"rv", api.Failf(api.Conflict, "the daemon next door is chrony"), api.Conflict, []string{"chrony"}},
	} {
		words := strings.Fields(c.typed)
		_, err := New(aDoor(ofSec, func(mode6.Request) (string, error) { return "", fmt.Errorf("read variables: %w", c.err) })).
			Say(t.Context(), words[0], words[1:])
		if api.KindOf(err) != c.kind {
			t.Errorf("%s after %v: %s, want %s", c.typed, c.err, api.KindOf(err), c.kind)
		}
		for _, want := range c.want {
			if !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("%s after %v: %q lacks %q", c.typed, c.err, err, want)
			}
		}
	}
}

// An association that goes away while they are listed is left out, and so are those beyond the bound, which is told.
func TestBillboardOfManyAssociations(t *testing.T) {
	list := ""
	for i := range maxAssociations + 5 {
		list += string(mode6.Association{ID: uint16(i + 1), Status: 0x8011}.AppendTo(nil))
	}
	asked := 0
	text, err := New(aDoor(ofClassic, func(q mode6.Request) (string, error) {
		if q.Op == mode6.OpReadStatus {
			return list, nil
		}
		if asked++; q.Association%2 == 0 {
			return "", mode6.CodeAssociation
		}
		return "srcadr=192.0.2.1, stratum=1", nil
	})).Say(t.Context(), "peers", nil)
	lines := strings.Count(text, "\n")
	if err != nil || asked != maxAssociations || lines != 2+maxAssociations/2+1 || !strings.HasSuffix(text, "# Only the first 512 of 517 associations are shown\n") {
		t.Errorf("%d asked, %d lines, %v: %.300s", asked, lines, err, text)
	}
}

// Passive peers out of reach are in lpeers only, with classic ntpd.
func TestBillboardLeavesOutWhoIsOutOfReach(t *testing.T) {
	for version, want := range map[string]int{ofClassic: 3, ofSec: 4} {
		d := aDoor(version, func(q mode6.Request) (string, error) {
			if q.Op == mode6.OpReadStatus {
				return "\x00\x01\x80\x11\x00\x02\x00\x11", nil
			}
			return "srcadr=192.0.2.1, hmode=2", nil
		})
		for word, n := range map[string]int{"peers": want, "lpeers": 4} {
			if text, err := New(d).Say(t.Context(), word, nil); err != nil || strings.Count(text, "\n") != n {
				t.Errorf("%s of %s: %v\n%s", word, version, err, text)
			}
		}
	}
}

func TestNothingToTell(t *testing.T) {
	none := aDoor(ofSec, func(mode6.Request) (string, error) { return "", nil })
	for typed, want := range map[string]string{
		"peers": noAssociations, "as": noAssociations, "rv": "No system variables returned\n", "rv 7": "No information returned for association 7\n",
		"cv 7": "No information returned for clock association 7\n",
	} {
		words := strings.Fields(typed)
		if text, err := New(none).Say(t.Context(), words[0], words[1:]); err != nil || text != want {
			t.Errorf("%s: %q, %v", typed, text, err)
		}
	}
}

// The same word with the same arguments asks the daemon once a second; other arguments ask for themselves.
func TestSameWordAsksOnce(t *testing.T) {
	asked := 0
	w := New(aDoor(ofClassic, func(mode6.Request) (string, error) { asked++; return "leap=0", nil }))
	for range 10 {
		for _, names := range []string{"leap", "stratum"} {
			if _, err := w.Say(t.Context(), "rv", []string{"0", names}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Say(t.Context(), "readvar", []string{"", names}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if asked != 2 {
		t.Errorf("%d questions", asked)
	}
}

var noon = time.Date(2026, 12, 31, 12, 0, 0, 0, time.UTC)
