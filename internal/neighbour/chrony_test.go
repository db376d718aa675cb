package neighbour

import (
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

var versions = []string{"4.3", "4.8"}

func TestTrackingOfChrony(t *testing.T) {
	for _, version := range versions {
		c := newReplay(t, version).client()
		a, err := c.Tracking(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !a.Synchronised || a.Leap != api.LeapNone || a.Source != "chrony" || a.Stratum != 3 || a.ReferenceID != "10.9.0.2" || a.Smearing {
			t.Errorf("%s: %+v", version, a)
		}
		if a.CorrectionSeconds == 0 || a.CorrectionSeconds != *a.OffsetSeconds || a.RootDelaySeconds <= 0 || a.ErrorBoundSeconds <= a.RootDispersionSeconds {
			t.Errorf("%s: %+v", version, a)
		}
		if since := time.Since(a.ReadAt); since < 0 || since > time.Minute {
			t.Errorf("%s: read at %v", version, a.ReadAt)
		}
	}
}

func TestTrackingOfAnUnsynchronisedChrony(t *testing.T) {
	a := trackingOf(cmdmon.Tracking{Leap: 3, RootDelay: 1, RootDispersion: 1}, nil, time.Now())
	if a.Synchronised || a.Leap != api.LeapUnsynchronised || a.Stratum != 0 {
		t.Errorf("%+v", a)
	}
	a = trackingOf(cmdmon.Tracking{Leap: 1, Stratum: 16}, nil, time.Now())
	if a.Synchronised || a.Leap != api.LeapUnsynchronised || a.Stratum != 0 {
		t.Errorf("%+v", a)
	}
}

// Smoothed time is told as chronyd tells it: shifted, under a reference id of its own, and without the leap second.
func TestSmoothedTime(t *testing.T) {
	updated := time.Date(2026, 12, 31, 12, 0, 0, 0, time.UTC)
	from := cmdmon.Tracking{ReferenceID: [4]byte{192, 0, 2, 1}, Stratum: 3, Leap: 1, CurrentCorrection: 0.25, ReferenceTime: updated}
	a := trackingOf(from, &cmdmon.Smoothing{Active: true, Offset: -0.5}, updated)
	if a.CorrectionSeconds != -0.25 || *a.OffsetSeconds != 0.25 || a.Leap != api.LeapNone || a.ReferenceID != "127.127.1.255" ||
		!a.ReferenceTime.Equal(updated.Add(-500*time.Millisecond)) {
		t.Errorf("%+v", a)
	}
	a = trackingOf(from, &cmdmon.Smoothing{}, updated)
	if a.CorrectionSeconds != 0.25 || a.Leap != api.LeapNone || a.ReferenceID != "192.0.2.1" {
		t.Errorf("locked: %+v", a)
	}
	if a = trackingOf(from, nil, updated); a.Leap != api.LeapInsert {
		t.Errorf("not smoothing: %+v", a)
	}
}

func TestSourcesOfChrony(t *testing.T) {
	for _, version := range versions {
		r := newReplay(t, version)
		all, err := r.client().Sources(t.Context())
		if err != nil || len(all) != 6 {
			t.Fatalf("%s: %d sources, %v", version, len(all), err)
		}
		seen := make(map[string]int)
		for _, s := range all {
			seen[s.Kind]++
			seen[s.Selection]++
			seen["auth "+s.Authentication]++
			if s.Selection == "selected" && (s.DelaySeconds == nil || s.OffsetSeconds == nil || *s.DelaySeconds <= 0 || s.Address != "10.9.0.2" || s.Reach == 0) {
				t.Errorf("%s: %+v", version, s)
			}
		}
		if seen["selected"] != 1 || seen["refclock"] == 0 || seen["server"] == 0 || seen["auth none"] == 0 {
			t.Errorf("%s: %v", version, seen)
		}
		udp, err := NewChrony("/nonexistent/chronyd.sock", r.address().AddrPort()).Sources(t.Context())
		if err != nil || len(udp) != len(all) || udp[0].DelaySeconds != nil || udp[0].Authentication != "" {
			t.Errorf("%s over UDP: %+v, %v", version, udp, err)
		}
	}
}

// chronyd's offsets of sources are positive when the local clock is ahead, ours when the source is.
func TestSignOfOffsets(t *testing.T) {
	s := sourceOf(cmdmon.Source{Offset: 0.125, Sampled: true})
	if *s.OffsetSeconds != -0.125 {
		t.Errorf("offset %v", *s.OffsetSeconds)
	}
	if s := sourceOf(cmdmon.Source{Poll: 32767, State: 99}); s.PollSeconds > 1e13 || s.Selection != "unselectable" || s.OffsetSeconds != nil {
		t.Errorf("nonsense: %+v", s)
	}
}

func TestClientsOfChrony(t *testing.T) {
	r := newReplay(t, "4.3")
	c := r.client()
	all, err := c.Clients(t.Context(), 2)
	if err != nil || len(all.Clients) == 0 || len(all.Clients) > 2 || all.Known < len(all.Clients) || all.Clients[0].Requests == 0 {
		t.Errorf("%+v, %v", all, err)
	}
	_, err = NewChrony("/nonexistent/chronyd.sock", r.address().AddrPort()).Clients(t.Context(), 2)
	if err == nil || !strings.Contains(err.Error(), "/nonexistent/chronyd.sock is not there") {
		t.Errorf("without the socket: %v", err)
	}
}

func TestRekeyNeedsTheSocket(t *testing.T) {
	r := newReplay(t, "4.3")
	if err := r.client().Rekey(t.Context()); err != nil || r.count(cmdmon.Rekey) != 1 {
		t.Errorf("%v", err)
	}
	r.stop()
	if err := r.client().Rekey(t.Context()); err == nil || !strings.Contains(err.Error(), "chronyd does not run") {
		t.Errorf("stopped: %v", err)
	}
}

// However many ask, chronyd is asked once.
func TestOneQuestionASecond(t *testing.T) {
	r := newReplay(t, "4.3")
	c := r.client()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := c.Tracking(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := r.count(cmdmon.TrackingCommand); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// Each datagram that answers something else is skipped; the right one counts.
func TestForeignDatagramsAreSkipped(t *testing.T) {
	r := newReplay(t, "4.3")
	foreign := func(request, reply []byte) [][]byte {
		other := func(change func(b []byte)) []byte {
			b := append([]byte{}, reply...)
			change(b)
			return b
		}
		return [][]byte{
			{}, {6}, make([]byte, 2000),
			other(func(b []byte) { b[16]++ }),                               // another sequence
			other(func(b []byte) { binary.BigEndian.PutUint16(b[4:], 14) }), // another command
			other(func(b []byte) { b[0] = 5 }), other(func(b []byte) { b[1] = 1 }), other(func(b []byte) { b[2] = 1 }),
			reply,
		}
	}
	r.instead.Store(&foreign)
	if a, err := r.client().Tracking(t.Context()); err != nil || a.Stratum != 3 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestBadAnswersAreErrors(t *testing.T) {
	for name, c := range map[string]struct {
		instead func(request, reply []byte) [][]byte
		want    string
	}{
		"cut off":        {func(_, reply []byte) [][]byte { return [][]byte{reply[:min(len(reply), 40)]} }, "cut off"},
		"another type":   {func(_, reply []byte) [][]byte { reply[7] = 200; reply[9] = 0; return [][]byte{reply} }, "not known"},
		"not authorised": {func(_, reply []byte) [][]byte { reply[9] = 2; return [][]byte{reply} }, "501"},
		"endless": {func(request, reply []byte) [][]byte {
			all := make([][]byte, maxForeign+1)
			for i := range all {
				all[i] = []byte("no answer")
			}
			return append(all, reply)
		}, "none of 1000 datagrams"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplay(t, "4.3")
			r.instead.Store(&c.instead)
			if _, err := r.client().Tracking(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// A source that goes away while they are read ends the walk; a list that is too long is cut.
func TestSourcesThatComeAndGo(t *testing.T) {
	r := newReplay(t, "4.3")
	many := func(request, reply []byte) [][]byte {
		if cmdmon.Command(binary.BigEndian.Uint16(request[4:])) == cmdmon.NSources {
			binary.BigEndian.PutUint32(reply[28:], 1<<31)
		}
		if reply == nil { // of an index that there is not
			reply = cmdmon.Reply{Command: cmdmon.SourceData, Status: cmdmon.NoSuchSource, Sequence: binary.BigEndian.Uint32(request[8:])}.AppendTo(nil)
		}
		return [][]byte{reply}
	}
	r.instead.Store(&many)
	if all, err := r.client().Sources(t.Context()); err != nil || len(all) != 6 {
		t.Errorf("%d sources, %v", len(all), err)
	}
	endless := func(request, reply []byte) [][]byte {
		command := cmdmon.Command(binary.BigEndian.Uint16(request[4:]))
		if command == cmdmon.SourceData {
			binary.BigEndian.PutUint32(request[20:], 0)
			return [][]byte{r.answer(request, false)}
		}
		return many(request, reply)
	}
	r.instead.Store(&endless)
	if all, err := r.client().Sources(t.Context()); err != nil || len(all) != maxSources {
		t.Errorf("%d sources, %v; want %d", len(all), err, maxSources)
	}
}

// What no clock says is not told, since it could not be written as JSON.
func TestNonsenseOfChronyIsNotTold(t *testing.T) {
	at := time.Now()
	for _, odd := range []time.Time{{}, time.Unix(1<<40, 0), time.Unix(-1<<40, 0), time.Unix(0, 0).AddDate(12000, 0, 0)} {
		if a := trackingOf(cmdmon.Tracking{Stratum: 3, ReferenceTime: odd}, &cmdmon.Smoothing{Offset: 1}, at); a.ReferenceTime != nil {
			t.Errorf("%v: told %v", odd, a.ReferenceTime)
		}
	}
}

// A list of clients whose next index does not go on would never end.
func TestEndlessClientsOfChrony(t *testing.T) {
	r := newReplay(t, "4.3")
	again := func(_, reply []byte) [][]byte {
		binary.BigEndian.PutUint32(reply[28:], 1000) // indices
		binary.BigEndian.PutUint32(reply[32:], 0)    // next
		return [][]byte{reply}
	}
	r.instead.Store(&again)
	if _, err := r.client().Clients(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "does not end") {
		t.Errorf("%v", err)
	}
}

// Whatever octets a chronyd has for a name: metrics take UTF-8 alone, and nobody's terminal is to be moved.
func TestNamesOfChronyAreText(t *testing.T) {
	r := newReplay(t, "4.3")
	r.instead.Store(new(func(request, reply []byte) [][]byte {
		if cmdmon.Command(binary.BigEndian.Uint16(request[4:])) == cmdmon.NTPSourceName {
			copy(reply[28:], "ntp\xff\x1b[2J\u009b\u202e.example\x00")
		}
		return [][]byte{reply}
	}))
	all, err := r.client().Sources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const want = "ntp\ufffd?[2J??.example"
	if !slices.ContainsFunc(all, func(s api.Source) bool { return s.Name == want }) {
		t.Errorf("no source is called %q: %+v", want, all)
	}
}
