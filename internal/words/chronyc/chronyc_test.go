package chronyc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

func TestArgumentsThatAreRefused(t *testing.T) {
	untouched := door(func(q cmdmon.Request) (cmdmon.Reply, error) {
		t.Errorf("asks %v", q)
		return cmdmon.Reply{}, errors.New("not to be asked")
	})
	for line, want := range map[string]string{
		"tracking -v":                          `tracking: it does not take that: "-v": it takes no arguments`,
		"sources -x":                           `sources: it does not take that: "-x": it takes [-a] [-v]`,
		"sources \x1b[2J":                      `"\x1b[2J"`,
		"ntpdata time.example":                 `"time.example" is no address, and names are not looked up`,
		"ntpdata fe80::1%eth0":                 "is no address",
		"ntpdata ID#0":                         "is no address",
		"ntpdata ID#99999999999":               "is no address",
		"ntpdata 192.0.2.1 and more":           "3 arguments",
		"sourcename":                           "0 arguments: it takes ADDRESS",
		"clients -p":                           `"-p"`,
		"clients -p -1":                        `"-1" is no number of packets`,
		"clients -p 4294967296":                "is no number of packets",
		"clients -k -r":                        "-r sets counters to zero",
		"clients " + strings.Repeat("x", 5000): `it takes [-p PACKETS] [-k]`,
	} {
		f := strings.Fields(line)
		_, err := New(untouched).Say(t.Context(), f[0], f[1:])
		if api.KindOf(err) != api.BadArgument || !strings.Contains(err.Error(), want) || len(err.Error()) > 200 {
			t.Errorf("%.40q: %v, want %q", line, err, want)
		}
	}
	if _, err := New(untouched).Say(t.Context(), "shutdown", nil); api.KindOf(err) != api.NotFound {
		t.Errorf("shutdown: %v", err)
	}
}

func TestErrorsOfChronyd(t *testing.T) {
	for name, c := range map[string]struct {
		status cmdmon.Status
		err    error
		kind   api.Kind
		want   string
	}{
		"unknown source":  {status: cmdmon.NoSuchSource, kind: api.NotFound, want: "No such source: sources lists the addresses that chronyd has [chronyd status 4]"},
		"not authorised":  {status: cmdmon.Unauthorised, kind: api.Conflict, want: "Not authorised: chronyd answers this on its command socket only: "},
		"not enabled":     {status: cmdmon.NotEnabled, kind: api.Conflict, want: "Facility not enabled in daemon: "},
		"no client log":   {status: cmdmon.Inactive, kind: api.Conflict, want: "Client logging is not active in the daemon: "},
		"too new for it":  {status: cmdmon.Invalid, kind: api.Conflict, want: "Invalid command: "},
		"failed":          {status: cmdmon.Failed, kind: api.Unavailable, want: "ntpdata: chronyd could not do it"},
		"unknown status":  {status: 200, kind: api.Unavailable, want: "ntpdata: "},
		"no answer":       {err: errors.New("it hangs, or is stopped"), kind: api.Unavailable, want: "Cannot talk to daemon: ntpdata: it hangs, or is stopped"},
		"another daemon":  {err: api.Failf(api.Conflict, "the daemon next door is ntpd"), kind: api.Conflict, want: "the daemon next door is ntpd"},
		"another version": {kind: api.Unavailable, want: "Bad reply from daemon: cmdmon: a reply of type 99"},
	} {
		d := door(func(q cmdmon.Request) (cmdmon.Reply, error) {
			r, _ := raw(q.Command, 99, c.status, nil)
			return r, c.err
		})
		text, err := New(d).Say(t.Context(), "ntpdata", []string{"192.0.2.1"})
		if text != "" || api.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) ||
			strings.ContainsAny(err.Error()[:1], "0123456789") { // whoever shows it has a code of its own
			t.Errorf("%s: %q, %s: %v; want %s: %s", name, text, api.KindOf(err), err, c.kind, c.want)
		}
		if c.status != 0 && !strings.HasSuffix(err.Error(), fmt.Sprintf(" [chronyd status %d]", uint16(c.status))) {
			t.Errorf("%s: %v does not end with chronyd's own code", name, err)
		}
	}
}

// What chronyd says of itself in no recorded session: smoothed time and a real-time clock.
func TestFacilitiesThatAreOn(t *testing.T) {
	d := door(func(q cmdmon.Request) (cmdmon.Reply, error) {
		if q.Command == cmdmon.SmoothingCommand {
			return raw(q.Command, 13, 0, body(3, 0x02800000, 0x03000000, 0, 0x06c00000, 0x0aa00000))
		}
		return raw(q.Command, 7, 0, body(0, 1795385856, 5, int16(4), int16(2), 1200, 0x02800000, 0x03000000))
	})
	for word, want := range map[string]string{
		"smoothing": "Active         : Yes (leap second only)\nOffset         : +0.500000000 seconds\nFrequency      : -1.000000 ppm\n" +
			"Wander         : +0.000000 ppm per second\nLast update    : 3.0 seconds ago\nRemaining time : 10.0 seconds\n",
		"rtcdata": "RTC ref time (UTC) : Sun Nov 22 22:17:36 2026\nNumber of samples  : 4\nNumber of runs     : 2\nSample span period :  20m\n" +
			"RTC is fast by     :     0.500000 seconds\nRTC gains time at  :    -1.000 ppm\n",
	} {
		if text, err := New(d).Say(t.Context(), word, nil); text != want || err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
}

// Each version has the lines that its reply has fields for.
func TestCountersOfEachVersion(t *testing.T) {
	for typ, want := range map[cmdmon.ReplyType]int{22: 8, 24: 11, 25: 17} {
		d := door(func(q cmdmon.Request) (cmdmon.Reply, error) { return raw(q.Command, typ, 0, nil) })
		if text, err := New(d).Say(t.Context(), "serverstats", nil); strings.Count(text, ": 0\n") != want || err != nil {
			t.Errorf("type %d: %v\n%s", typ, err, text)
		}
	}
	for typ, want := range map[cmdmon.ReplyType]string{16: "Total good RX", 26: "Total HW RX"} {
		d := door(func(q cmdmon.Request) (cmdmon.Reply, error) { return raw(q.Command, typ, 0, nil) })
		text, err := New(d).Say(t.Context(), "ntpdata", []string{"192.0.2.1"})
		if lines := strings.Split(text, "\n"); err != nil || len(lines) < 2 || !strings.HasPrefix(lines[len(lines)-2], want) {
			t.Errorf("type %d: %v\n%s", typ, err, text)
		}
	}
}

// many is a chronyd with that many clients, each with its number as address.
func many(n uint32, asked *[]cmdmon.Page) door {
	return func(q cmdmon.Request) (cmdmon.Reply, error) {
		page := q.Body.(cmdmon.Page)
		*asked = append(*asked, page)
		count := min(n-page.First, cmdmon.ClientsPerReply)
		b := body(int(n), int(page.First+count), int(count))
		for i := range count {
			ip := netip.AddrFrom4([4]byte{10, 0, byte((page.First + i) >> 8), byte(page.First + i)})
			b = append(b, body(cmdmon.Address{IP: ip}, 1, 2, 3, 4, 5, 6, int8(7), int8(8), int8(127), int8(-1), 10, 11, -1)...)
		}
		return raw(q.Command, 21, 0, b)
	}
}

func TestClientsArePagedAndBounded(t *testing.T) {
	var asked []cmdmon.Page
	text, err := New(many(11, &asked)).Say(t.Context(), "clients", []string{"-k", "-p", "5"})
	const row = "10.0.0.10                       1      4   7  -1    10       2      5   8    11\n"
	if err != nil || strings.Count(text, "\n") != 2+11 || !strings.HasSuffix(text, row) || !strings.Contains(text, "Last  NTS-KE   Drop") {
		t.Errorf("%v\n%s", err, text)
	}
	if len(asked) != 2 || asked[1] != (cmdmon.Page{First: 8, MinHits: 5}) {
		t.Errorf("asked %+v", asked)
	}
	asked = nil
	text, err = New(many(1<<20, &asked)).Say(t.Context(), "clients", nil)
	if err != nil || strings.Count(text, "\n") != 2+maxClients+1 || !strings.HasSuffix(text, "\n(the first 1000; -p shows those with more packets)\n") {
		t.Errorf("%v, %d lines", err, strings.Count(text, "\n"))
	}
	again := door(func(q cmdmon.Request) (cmdmon.Reply, error) { return raw(q.Command, 21, 0, body(1<<30, 0, 8)) })
	if _, err := New(again).Say(t.Context(), "clients", nil); err == nil || !strings.Contains(err.Error(), "does not end") {
		t.Errorf("a list that does not end: %v", err)
	}
}

// A source that goes away meanwhile ends the list; one of four thousand millions is cut.
func TestSourcesAreBounded(t *testing.T) {
	for n, want := range map[int]string{-1: "\n(and 4294967039 more sources)\n", 3: "\n^*"} {
		d := door(func(q cmdmon.Request) (cmdmon.Reply, error) {
			switch i, _ := q.Body.(cmdmon.Index); {
			case q.Command == cmdmon.NSources:
				return raw(q.Command, 2, 0, body(n))
			case n == 3 && i == 2:
				return raw(q.Command, 3, cmdmon.NoSuchSource, nil)
			}
			return raw(q.Command, 3, 0, nil)
		})
		text, err := New(d).Say(t.Context(), "sources", nil)
		lines := map[int]int{-1: 2 + maxSources + 1, 3: 4}[n]
		if err != nil || strings.Count(text, "\n") != lines || !strings.Contains(text, want) {
			t.Errorf("of %d: %v, %d lines", n, err, strings.Count(text, "\n"))
		}
	}
}

func TestNamesThatAreNoText(t *testing.T) {
	for name, ok := range map[string]bool{"time.example": true, "": true, "\x1b[2J": false, "a b": false, "é": false,
		strings.Repeat("x", 255): true, strings.Repeat("x", 256): false} {
		d := door(func(q cmdmon.Request) (cmdmon.Reply, error) { return raw(q.Command, 19, 0, []byte(name)) })
		text, err := New(d).Say(t.Context(), "sourcename", []string{"ID#0000000003"})
		if ok != (err == nil) || ok && text != name+"\n" || !ok && api.KindOf(err) != api.Unavailable {
			t.Errorf("%q: %q, %v", name, text, err)
		}
	}
}

func TestListIsForHelp(t *testing.T) {
	seen := map[string]bool{}
	for _, w := range List() {
		if w.Name == "" || w.Summary == "" || seen[w.Name] || strings.HasSuffix(w.Summary, ".") {
			t.Errorf("%+v", w)
		}
		seen[w.Name] = true
	}
	if len(seen) != 12 {
		t.Errorf("%d words", len(seen))
	}
}

// maxText is more than any answer may have: ntpdata of all sources is the longest.
const maxText = 512 << 10

// FuzzSay: whatever chronyd answers, a text has printable characters and ends of line, and is bounded; so is an error.
func FuzzSay(f *testing.F) {
	for _, s := range sessions(f) {
		word, args := s.args()
		var all []byte
		for _, p := range s.Packets {
			if p.Dir == "rx" {
				all = append(all, unhex(f, p.Hex)[28:]...)
			}
		}
		f.Add(word, strings.Join(args, " "), all)
	}
	types := map[cmdmon.Command]cmdmon.ReplyType{14: 2, 15: 3, 33: 5, 34: 6, 35: 7, 44: 12, 51: 13, 54: 25, 57: 26, 65: 19, 67: 20, 68: 21, 69: 23}
	f.Fuzz(func(t *testing.T, word, args string, said []byte) {
		d := door(func(q cmdmon.Request) (cmdmon.Reply, error) {
			b := said[:min(len(said), cmdmon.RequestLen)]
			if said = said[len(b):]; len(b) == 0 {
				return cmdmon.Reply{}, context.DeadlineExceeded
			}
			return raw(q.Command, types[q.Command], 0, b)
		})
		text, err := New(d).Say(t.Context(), word, strings.Fields(args))
		if err != nil {
			text += err.Error()
			if api.KindOf(err) == api.Internal {
				t.Errorf("%v has no kind", err)
			}
		}
		if i := bytes.IndexFunc([]byte(text), func(r rune) bool { return (r < ' ' || r > '~') && r != '\n' }); i >= 0 || len(text) > maxText {
			t.Errorf("%d octets: %.300q", len(text), text)
		}
	})
}
