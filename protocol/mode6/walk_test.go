package mode6

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// check compares what a walk found with what the daemon has.
func check(t *testing.T, w *Walk, d *mruDaemon) {
	t.Helper()
	if w.Err() != nil || len(w.Clients()) != len(d.clients) || w.Now() != d.clock {
		t.Fatalf("%d clients of %d, %v, now %x", len(w.Clients()), len(d.clients), w.Err(), w.Now())
	}
	got := slices.Clone(w.Clients())
	slices.SortFunc(got, func(a, b Client) int { return int(int64(a.Last - b.Last)) })
	for i, c := range got {
		if c != d.clients[i] {
			t.Fatalf("client %d is %+v, want %+v", i, c, d.clients[i])
		}
	}
}

func TestWalk(t *testing.T) {
	for _, ntpsec := range []bool{false, true} {
		for _, n := range []int{0, 1, 2, 7, 100, 3000} {
			t.Run(fmt.Sprintf("ntpsec %v, %d clients", ntpsec, n), func(t *testing.T) {
				d := newMRUDaemon(ntpsec, n)
				w := NewWalk(0)
				walk(t, w, func(q Request) ([]byte, error) { return d.answer(t, q) })
				check(t, w, d)
				if w.Lost() != 0 || d.requests > 2+n/70 {
					t.Errorf("%d requests, lost %d", d.requests, w.Lost())
				}
			})
		}
	}
}

// Clients stay active while we read, and come again; new ones come. At the end we have what the daemon has, but for the
// packets since their entries were read.
func TestWalkWhileClientsAreActive(t *testing.T) {
	for _, ntpsec := range []bool{false, true} {
		d := newMRUDaemon(ntpsec, 2000)
		d.before = func(d *mruDaemon, q Request) {
			for range 40 {
				d.touch(d.random.IntN(len(d.clients)))
			}
			d.arrive()
		}
		w := NewWalk(0)
		walk(t, w, func(q Request) ([]byte, error) { return d.answer(t, q) })
		if w.Err() != nil || len(w.Clients()) != len(d.clients) || w.Lost() > 2 {
			t.Errorf("ntpsec %v: %d clients of %d, %v, lost %d", ntpsec, len(w.Clients()), len(d.clients), w.Err(), w.Lost())
		}
	}
}

// All that we would resume at is active just then, several times over: we back up, at last to the start, and miss nobody.
func TestWalkThatLosesItsPlace(t *testing.T) {
	for _, ntpsec := range []bool{false, true} {
		for _, depth := range []int{10, 100, 5000} {
			d := newMRUDaemon(ntpsec, 600)
			d.before = func(d *mruDaemon, q Request) {
				if d.requests != 4 {
					return
				}
				known := strings.Count(string(q.Data), "addr.")
				at := slices.IndexFunc(d.clients, func(c Client) bool { return strings.Contains(string(q.Data), "addr.0="+c.Address.String()+",") })
				for i := range min(depth, at+1) {
					d.touch(at - i)
				}
				if known == 0 || at < 0 {
					t.Fatal("the walk resumes nowhere")
				}
			}
			w := NewWalk(0)
			walk(t, w, func(q Request) ([]byte, error) { return d.answer(t, q) })
			check(t, w, d)
			if w.Lost() == 0 || w.Lost() > 6 {
				t.Errorf("ntpsec %v, depth %d: lost %d times", ntpsec, depth, w.Lost())
			}
		}
	}
}

func TestWalkWithLosses(t *testing.T) {
	d := newMRUDaemon(true, 1000)
	w := NewWalk(0)
	n := 0
	walk(t, w, func(q Request) ([]byte, error) {
		data, err := d.answer(t, q)
		if n++; n%4 == 3 {
			return nil, errSilence
		}
		return data, err
	})
	check(t, w, d)
	if d.frags[0] != maxFrags || slices.Min(d.frags) > maxFrags/4 || slices.Min(d.frags) < minFrags {
		t.Errorf("asked for %v datagrams", d.frags)
	}
	grown := slices.ContainsFunc(d.frags[1:], func(f int) bool { return f%2 != 0 })
	if !grown {
		t.Errorf("never asked for more again: %v", d.frags)
	}
}

func TestWalkMeetsSilence(t *testing.T) {
	w := NewWalk(0)
	n := 0
	walk(t, w, func(Request) ([]byte, error) { n++; return nil, errSilence })
	if !errors.Is(w.Err(), errSilence) || n != maxLosses+1 {
		t.Errorf("%v after %d requests", w.Err(), n)
	}
	if w.Answer([]byte("now=0xeeade66f.1290baa5"), nil); w.Now() != 0 {
		t.Error("an answer after the end was taken")
	}
}

func TestNonceThatIsOld(t *testing.T) {
	d := newMRUDaemon(true, 500)
	w := NewWalk(0)
	now := time.Unix(1e9, 0)
	var ops []Opcode
	for _, later := range []time.Duration{0, time.Second, nonceLife, 1, 2 * nonceLife, 1} {
		now = now.Add(later)
		q, _ := w.Next(now)
		ops = append(ops, q.Op)
		w.Answer(d.answer(t, q))
	}
	if want := []Opcode{OpRequestNonce, OpReadMRU, OpReadMRU, OpReadMRU, OpRequestNonce, OpReadMRU}; !slices.Equal(ops, want) {
		t.Errorf("%v, want %v", ops, want)
	}
}

func TestLimitOfClients(t *testing.T) {
	for limit, want := range map[int]int{1: 1, 100: 100, 299: 299, 300: 300, 301: 300, 0: 300, -1: 300, MaxClients + 1: 300} {
		d := newMRUDaemon(true, 300)
		w := NewWalk(limit)
		walk(t, w, func(q Request) ([]byte, error) { return d.answer(t, q) })
		if full := want == limit && want < 300; len(w.Clients()) != want || full != errors.Is(w.Err(), ErrTooManyClients) || full != (w.Now() == 0) {
			t.Errorf("limit %d: %d clients, %v", limit, len(w.Clients()), w.Err())
		}
	}
	if w := NewWalk(MaxClients + 1); w.limit != MaxClients {
		t.Error(w.limit)
	}
}

// A daemon may answer what it likes: the walk ends with the cause, in a bounded number of rounds, and holds little.
func TestWalkWithHostileDaemons(t *testing.T) {
	const nonce = "nonce=00112233445566778899aabb, "
	one := "addr.0=192.0.2.1:123, last.0=0xeeade66f.1290baa5, "
	n := 0
	for _, c := range []struct {
		name   string
		answer func(q Request) ([]byte, error)
		want   error
		rounds int
	}{
		{"always the same entry", func(Request) ([]byte, error) { return []byte(nonce + one), nil }, ErrNoHeadway, 2 + maxStalled + 1},
		{"no entry ever", func(Request) ([]byte, error) { return []byte(nonce), nil }, ErrNoHeadway, 1 + maxStalled + 1},
		{"entries without address", func(Request) ([]byte, error) { return []byte(nonce + "last.0=0xeeade66f.1290baa5"), nil }, ErrNoHeadway, 1 + maxStalled + 1},
		{"always active", func(Request) ([]byte, error) {
			n++
			return fmt.Appendf(nil, "%saddr.0=192.0.2.1:123, last.0=0xeeade66f.%08x", nonce, n), nil
		}, ErrNoHeadway, spareRounds + 1000/clientsARound},
		{"ever new clients", func(Request) ([]byte, error) {
			text := []byte(nonce)
			for i := range 100 {
				n++
				text = fmt.Appendf(text, "addr.%d=[2001:db8::%x:%x]:1, last.%d=0xeeade66f.%08x,", i, n>>16, n&0xffff, i, n)
			}
			return text, nil
		}, ErrTooManyClients, 12},
		{"always lost", func(q Request) ([]byte, error) {
			if strings.Contains(string(q.Data), "addr.0") {
				return nil, CodeVariable
			}
			return []byte(nonce + one), nil
		}, ErrNoHeadway, spareRounds + 1000/clientsARound},
		{"resumed where nobody asked", func(Request) ([]byte, error) {
			return []byte(nonce + one + "last.older=0x11111111.11111111, now=0xeeade66f.1290baa5"), nil
		}, ErrNoHeadway, 1 + maxStalled + 1},
		{"no nonce", func(Request) ([]byte, error) { return []byte(one), nil }, ErrNoNonce, 1},
		{"a nonce that asks more", func(Request) ([]byte, error) { return []byte(`nonce="00, limit=1", `), nil }, ErrNoNonce, 1},
		{"a long nonce", func(Request) ([]byte, error) { return []byte("nonce=" + strings.Repeat("0", maxNonce+1)), nil }, ErrNoNonce, 1},
		{"a nonce at first only", func(q Request) ([]byte, error) {
			if q.Op == OpRequestNonce {
				return []byte(nonce), nil
			}
			return []byte(one), nil
		}, ErrNoHeadway, 2 * (maxStalled + 2)},
		{"too many entries", func(q Request) ([]byte, error) {
			var text []byte
			for i := range MaxEntries + 1 {
				text = fmt.Appendf(text, "ct.%d=,", i)
			}
			return text, nil
		}, ErrTooLong, maxLosses + 1},
		{"refuses", func(q Request) ([]byte, error) { return nil, CodePermission }, CodePermission, 1},
		{"refuses without points", func(q Request) ([]byte, error) {
			if q.Op == OpRequestNonce {
				return []byte(nonce), nil
			}
			return nil, CodeVariable
		}, CodeVariable, 2},
		{"refuses, wrapped", func(q Request) ([]byte, error) { return nil, fmt.Errorf("neighbour: %w", CodeOpcode) }, CodeOpcode, 1},
	} {
		w := NewWalk(1000)
		rounds := 0
		walk(t, w, func(q Request) ([]byte, error) { rounds++; return c.answer(q) })
		if !errors.Is(w.Err(), c.want) || rounds != c.rounds || w.Now() != 0 {
			t.Errorf("%s: %v after %d rounds, want %v after %d", c.name, w.Err(), rounds, c.want, c.rounds)
		}
		if len(w.Clients()) > 1000 || cap(w.trail) > 4*maxTrail {
			t.Errorf("%s: %d clients, %d points held", c.name, len(w.Clients()), cap(w.trail))
		}
	}
}

// Whatever comes, in whatever order, again and again: a walk ends within its bounds, its requests are well formed, and its
// memory is what it promised.
func FuzzWalk(f *testing.F) {
	for _, d := range daemons(f) {
		var text strings.Builder
		for _, v := range d.Vectors {
			if strings.HasPrefix(v.Name, "mru_") && v.Text != nil {
				text.WriteString(*v.Text + "\n\n")
			}
		}
		f.Add([]byte(text.String()), uint8(200))
	}
	f.Add([]byte("nonce=00\n\n\x05\n\n\x80"), uint8(3))
	f.Add([]byte("nonce=00, addr.0=[::1]:1, last.0=0x1.00000001\n\nnonce=0, addr.0=[::2]:1, last.0=0x1.00000002\n\n\x05"), uint8(0))
	f.Fuzz(func(t *testing.T, answers []byte, limit uint8) {
		all := strings.Split(string(answers), "\n\n")
		w := NewWalk(int(limit) + 1)
		i := 0
		walk(t, w, func(q Request) ([]byte, error) {
			if op := q.Op; op != OpReadMRU && op != OpRequestNonce || len(q.Data) > MaxData || len(w.named) > maxPoints {
				t.Fatalf("asks %v %q", q.Op, q.Data)
			}
			one := all[i%len(all)]
			i++
			if len(one) == 1 && one[0] < 0x80 {
				return nil, ErrorCode(one[0])
			}
			if len(one) == 1 {
				return nil, errSilence
			}
			return []byte(one), nil
		})
		if !w.done || w.Err() == nil && w.Now() == 0 && !strings.Contains(string(answers), "now=0x") {
			t.Fatalf("not done: %v", w.Err())
		}
		if len(w.clients) > w.limit || len(w.index) != len(w.clients) || len(w.trail) > 2*maxTrail || cap(w.room) > 2*MaxEntries {
			t.Fatalf("%d clients, %d known, %d points, room for %d", len(w.clients), len(w.index), len(w.trail), cap(w.room))
		}
		for i, c := range w.clients {
			if w.index[c.Address.Addr()] != int32(i) || c.Last == 0 {
				t.Fatalf("%+v is not where it should be", c)
			}
		}
	})
}
