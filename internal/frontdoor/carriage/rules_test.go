package carriage

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/cmdmon"
	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// grant is the lowest role that may, and whether Writes is needed; nobody stands for never.
type grant struct {
	role    api.Role
	changes bool
}

const nobody = api.Admin + 1

func (g grant) permits(role api.Role, writes bool) bool {
	return role >= g.role && (writes || !g.changes)
}

// each calls f for every role, with writes and without.
func each(f func(role api.Role, writes bool)) {
	for _, writes := range []bool{false, true} {
		for role := api.Anonymous; role <= api.Admin; role++ {
			f(role, writes)
		}
	}
}

// Every opcode by every role, as the table in the manual has it.
func TestOpcodesByRole(t *testing.T) {
	granted := map[mode6.Opcode]grant{
		0: {api.Monitor, false}, 1: {api.Monitor, false}, 2: {api.Monitor, false}, 4: {api.Monitor, false},
		10: {api.Monitor, false}, 12: {api.Monitor, false},
		11: {api.Operator, false},
		8:  {api.Admin, true}, 9: {api.Admin, true},
	}
	key, err := mode6.NewKey(1, mode6.SHA1, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	for op := mode6.Opcode(0); op < 32; op++ {
		g, ok := granted[op]
		if !ok {
			g.role = nobody
		}
		signed := g // an authenticated read changes counts
		if ok && op != mode6.OpReadOrdered {
			signed = grant{max(g.role, api.Operator), true}
		}
		request := mode6.Request{Version: 3, Op: op, Sequence: 0x1234, Association: 7, Data: []byte("leap")}
		plain, err := request.AppendTo(nil)
		if err != nil {
			t.Fatal(err)
		}
		withMAC, err := request.AppendSigned(nil, key, mode6.Align4)
		if err != nil {
			t.Fatal(err)
		}
		each(func(role api.Role, writes bool) {
			for what, c := range map[string]struct {
				grant
				frame []byte
			}{"": {g, plain}, " with a MAC": {signed, withMAC}} {
				name := fmt.Sprintf("%v%s by %v, writes %v", op, what, role, writes)
				d := mode6Wire{}.judge(c.frame, role, writes)
				if c.permits(role, writes) {
					if d.verdict != forwarded || d.refusal != nil || d.asked.key != mode6Key(op, 0x1234, 7) {
						t.Errorf("%s: %+v", name, d)
					}
					continue
				}
				if written := d.change != ""; written != (c.changes || c.role == nobody) {
					t.Errorf("%s: written down as %q", name, d.change)
				}
				f, err := mode6.ParseFragment(d.refusal)
				if d.verdict != refused || err != nil || !f.Error || f.More || f.Status != 1<<8 || f.Op != op || f.Sequence != 0x1234 ||
					f.Association != 7 || f.Version != 3 || len(d.refusal) > len(c.frame) {
					t.Errorf("%s: %+v, %+v, %v", name, d, f, err)
				}
			}
		})
	}
}

// Every command by every role, those that chronyd does not know included.
func TestCommandsByRole(t *testing.T) {
	granted := map[cmdmon.Command]grant{}
	for _, c := range []cmdmon.Command{14, 15, 33, 34, 35, 41, 44, 51, 65, 25, 26, 54, 57, 67, 68, 69} {
		granted[c] = grant{api.Monitor, false}
	}
	for _, c := range []cmdmon.Command{1, 2, 63, 3, 4, 5, 7, 8, 47, 45, 46, 9, 48, 49, 6, 16, 37, 53, 70} {
		granted[c] = grant{api.Operator, true}
	}
	for _, c := range []cmdmon.Command{64, 29, 72, 73, 66, 17, 18, 19, 20, 56, 74, 52, 30} {
		granted[c] = grant{api.Admin, true}
	}
	// settime, manual, manual delete, cmdallow and so on, dfreq, doffset, trimrtc, makestep, shutdown
	for _, never := range []cmdmon.Command{11, 13, 42, 21, 22, 23, 24, 31, 32, 71, 36, 43, 50, 62} {
		if _, ok := granted[never]; ok {
			t.Fatalf("this test grants %v", never)
		}
	}
	for c := cmdmon.Command(0); c < 300; c++ {
		g, ok := granted[c]
		if !ok {
			g.role = nobody
		}
		q := cmdmon.Request{Command: c, Sequence: 99}
		frame := q.AppendTo(nil)
		each(func(role api.Role, writes bool) {
			d := cmdmonWire{}.judge(frame, role, writes)
			if g.permits(role, writes) {
				if d.verdict != forwarded || d.refusal != nil || d.asked != (question{uint64(c)<<32 | 99, 1, len(frame)}) {
					t.Errorf("%v by %v, writes %v: %+v", c, role, writes, d)
				}
				return
			}
			if written := d.change != ""; written != (g.changes || !ok) {
				t.Errorf("%v by %v, writes %v: written down as %q", c, role, writes, d.change)
			}
			p, err := cmdmon.ParseReply(d.refusal)
			if d.verdict != refused || err != nil || !errors.Is(p.Check(q), cmdmon.Unauthorised) || len(d.refusal) != 28 {
				t.Errorf("%v by %v, writes %v: %+v, %+v, %v", c, role, writes, d, p, err)
			}
		})
	}
}

// To read the clients is for monitors, but not to set their counters to zero on the way.
func TestReadingMayNotReset(t *testing.T) {
	frame := cmdmon.Request{Command: cmdmon.ClientsCommand, Body: cmdmon.Page{Reset: true}}.AppendTo(nil)
	each(func(role api.Role, writes bool) {
		d := cmdmonWire{}.judge(frame, role, writes)
		if want := writes && role >= api.Operator; (d.verdict == forwarded) != want {
			t.Errorf("%v, writes %v: %v", role, writes, d.verdict)
		}
	})
}

func TestMalformedFramesAreForNobody(t *testing.T) {
	good := ask6(mode6.OpReadVariables, 1)
	set := func(b []byte, at int, value byte) []byte {
		b = append([]byte{}, b...)
		b[at] = value
		return b
	}
	chrony := askChrony(cmdmon.TrackingCommand, 1)
	for name, c := range map[string]struct {
		wire
		frame []byte
	}{
		"11 octets": {mode6Wire{}, good[:11]}, "not padded": {mode6Wire{}, append(append([]byte{}, good...), 0)},
		"R": {mode6Wire{}, set(good, 1, 0x82)}, "E": {mode6Wire{}, set(good, 1, 0x42)}, "M": {mode6Wire{}, set(good, 1, 0x22)},
		"offset": {mode6Wire{}, set(good, 9, 1)}, "mode 3": {mode6Wire{}, set(good, 0, 0x13)}, "mode 7": {mode6Wire{}, set(good, 0, 0x17)},
		"version 0": {mode6Wire{}, set(good, 0, 6)}, "version 5": {mode6Wire{}, set(good, 0, 5<<3|6)},
		"too long": {mode6Wire{}, make([]byte, 1024)}, "chronyc's": {mode6Wire{}, chrony}, "text": {mode6Wire{}, []byte("GET / HTTP/1.1\r\n")},
		"27 octets": {cmdmonWire{}, chrony[:27]}, "861 octets": {cmdmonWire{}, append(append([]byte{}, chrony...), make([]byte, 341)...)},
		"version": {cmdmonWire{}, set(chrony, 0, 5)}, "a reply": {cmdmonWire{}, set(chrony, 1, 2)}, "reserved": {cmdmonWire{}, set(chrony, 3, 1)},
		"ntpq's": {cmdmonWire{}, append(append([]byte{}, good...), make([]byte, 40)...)},
	} {
		each(func(role api.Role, writes bool) {
			if d := c.judge(c.frame, role, writes); d.verdict != malformed || d.refusal != nil {
				t.Errorf("%s: %+v", name, d)
			}
		})
	}
}
