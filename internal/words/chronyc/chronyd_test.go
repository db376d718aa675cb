package chronyc

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

// session is a run of the real chronyc: what it asked, what it was answered, what it printed.
type session struct {
	Version, Command, Stdout string
	CSV                      bool
	Packets                  []struct{ Dir, Hex string }
}

func (s session) String() string { return s.Version + " " + s.Command }

// args are the word and its arguments.
func (s session) args() (string, []string) {
	f := strings.Fields(s.Command)
	return f[0], f[1:]
}

// sessions are those that print for people, of words that we have.
func sessions(t testing.TB) (all []session) {
	t.Helper()
	b, err := os.ReadFile("../../../protocol/cmdmon/testdata/cmdmon-chronyc-sessions.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Sessions []session }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	for _, s := range file.Sessions {
		name, _ := s.args()
		if !s.CSV && slices.ContainsFunc(vocabulary, func(w word) bool { return w.Name == name }) {
			all = append(all, s)
		}
	}
	return all
}

// door is a door whose chronyd is a function.
type door func(q cmdmon.Request) (cmdmon.Reply, error)

func (d door) Converse(_ context.Context, talk func(Ask) error) error {
	return talk(func(c cmdmon.Command, body cmdmon.Body) (cmdmon.Reply, error) {
		q := cmdmon.Request{Command: c, Body: body}
		r, err := d(q)
		if err == nil {
			err = r.Check(q)
		}
		if err != nil {
			err = fmt.Errorf("%v: %w", c, err) // as the real one says it
		}
		return r, err
	})
}

// replay answers what the session's chronyd did, and wants to be asked just what chronyc asked, in its order.
func (s session) replay(t testing.TB) door {
	packets := s.Packets
	t.Cleanup(func() {
		if len(packets) > 0 {
			t.Errorf("%v: %d datagrams of chronyc's are left", s, len(packets))
		}
	})
	return func(q cmdmon.Request) (r cmdmon.Reply, err error) {
		if len(packets) < 2 {
			return r, fmt.Errorf("chronyc did not ask %v", q)
		}
		asked, answered := unhex(t, packets[0].Hex), unhex(t, packets[1].Hex)
		packets = packets[2:]
		copy(asked[8:12], make([]byte, 4)) // the sequence
		ours := q.AppendTo(nil)
		if len(asked) > len(ours) || !bytes.Equal(asked, ours[:len(asked)]) || bytes.ContainsFunc(ours[len(asked):], func(r rune) bool { return r != 0 }) {
			t.Errorf("%v: asks\n%x, chronyc asked\n%x", s, bytes.TrimRight(ours, "\x00"), asked)
		}
		r, err = cmdmon.ParseReply(answered)
		r.Sequence = 0
		return r, err
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// raw is a reply with that body; a body that is too short is filled with zeros.
func raw(c cmdmon.Command, typ cmdmon.ReplyType, status cmdmon.Status, body []byte) (cmdmon.Reply, error) {
	b := cmdmon.Reply{Command: c, Type: typ, Status: status, Body: body}.AppendTo(nil)
	return cmdmon.ParseReply(append(b, make([]byte, max(0, cmdmon.RequestLen-len(b)))...))
}

// body is one of big-endian numbers; what is no number goes in as it is.
func body(all ...any) (b []byte) {
	for _, v := range all {
		switch v := v.(type) {
		case int:
			b = binary.BigEndian.AppendUint32(b, uint32(v))
		case string:
			b = append(b, v...)
		case cmdmon.Address:
			b = v.AppendTo(b)
		default:
			b, _ = binary.Append(b, binary.BigEndian, v)
		}
	}
	return b
}
