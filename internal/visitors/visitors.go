// Package visitors keeps in mind who asks most, in memory that is fixed when it is made: a Table counts the requests of
// networks and forgets the least of them for newcomers (Space-Saving), a sketch estimates how many there were. Each Table
// has one writer, who takes its lock once a batch; Top merges them when somebody wants to know. What a request is, and who
// may see whose prefix, is left to others. See docs/decisions/visitors.md for the bounds.
package visitors

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"math/bits"
	"net/netip"
	"sync"
	"time"
)

// Kind is what a request was.
type Kind uint8

const (
	Plain       Kind = iota // whatever is none of the others; in a table of key exchanges, one that ended without cookies
	NTS                     // answered authenticated; in a table of key exchanges, one that was served
	NAK                     // had a cookie, which was of no use
	RateLimited             // in excess of a limit

	kinds
)

const (
	// A window is what is counted from, two of them are kept: the one under way and the one before it.
	window = 24 * time.Hour
	// tick is the unit of times here: 32 bits of them are 34 years.
	tick        = time.Second / 4
	windowTicks = uint32(window / tick)

	// sets times ways is how many networks a window of a table remembers: with all that belongs to them 280 KiB.
	setBits = 8
	sets    = 1 << setBits
	ways    = 8
)

// Table is the memory of one writer. It never grows.
type Table struct {
	seed  maphash.Seed // secret, so that no stranger can aim at a set; the same for tables that are merged
	start time.Time    // with a monotonic reading: no clock that is set moves a window

	mu      sync.Mutex
	now     uint32 // ticks since start, as of Begin; never goes back
	windows [2]page
	at      int // which of them is under way
}

// NewTables makes tables that Top can merge, one for each writer.
func NewTables(n int) []*Table {
	tables := make([]*Table, n)
	seed, start := maphash.MakeSeed(), time.Now()
	for i := range tables {
		tables[i] = &Table{seed: seed, start: start}
	}
	return tables
}

// Begin takes the lock and looks at the clock, for all that is added until End: it belongs around a batch.
func (t *Table) Begin() { t.begin(t.ticks()) }

func (t *Table) begin(now uint32) {
	t.mu.Lock()
	t.turn(now)
}

// End gives the lock back.
func (t *Table) End() { t.mu.Unlock() }

// ticks is the time of the running process: it can neither be set nor go back.
func (t *Table) ticks() uint32 {
	return uint32(min(max(time.Since(t.start)/tick, 0), math.MaxUint32))
}

// turn begins a new window when the old one is over.
func (t *Table) turn(now uint32) {
	was := t.now / windowTicks
	t.now = max(t.now, now)
	switch t.now/windowTicks - was {
	case 0:
		return
	case 1:
	default: // nothing for a whole window: what was under way is too old, too
		t.windows[t.at] = page{}
	}
	t.at ^= 1
	t.windows[t.at] = page{}
}

// Add counts one request, between Begin and End. No allocation.
func (t *Table) Add(from netip.Addr, k Kind) {
	n := networkOf(from)
	hash := maphash.Comparable(t.seed, n)
	p := &t.windows[t.at]
	p.kinds[k]++
	s := hash % sets
	for i, known := range &p.sets[s].networks {
		if known == n {
			p.sets[s].requests[i]++
			p.entries[s][i].add(k, t.now)
			return
		}
	}
	t.admit(n, hash, k)
}

// admit gives a newcomer the place of the network in its set that has asked least, and for the bound its count, too. What an
// earlier window knows of its first and last request is kept: who stays for weeks is no newcomer every day.
func (t *Table) admit(n network, hash uint64, k Kind) {
	p, before := &t.windows[t.at], &t.windows[t.at^1]
	s := hash % sets
	set := &p.sets[s]
	least := 0
	for i, requests := range &set.requests {
		if requests < set.requests[least] {
			least = i
		}
	}
	e := &p.entries[s][least]
	p.forgotten.add(&e.intervals)
	*e = entry{first: t.now, since: t.now, last: t.now}
	e.kinds[k] = 1
	set.networks[least] = n
	set.requests[least]++
	p.sketch.add(hash)
	for i, known := range &before.sets[s].networks {
		if known == n {
			e.first = before.entries[s][i].first
			e.intervals.count(t.now - before.entries[s][i].last)
			return
		}
	}
}

// page is what a table remembers of one window.
type page struct {
	kinds     [kinds]uint64
	forgotten intervals // of networks that had to go
	sets      [sets]set
	entries   [sets][ways]entry
	sketch    sketch
}

// set is two cache lines in which a network is looked for. A place without a network is zero.
type set struct {
	networks [ways]network
	requests [ways]uint64 // at least as many as there were; too many by those of whom had the place before
}

// least is the most that a network can have asked which is not in the set.
func (s *set) least() uint64 {
	least := uint64(math.MaxUint64)
	for _, n := range s.requests {
		least = min(least, n)
	}
	return least
}

// entry is what belongs to a network since it got its place.
type entry struct {
	kinds     [kinds]uint64
	first     uint32 // ticks, of the first request; in an earlier window, too, if it was remembered there
	since     uint32 // of the first one that kinds have
	last      uint32
	intervals intervals
	_         [20]byte // to whole cache lines
}

func (e *entry) add(k Kind, now uint32) {
	e.kinds[k]++
	e.intervals.count(now - e.last)
	e.last = now
}

func (e *entry) requests() (n uint64) {
	for _, k := range e.kinds {
		n += k
	}
	return n
}

const (
	// buckets of times between two requests: one below 0.7 s, then one around each power of two of seconds, since those are
	// what NTP clients keep; the last one holds all that is longer than 11,585 s.
	buckets = 16
	// root2 in 128ths puts the borders of buckets half way, on a logarithmic scale, between two powers of two.
	root2 = 181
)

// intervals is a histogram of times between two requests.
type intervals [buckets]uint32

func (v *intervals) count(gap uint32) {
	seconds := uint64(gap) * root2 >> 7 / uint64(time.Second/tick)
	if n := &v[min(bits.Len64(seconds), buckets-1)]; *n != math.MaxUint32 {
		*n++
	}
}

func (v *intervals) add(other *intervals) {
	for i, n := range other {
		v[i] += min(n, math.MaxUint32-v[i])
	}
}

// network is a prefix as a number: its family and its leading bits. Zero is none.
type network uint64

// The smallest prefixes that the internet routes by themselves, and so the smallest that somebody answers for; also what
// is left of an address when it is made anonymous.
const (
	bits4 = 24
	bits6 = 48

	family4 network = 4 << bits6
	family6 network = 6 << bits6
)

func networkOf(a netip.Addr) network {
	if a.Is4() || a.Is4In6() {
		b := a.As4()
		return family4 | network(binary.BigEndian.Uint32(b[:])>>(32-bits4))
	}
	b := a.As16()
	return family6 | network(binary.BigEndian.Uint64(b[:])>>(64-bits6))
}

func (n network) prefix() netip.Prefix {
	if n&^(1<<bits6-1) == family4 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 16), byte(n >> 8), byte(n)}), bits4)
	}
	var b [16]byte
	for i := range bits6 / 8 {
		b[i] = byte(n >> (bits6 - 8 - 8*i))
	}
	return netip.PrefixFrom(netip.AddrFrom16(b), bits6)
}
