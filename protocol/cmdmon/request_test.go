package cmdmon

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
)

// chronycRequests are what a real chronyc sent.
func chronycRequests(t testing.TB) [][]byte {
	var file struct {
		Vectors []struct {
			Command Command
			Hex     string
		}
	}
	load(t, "cmdmon-chronyc-4.3-requests.json", &file)
	if len(file.Vectors) < 20 {
		t.Fatalf("%d requests of chronyc", len(file.Vectors))
	}
	var all [][]byte
	for _, v := range file.Vectors {
		b := unhex(t, v.Hex)
		if Command(binary.BigEndian.Uint16(b[4:])) != v.Command {
			t.Fatalf("%x is not %v", b, v.Command)
		}
		all = append(all, b)
	}
	return all
}

// comesBack tells whether the parsed request, written again, is the datagram, padded and without the number of the attempt.
func comesBack(b []byte, q Request) error {
	want := bytes.Clone(b)
	want[6], want[7] = 0, 0
	want = append(want, make([]byte, max(0, RequestLen-len(want)))...)
	if again := q.AppendTo(nil); !bytes.Equal(again, want) {
		return fmt.Errorf("%x becomes %x, want %x", b, again, want)
	}
	return nil
}

func TestRequestsOfChronycAreParsed(t *testing.T) {
	for _, b := range chronycRequests(t) {
		q, err := ParseRequest(b)
		if err != nil {
			t.Errorf("%x: %v", b, err)
			continue
		}
		if err := comesBack(b, q); err != nil {
			t.Error(err)
		}
		if q.Resets() { // chronyc has clients -r for that, which is not among them
			t.Errorf("%v resets", q.Command)
		}
	}
}

// What chronyd answered is a request; what it did not answer is none, nor what it answered with "another version".
func TestRequestsThatRealDaemonsTake(t *testing.T) {
	for version, vectors := range daemons(t) {
		refused := 0
		for _, v := range vectors {
			const badVersion = 18
			taken := v.Reply != nil && v.Reply.Status != badVersion
			q, err := ParseRequest(unhex(t, v.Request.Hex))
			if (err == nil) != taken {
				t.Errorf("chrony %s %s: %v, taken by the daemon: %v", version, v.Name, err, taken)
			}
			if err != nil {
				refused++
				continue
			}
			if q.Command != v.Request.Command || q.Sequence != v.Request.Sequence {
				t.Errorf("chrony %s %s: %+v", version, v.Name, q)
			}
			if want := v.Name == "client_accesses_reset"; q.Resets() != want {
				t.Errorf("chrony %s %s: resets: %v", version, v.Name, q.Resets())
			}
		}
		if refused < 6 {
			t.Errorf("chrony %s: %d refused", version, refused)
		}
	}
}

func TestNoRequests(t *testing.T) {
	good := Request{Command: TrackingCommand, Sequence: 7}.AppendTo(nil)
	set := func(at int, value byte) []byte {
		b := bytes.Clone(good)
		b[at] = value
		return b
	}
	for name, b := range map[string][]byte{
		"empty": nil, "one octet": good[:1], "27 octets": good[:27], "861 octets": append(bytes.Clone(good), make([]byte, 861-len(good))...),
		"version": set(0, 5), "a reply": set(1, typeReply), "reserved": set(2, 1), "reserved too": set(3, 1), "padding": set(12, 1), "padding's end": set(19, 1),
	} {
		if q, err := ParseRequest(b); !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %+v, %v", name, q, err)
		}
	}
	for _, n := range []int{28, 520, 860} {
		if _, err := ParseRequest(append(bytes.Clone(good), make([]byte, 340)...)[:n]); err != nil {
			t.Errorf("%d octets: %v", n, err)
		}
	}
}

func TestResets(t *testing.T) {
	for _, reset := range []bool{false, true} {
		asked := Request{Command: ClientsCommand, Body: Page{First: 9, MinHits: 9, Reset: reset}}
		got, err := ParseRequest(asked.AppendTo(nil))
		if err != nil || got.Resets() != reset || asked.Resets() != reset {
			t.Errorf("%+v: %v, want %v: %v", got, got.Resets(), reset, err)
		}
	}
	if (Request{Command: ClientsCommand, Body: Raw{0, 0, 0, 0}}).Resets() || (Request{Command: ClientsCommand}).Resets() {
		t.Error("what is not there resets")
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, b := range chronycRequests(f) {
		f.Add(b)
	}
	f.Add(Request{Command: ClientsCommand, Body: Page{Reset: true}}.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := ParseRequest(b)
		if err != nil {
			return
		}
		if err := comesBack(b, q); err != nil {
			t.Fatal(err)
		}
		if q.Resets() && (q.Command != ClientsCommand || len(b) < 36) {
			t.Fatalf("%x resets", b)
		}
	})
}
