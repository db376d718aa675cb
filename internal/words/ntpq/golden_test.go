package ntpq

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// session is a whole run of ntpq.
type session struct {
	Command, Server string
	Stdout          string
	Packets         []struct {
		T        float64
		Dir, Hex string
	}
}

func (s session) name() string { return s.Server + ": " + s.Command }

func sessions(tb testing.TB) []session {
	tb.Helper()
	b, err := os.ReadFile("../../../protocol/mode6/testdata/mode6-ntpq-sessions.json")
	if err != nil {
		tb.Fatal(err)
	}
	var file struct{ Sessions []session }
	if err := json.Unmarshal(b, &file); err != nil {
		tb.Fatal(err)
	}
	return file.Sessions
}

// replay is the door to a daemon that answers as in a session. Nothing may be asked that ntpq did not ask, but for the version.
type replay struct {
	t       testing.TB
	version string
	answers map[string]answered
	last    float64 // when the last answer came
	asked   []string
}

// answered is the answer to one request.
type answered struct {
	q         mode6.Request
	datagrams [][]byte
	at        float64
}

func requestKey(q mode6.Request) string {
	return fmt.Sprint(q.Op, " ", q.Association, " ", string(q.Data))
}

func newReplay(t testing.TB, s session) *replay {
	t.Helper()
	r := &replay{t: t, version: fmt.Sprintf("version=%q", s.Server), answers: make(map[string]answered)}
	var key string
	for _, p := range s.Packets {
		b, err := hex.DecodeString(p.Hex)
		if err != nil {
			t.Fatal(err)
		}
		if p.Dir == "tx" {
			q, err := mode6.ParseRequest(b)
			if err != nil {
				t.Fatal(err)
			}
			key = requestKey(q)
			r.answers[key] = answered{q: q}
			continue
		}
		a := r.answers[key]
		a.datagrams, a.at = append(a.datagrams, b), p.T
		r.answers[key] = a
	}
	return r
}

func (r *replay) ConverseMode6(_ context.Context, talk func(Ask) error) error { return talk(r.ask) }

func (r *replay) ask(q mode6.Request) (uint16, []byte, error) {
	key := requestKey(q)
	r.asked = append(r.asked, key)
	a, ok := r.answers[key]
	switch {
	case string(q.Data) == "version":
		return 0, []byte(r.version), nil
	case !ok:
		r.t.Errorf("asks %q, which ntpq did not", key)
		return 0, nil, mode6.CodeFormat
	}
	r.last = a.at
	var whole mode6.Assembly
	whole.Expect(a.q, nil)
	for _, b := range a.datagrams {
		if _, err := whole.Add(b); err != nil {
			return 0, nil, err
		}
	}
	return whole.Status(), whole.Data(), nil
}

// now is when ntpq looked at its clock.
func (r *replay) now() time.Time {
	seconds, fraction := math.Modf(r.last)
	return time.Unix(int64(seconds), int64(fraction*1e9)).UTC()
}

// deviations are the lines in which we differ from ntpq on purpose: they tell of its terminal, or change with each run. From a
// daemon's garbage the control characters are left out.
var deviations = regexp.MustCompile(`(?m)^Ctrl-C will stop MRU retrieval and display partial results.\n|` +
	`^# (Processed|Used) .*\n|^# Collected \d+ slots in [0-9.]+ seconds\n|=[\x01-\x08]\t|[\x01-\x08]`)

func withoutDeviations(text string) string {
	return deviations.ReplaceAllStringFunc(text, func(s string) string {
		collected, _, _ := strings.Cut(s, " in ")
		switch {
		case strings.HasPrefix(collected, "# Collected"):
			return collected + "\n"
		case strings.HasPrefix(s, "="):
			return "="
		}
		return ""
	})
}

// The text is that of ntpq, octet for octet, for whatever it said in the sessions.
func TestTextIsThatOfNTPQ(t *testing.T) {
	compared := 0
	for _, s := range sessions(t) {
		words := strings.Fields(s.Command)
		if words[0] == ":config" { // changes something
			continue
		}
		if s.Command == "cv" && strings.Contains(s.Server, "ntpsec") {
			words = append(words, "&4") // as its arguments say
		}
		door := newReplay(t, s)
		w := New(door)
		w.now = door.now
		text, err := w.Say(t.Context(), words[0], words[1:])
		if err != nil {
			t.Errorf("%s: %v", s.name(), err)
			continue
		}
		compared++
		want := s.Stdout
		if text == want {
			continue
		}
		if strip := withoutDeviations(want); strip == want || withoutDeviations(text) != strip {
			t.Errorf("%s:\n%s\nwant\n%s\n%s", s.name(), text, strip, firstDifference(withoutDeviations(text), strip))
		} else {
			t.Logf("%s: equal but for what differs on purpose", s.name())
		}
		if i := strings.IndexFunc(text, func(c rune) bool { return c < ' ' && c != '\n' && c != '\t' || c > '~' }); i >= 0 {
			t.Errorf("%s: %q passes", s.name(), text[i])
		}
	}
	if compared != 37 {
		t.Errorf("%d sessions", compared)
	}
}

func firstDifference(a, b string) string {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	return fmt.Sprintf("from %d: %q, want %q", i, a[i:min(len(a), i+40)], cmp.Or(b[i:min(len(b), i+40)], "the end"))
}
