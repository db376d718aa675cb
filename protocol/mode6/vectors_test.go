package mode6

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// vector is one request to a real daemon and all that came back.
type vector struct {
	Name    string
	Request struct {
		Hex      string
		Version  uint8
		Op       int `json:"opcode"` // with the flags
		Sequence uint16
		ID       uint16 `json:"associd"`
		Count    int
		Data     string `json:"data_text"`
		Auth     *struct {
			ID        uint16 `json:"keyid"`
			Type      string
			Hex       string `json:"key_hex"`
			Offset    int    `json:"mac_offset"`
			Alignment int
			Wrong     bool `json:"mac_deliberately_wrong"`
		}
	}
	Responses []response
	NoReply   bool    `json:"no_reply"`
	Text      *string `json:"reassembled_text"`
	Decoded   json.RawMessage
}

type response struct {
	Hex         string
	Len         int
	Leap        uint8
	Version     uint8
	Error, More bool
	Op          uint8 `json:"opcode"`
	Sequence    uint16
	Status      string
	ID          uint16 `json:"associd"`
	Offset      uint16
	Count       int
	Pad         int        `json:"pad_after_data"`
	Code        *ErrorCode `json:"error_code"`
	Trailer     string     `json:"trailer_hex"`
	MAC         *struct {
		Offset int
		ID     uint16 `json:"keyid"`
	}
}

// daemon is a file of vectors.
type daemon struct {
	name    string
	Vectors []vector
	Keys    map[string]struct {
		Type string
		Hex  string `json:"key_hex"`
	}
}

// daemons are all the files, with as many vectors as there were when this was written.
func daemons(t testing.TB) []daemon {
	t.Helper()
	var all []daemon
	for name, n := range map[string]int{"ntp-4.2.8p15": 115, "ntpsec-1.2.2": 110, "ntpsec-1.2.5": 110} {
		d := daemon{name: name}
		load(t, "mode6-"+name+".json", &d)
		if len(d.Vectors) != n {
			t.Fatalf("%s has %d vectors, want %d", name, len(d.Vectors), n)
		}
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b daemon) int { return strings.Compare(a.name, b.name) })
	return all
}

func load(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
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

// latin1 is the octets of a text of the vectors.
func latin1(s string) []byte {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return b
}

func newKey(t testing.TB, id uint16, algorithm, secret string) *Key {
	t.Helper()
	a, err := ParseAlgorithm(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	k, err := NewKey(id, a, unhex(t, secret))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// request is the vector's as its fields say it, and its key if it has one.
func (v vector) request(t testing.TB) (Request, *Key) {
	q := Request{
		Leap: 3, Version: v.Request.Version, Op: Opcode(v.Request.Op), Sequence: v.Request.Sequence, Association: v.Request.ID,
		Data: latin1(v.Request.Data),
	}
	if a := v.Request.Auth; a != nil {
		return q, newKey(t, a.ID, a.Type, a.Hex)
	}
	return q, nil
}

// wrong are the requests that daemons refuse or drop for their form.
var wrong = []string{"rv_system_v5_ignored", "response_bit_set_ignored", "more_bit_set_ignored", "count_larger_than_data",
	"length_not_multiple_of_4", "count_469"}

// Every request that real daemons took comes out of ours, octet for octet, from what the vectors say of it.
func TestRequestsThatRealDaemonsTook(t *testing.T) {
	rebuilt, signed, forged, refused := 0, 0, 0, 0
	for _, d := range daemons(t) {
		for _, v := range d.Vectors {
			name, datagram := d.name+" "+v.Name, unhex(t, v.Request.Hex)
			parsed, err := ParseRequest(datagram)
			if slices.Contains(wrong, v.Name) {
				refused++
				if !errors.Is(err, ErrRequest) {
					t.Errorf("%s is parsed: %v", name, err)
				}
				continue
			}
			if again, err2 := parsed.AppendTo(nil); err != nil || err2 != nil || !bytes.Equal(again, datagram) {
				t.Errorf("%s: %v, %v, written again it is\n%x, want\n%x", name, err, err2, again, datagram)
			}
			q, key := v.request(t)
			if len(q.Data) != v.Request.Count || !bytes.Equal(parsed.Data, q.Data) || parsed.Op != q.Op || parsed.Association != q.Association {
				t.Errorf("%s: %+v, want %+v", name, parsed, q)
			}
			if key == nil {
				rebuilt++
				if got, err := q.AppendTo(nil); err != nil || !bytes.Equal(got, datagram) {
					t.Errorf("%s: %v\n%x, want\n%x", name, err, got, datagram)
				}
				continue
			}
			a := v.Request.Auth
			got, err := q.AppendSigned([]byte("before"), key, Alignment(a.Alignment))
			got = got[len("before"):]
			if err != nil || len(got) != len(datagram) || !bytes.Equal(got[:a.Offset], datagram[:a.Offset]) {
				t.Errorf("%s: %v\n%x, want\n%x", name, err, got, datagram)
			}
			if a.Wrong {
				forged++
				if err := key.Verify(datagram); !errors.Is(err, ErrMAC) {
					t.Errorf("%s: a wrong MAC: %v", name, err)
				}
				continue
			}
			signed++
			if err := key.Verify(datagram); err != nil || !bytes.Equal(got, datagram) {
				t.Errorf("%s: %v\n%x, want\n%x", name, err, got, datagram)
			}
		}
	}
	if all := [...]int{rebuilt, signed, forged, refused}; all != [...]int{201, 110, 6, 18} {
		t.Errorf("%v requests were rebuilt, signed, forged, refused", all)
	}
}

// Every datagram of an answer is as the vectors say, and is written again octet for octet.
func TestDatagramsOfRealDaemons(t *testing.T) {
	n, macs := 0, 0
	for _, d := range daemons(t) {
		for _, v := range d.Vectors {
			for i, r := range v.Responses {
				n++
				datagram := unhex(t, r.Hex)
				f, err := ParseFragment(datagram)
				if err != nil || !bytes.Equal(f.AppendTo(nil), datagram) {
					t.Errorf("%s %s %d: %v, written again it is\n%x, want\n%x", d.name, v.Name, i, err, f.AppendTo(nil), datagram)
				}
				status := unhex(t, strings.TrimPrefix(r.Status, "0x"))
				if byte(f.Leap) != r.Leap || f.Version != r.Version || f.Error != r.Error || f.More != r.More || byte(f.Op) != r.Op ||
					f.Sequence != r.Sequence || f.Status != uint16(status[0])<<8|uint16(status[1]) || f.Association != r.ID ||
					f.Offset != r.Offset || len(f.Data) != r.Count || len(datagram) != r.Len ||
					hex.EncodeToString(f.Trailer[r.Pad:]) != r.Trailer {
					t.Errorf("%s %s %d: %+v, want %+v", d.name, v.Name, i, f, r)
				}
				for id, k := range d.Keys {
					n, _ := strconv.ParseUint(id, 10, 16)
					key := newKey(t, uint16(n), k.Type, k.Hex)
					err := key.Verify(datagram)
					if want := r.MAC != nil && r.MAC.ID == key.ID(); want != (err == nil) || want && r.MAC.Offset != len(datagram)-key.macLen() {
						t.Errorf("%s %s %d: %v: %v", d.name, v.Name, i, key, err)
					}
				}
				if r.MAC != nil {
					macs++
				}
			}
		}
	}
	if n != 505 || macs != 123 {
		t.Errorf("%d datagrams, %d with a MAC", n, macs)
	}
}

// assemble gives the datagrams of a vector to an Assembly, in this order.
func assemble(a *Assembly, q Request, k *Key, datagrams [][]byte) (whole bool, err error) {
	a.Expect(q, k)
	for i, d := range datagrams {
		if whole, err = a.Add(d); err != nil || whole != (i == len(datagrams)-1) {
			return whole, err
		}
	}
	return whole, nil
}

func (v vector) datagrams(t testing.TB) [][]byte {
	var all [][]byte
	for _, r := range v.Responses {
		all = append(all, unhex(t, r.Hex))
	}
	return all
}

// Every answer comes out as the vectors say, in whatever order its datagrams arrive, and means something to its parser.
func TestAnswersOfRealDaemons(t *testing.T) {
	silent, refused, unsigned := 0, 0, 0
	meant := make(map[Opcode]int)
	var a Assembly
	for _, d := range daemons(t) {
		for _, v := range d.Vectors {
			name, datagrams := d.name+" "+v.Name, v.datagrams(t)
			q, key := v.request(t)
			if len(datagrams) == 0 {
				silent++
				if !v.NoReply {
					t.Errorf("%s: neither an answer nor silence", name)
				}
				continue
			}
			first := v.Responses[0]
			if key != nil && first.MAC == nil { // the daemon did not take the key
				unsigned++
				_, err := assemble(&a, q, key, datagrams)
				if _, refused := errors.AsType[ErrorCode](err); refused != first.Error || !refused && !errors.Is(err, ErrMAC) || a.Authentic() {
					t.Errorf("%s: %v, authentic %v", name, err, a.Authentic())
				}
				key = nil
			}
			if first.Code != nil {
				refused++
				whole, err := assemble(&a, q, key, datagrams)
				if code, ok := errors.AsType[ErrorCode](err); whole || !ok || code != *first.Code || a.Authentic() != (key != nil) || a.Data() != nil {
					t.Errorf("%s: whole %v, %v, want error %d", name, whole, err, *first.Code)
				}
				continue
			}
			for _, order := range []string{"in order", "backwards"} {
				whole, err := assemble(&a, q, key, datagrams)
				if f, _ := ParseFragment(datagrams[0]); err != nil || !whole || a.Status() != f.Status || a.Authentic() != (key != nil) {
					t.Errorf("%s %s: whole %v, %v", name, order, whole, err)
				}
				if v.Text != nil && !bytes.Equal(a.Data(), latin1(*v.Text)) {
					t.Errorf("%s %s:\n%q, want\n%q", name, order, a.Data(), latin1(*v.Text))
				}
				if v.Text == nil && v.Decoded == nil {
					t.Errorf("%s: the vector does not say what it means", name)
				}
				slices.Reverse(datagrams)
			}
			meant[q.Op]++
			checkMeaning(t, d, v, q, a.Data())
		}
	}
	if all := [...]int{silent, refused, unsigned}; all != [...]int{18, 81, 12} {
		t.Errorf("%v answers were silence, refusals, not signed", all)
	}
	if want := map[Opcode]int{
		OpUnspecified: 6, OpReadStatus: 9, OpReadVariables: 89, OpReadClock: 6, OpSetTrap: 1, OpUnsetTrap: 1, OpConfigure: 57,
		OpSaveConfig: 4, OpReadMRU: 45, OpReadOrdered: 12, OpRequestNonce: 6,
	}; !maps.Equal(meant, want) { // with 18 and 81 all 335 vectors
		t.Errorf("%v answers were read, want %v", meant, want)
	}
}
