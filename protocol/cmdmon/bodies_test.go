package cmdmon

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"
)

// changing are requests of each kind that change something and have a body.
func changing(t testing.TB) []Request {
	t.Helper()
	source, err := DefaultSource(Pool, "pool.example")
	if err != nil {
		t.Fatal(err)
	}
	source.Flags |= SourceNTS | SourceIBurst
	subnet := Subnet(netip.MustParsePrefix("2001:db8::/33"))
	one := Address{IP: netip.MustParseAddr("192.0.2.1")}
	return []Request{
		{Command: Online, Body: Subnet{}}, {Command: Offline, Body: subnet},
		{Command: Burst, Body: Measurements{subnet, 4, 8}},
		{Command: ModifyMinPoll, Body: Poll{one, -3}}, {Command: ModifyMaxPoll, Body: Poll{Address{ID: 7}, 10}},
		{Command: DelSource, Body: Of(Address{ID: 0x01020304})}, {Command: AddSource, Body: source},
		{Command: SetTime, Body: Moment(time.Unix(1_800_000_000, 5).UTC())},
	}
}

func TestBodiesAreReadAsTheyWereWritten(t *testing.T) {
	for _, q := range changing(t) {
		raw, err := ParseRequest(q.AppendTo(nil))
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseBody(raw)
		if err != nil || got != q.Body {
			t.Errorf("%v: %+v, %v, want %+v", q.Command, got, err, q.Body)
		}
		if same, err := ParseBody(q); err != nil || same != q.Body {
			t.Errorf("%v, read before: %+v, %v", q.Command, same, err)
		}
	}
}

// What chronyc and real sessions sent is read, and written again as it was.
func TestBodiesOfRealRequests(t *testing.T) {
	typed := 0
	check := func(name string, datagram []byte) {
		q, err := ParseRequest(datagram)
		if err != nil {
			return
		}
		body, err := ParseBody(q)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if _, raw := body.(Raw); !raw {
			typed++
		}
		q.Body = body
		if got := q.AppendTo(nil); !samePadded(got, datagram) {
			t.Errorf("%s:\n%x, want\n%x", name, got, datagram)
		}
	}
	for _, b := range chronycRequests(t) {
		check("chronyc", b)
	}
	for version, vectors := range daemons(t) {
		for _, v := range vectors {
			if v.Reply != nil && v.Reply.Status == Success {
				check(version+" "+v.Name, unhex(t, v.Request.Hex))
			}
		}
	}
	if typed < 20 {
		t.Errorf("only %d bodies were read", typed)
	}
}

func TestBodiesThatNoChronycSends(t *testing.T) {
	holes := append(Address{IP: netip.MustParseAddr("255.0.255.0")}.AppendTo(nil), Address{IP: netip.MustParseAddr("10.0.0.0")}.AppendTo(nil)...)
	families := append(Address{IP: netip.MustParseAddr("ffff::")}.AppendTo(nil), Address{IP: netip.MustParseAddr("10.0.0.0")}.AppendTo(nil)...)
	endless := bytes.Repeat([]byte{'a'}, 352)
	for name, q := range map[string]Request{
		"a mask with holes":   {Command: Online, Body: Raw(holes)},
		"two families":        {Command: Offline, Body: Raw(families)},
		"half a body":         {Command: Burst, Body: Raw(holes[:20])},
		"nothing":             {Command: DelSource, Body: Raw(nil)},
		"a name without end":  {Command: AddSource, Body: Raw(endless)},
		"something behind it": {Command: ModifyMinPoll, Body: Raw(bytes.Repeat([]byte{1}, 25))},
	} {
		if body, err := ParseBody(q); !errors.Is(err, ErrBody) || !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %+v, %v", name, body, err)
		}
	}
}

// A body that is read is written again so that it reads the same.
func FuzzParseBody(f *testing.F) {
	for _, q := range changing(f) {
		f.Add(q.AppendTo(nil))
	}
	for _, b := range chronycRequests(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := ParseRequest(b)
		if err != nil {
			return
		}
		body, err := ParseBody(q)
		if err != nil {
			return
		}
		written := Request{Command: q.Command, Sequence: q.Sequence, Body: body}.AppendTo(nil)
		back, err := ParseRequest(written)
		if err != nil {
			t.Fatalf("%+v becomes %x: %v", body, written, err)
		}
		again, err := ParseBody(back)
		if err != nil {
			t.Fatalf("%+v becomes %x: %v", body, written, err)
		}
		if twice := (Request{Command: q.Command, Sequence: q.Sequence, Body: again}).AppendTo(nil); !bytes.Equal(twice, written) {
			t.Fatalf("%x becomes %x", written, twice)
		}
	})
}
