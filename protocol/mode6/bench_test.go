package mode6

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
)

// recorded is a walk through many clients as the datagrams that a daemon sent for it.
func recorded(t testing.TB, clients int) [][][]byte {
	d := newMRUDaemon(true, clients)
	var rounds [][][]byte
	walk(t, NewWalk(0), func(q Request) ([]byte, error) {
		data, err := d.answer(t, q)
		rounds = append(rounds, split(q, data))
		return data, err
	})
	return rounds
}

// split cuts an answer into full datagrams.
func split(q Request, data []byte) [][]byte {
	var all [][]byte
	for at := 0; ; at += MaxData {
		end := min(at+MaxData, len(data))
		f := Fragment{Version: 2, Op: q.Op, More: end < len(data), Offset: uint16(at), Data: data[at:end]}
		all = append(all, f.AppendTo(nil))
		if !f.More {
			return all
		}
	}
}

// replay walks through what was recorded: all that a client does but for waiting.
func replay(t testing.TB, rounds [][][]byte) *Walk {
	w := NewWalk(0)
	var a Assembly
	var request []byte
	for _, round := range rounds {
		q, more := w.Next(time.Time{})
		if !more {
			t.Fatal(w.Err())
		}
		request, _ = q.AppendTo(request[:0])
		a.Expect(q, nil)
		for _, d := range round {
			if _, err := a.Add(d); err != nil {
				t.Fatal(err)
			}
		}
		w.Answer(a.Data(), nil)
	}
	if _, more := w.Next(time.Time{}); more || w.Err() != nil {
		t.Fatal(more, w.Err())
	}
	return w
}

func BenchmarkWalk(b *testing.B) {
	for _, n := range []int{1000, 10000, 60000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			rounds := recorded(b, n)
			b.ReportAllocs()
			for b.Loop() {
				replay(b, rounds)
			}
			b.ReportMetric(float64(len(rounds)), "rounds")
		})
	}
}

func BenchmarkParseVariables(b *testing.B) {
	var text []byte
	for _, v := range daemons(b)[2].Vectors {
		if v.Name == "rv_many_names" {
			text = latin1(*v.Text)
		}
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		_, _ = ParseVariables(text)
	}
}

// allocated measures all that f allocates: the least of three runs, since the runtime allocates now and then, too.
func allocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// No parser allocates more than a constant factor of what it reads, be it made for that.
func TestParsersAllocateInProportion(t *testing.T) {
	const most = MaxDatagrams * MaxData
	fill := func(s string) []byte { return []byte(strings.Repeat(s, most/len(s))) }
	numbered := func(format string) []byte {
		var b []byte
		for i := 0; len(b) < most; i++ {
			b = fmt.Appendf(b, format, i)
		}
		return b
	}
	inputs := [][]byte{fill(","), fill("a,"), fill("a=,"), fill(`a="`), fill(`a=",`), fill(`"`), fill(`a="b",`), fill("="), fill(" "), fill("filtdelay=,"),
		fill("filtdelay=1 "), fill("filtdisp=1, "), fill("a"), fill("\x00"), fill("addr.0=[::1%x]:1,"), fill("0,x.0,"),
		numbered("addr.%d=,"), numbered("ct.%d,"), numbered("flags.%d=a b c,"), numbered("abc.%d=1,"), numbered("addr.1=[fe80::%%%d]:1,")}
	for _, d := range daemons(t) {
		for _, v := range d.Vectors {
			if v.Text != nil {
				inputs = append(inputs, latin1(*v.Text))
			}
		}
	}
	for _, in := range inputs {
		for name, parse := range map[string]func(){
			"variables":    func() { _, _ = ParseVariables(in) },
			"interfaces":   func() { _, _ = ParseInterfaces(in) },
			"restrictions": func() { _, _ = ParseRestrictions(in) },
			"clients":      func() { _, _ = parseList(nil, in) },
			"associations": func() { _, _ = ParseAssociations(in) },
			"request":      func() { _, _ = ParseRequest(in) },
			"fragment":     func() { _, _ = ParseFragment(in) },
		} {
			if got, bound := allocated(parse), uint64(4096+64*len(in)); got > bound {
				t.Errorf("%s of %d octets %.20q: %d octets allocated, at most %d", name, len(in), in, got, bound)
			}
		}
	}
}

// What an Assembly and a Walk hold does not grow with what they are given.
func TestMemoryOfAWalk(t *testing.T) {
	const clients = 10000
	rounds := recorded(t, clients)
	var w *Walk
	if got := allocated(func() { w = replay(t, rounds) }); got > 16<<20 {
		t.Errorf("%d octets allocated for %d clients", got, clients)
	}
	if len(w.Clients()) != clients {
		t.Fatal(len(w.Clients()))
	}
	var a Assembly
	q := Request{Op: OpReadMRU}
	data := bytes.Repeat([]byte("x"), maxFrags*MaxData)
	datagrams := split(q, data)
	again := func() {
		a.Expect(q, nil)
		for _, d := range datagrams {
			if _, err := a.Add(d); err != nil {
				t.Fatal(err)
			}
		}
	}
	again()
	if got := testing.AllocsPerRun(10, again); got != 0 {
		t.Errorf("%v allocations for an answer like the one before", got)
	}
}
