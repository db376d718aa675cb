package mode6

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The walks of the vectors, in order: we ask what they asked, octet for octet, and end where they did.
func TestWalksOfRealDaemons(t *testing.T) {
	for _, d := range daemons(t) {
		w := NewWalk(0)
		rounds, addresses := 0, make(map[string]bool)
		for _, v := range d.Vectors {
			if !strings.HasPrefix(v.Name, "mru_walk_") {
				continue
			}
			rounds++
			w.frags = 10 // as those did
			q, more := w.Next(time.Time{})
			if !more || int(q.Op) != v.Request.Op || string(q.Data) != v.Request.Data {
				t.Fatalf("%s %s: asks %v %q, want %q", d.name, v.Name, q.Op, q.Data, v.Request.Data)
			}
			q.Sequence, q.Version, q.Leap = v.Request.Sequence, v.Request.Version, 3
			if b, err := q.AppendTo(nil); err != nil || !bytes.Equal(b, unhex(t, v.Request.Hex)) {
				t.Fatalf("%s %s: %x, %v", d.name, v.Name, b, err)
			}
			var a Assembly
			_, err := assemble(&a, q, nil, v.datagrams(t))
			w.Answer(a.Data(), err)
			for _, m := range listed.FindAllStringSubmatch(*v.Text, -1) {
				addresses[m[1]] = true
			}
		}
		if q, more := w.Next(time.Time{}); more || w.Err() != nil || w.Now() == 0 || w.Lost() != 0 {
			t.Errorf("%s: asks %q after the end: %v, now %x, lost %d", d.name, q.Data, w.Err(), w.Now(), w.Lost())
		}
		if rounds < 6 || len(w.Clients()) != len(addresses) || len(addresses) < 154 {
			t.Errorf("%s: %d clients of %d in %d rounds", d.name, len(w.Clients()), len(addresses), rounds)
		}
	}
}

var listed = regexp.MustCompile(`(?:^|, |,\r\n)addr\.[0-9]+=([0-9.]+|\[[0-9a-f:]+\]):[0-9]+`)

type session struct {
	Command, Client string
	Stderr          string
	Packets         []struct{ Dir, Hex string }
}

// The packets of whole ntpq runs are all understood, and are all parts of whole answers.
func TestSessionsOfNTPQ(t *testing.T) {
	var file struct{ Sessions []session }
	load(t, "mode6-ntpq-sessions.json", &file)
	packets := 0
	for _, s := range file.Sessions {
		name := s.Client + ": " + s.Command
		var q Request
		var a Assembly
		whole := true
		w := NewWalk(0)
		for _, p := range s.Packets {
			packets++
			b := unhex(t, p.Hex)
			if p.Dir == "tx" {
				var err error
				if q, err = ParseRequest(b); err != nil || !whole {
					t.Fatalf("%s: %v, the answer before was whole: %v", name, err, whole)
				}
				a.Expect(q, nil)
				continue
			}
			var err error
			if whole, err = a.Add(b); err != nil {
				if code, ok := errors.AsType[ErrorCode](err); !ok || code != CodeVariable { // ntpq then asks one by one
					t.Errorf("%s: %v", name, err)
				}
				whole = true
				continue
			}
			if whole {
				checkSession(t, name, q, w, &a)
			}
		}
		if !whole {
			t.Errorf("%s: the last answer is not whole", name)
		}
		if s.Command == "mrulist" && strings.Contains(s.Stderr, "Retrieved") {
			if want := fmt.Sprintf("Retrieved %d unique MRU entries", len(w.clients)); !strings.Contains(s.Stderr, want) {
				t.Errorf("%s: %s, want %q", name, want, s.Stderr)
			}
		}
	}
	if len(file.Sessions) != 38 || packets != 340 {
		t.Errorf("%d packets of %d sessions", packets, len(file.Sessions))
	}
}

func checkSession(t *testing.T, name string, q Request, w *Walk, a *Assembly) {
	t.Helper()
	switch data := a.Data(); q.Op {
	case OpReadStatus:
		all, err := ParseAssociations(data)
		if err != nil || len(all) == 0 || !slices.ContainsFunc(all, func(a Association) bool { return a.Status.Configured() }) {
			t.Errorf("%s: %v, %v", name, all, err)
		}
	case OpReadVariables, OpReadClock:
		checkVariables(t, name, string(data))
	case OpRequestNonce:
		checkList(t, name, nil, data)
	case OpReadMRU:
		checkList(t, name, nil, data)
		l, _ := parseList(nil, data)
		w.merge(l.clients)
	case OpReadOrdered:
		checkOrdered(t, name, string(q.Data), data)
	case OpConfigure:
		if text := Sentence(data); text != "Config Succeeded" {
			t.Errorf("%s: %q", name, text)
		}
	default:
		t.Errorf("%s: no parser for %v", name, q.Op)
	}
}
