package visitors

import (
	"encoding/json"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/ntptsd/ntptsd/internal/api"
)

// ledger knows exactly what tables only estimate.
type ledger map[network]*[kinds]uint64

func (l ledger) add(from netip.Addr, k Kind) {
	n := networkOf(from)
	if l[n] == nil {
		l[n] = new([kinds]uint64)
	}
	l[n][k]++
}

func (l ledger) requests(n network) (all uint64) {
	if l[n] != nil {
		for _, k := range l[n] {
			all += k
		}
	}
	return all
}

// wantBounds checks what a table promises of every network: what it has counted did happen, and it says how much more may
// have.
func (l ledger) wantBounds(t *testing.T, tables ...*Table) {
	t.Helper()
	counted := make(map[network]uint64)
	for _, table := range tables {
		table.walk(func(r *record) { counted[r.network] += r.entry.requests() })
	}
	for n := range counted {
		if l[n] == nil {
			t.Errorf("%v is remembered and never came", n.prefix())
		}
	}
	for n := range l {
		truth, missed := l.requests(n), uint64(0)
		for _, table := range tables {
			missed += table.missed(n)
		}
		if counted[n] > truth || counted[n]+missed < truth {
			t.Fatalf("%v asked %d times; %d are counted and %d may be missed", n.prefix(), truth, counted[n], missed)
		}
	}
}

func add(t *Table, from netip.Addr, k Kind) {
	t.Begin()
	t.Add(from, k)
	t.End()
}

func named(t *testing.T, all api.Networks, prefix string) api.Network {
	t.Helper()
	for _, n := range all.Networks {
		if n.Prefix == prefix {
			return n
		}
	}
	t.Errorf("%s is not listed", prefix)
	return api.Network{}
}

// TestAFloodPushesNoHeavyNetworkOut: among a million packets with random senders are some networks that ask for one in a
// thousand each, which is twice the bound.
func TestAFloodPushesNoHeavyNetworkOut(t *testing.T) {
	const flood, heavy, share = 1_000_000, 50, 1000
	table, truth := NewTables(1)[0], make(ledger)
	table.Begin()
	for i := range flood {
		from := inNetwork(1<<23 + rand.Uint32N(1<<23))
		if i%share < heavy {
			from = inNetwork(uint32(i % share))
		}
		table.Add(from, Plain)
		truth.add(from, Plain)
	}
	table.End()
	truth.wantBounds(t, table)
	came := make(map[uint64]uint64)
	setOf := func(n network) uint64 { return maphash.Comparable(table.seed, n) % sets }
	for n := range truth {
		came[setOf(n)] += truth.requests(n)
	}
	top, well := Top(heavy, []*Table{table}, nil), 0
	for i := range uint32(heavy) {
		n := networkOf(inNetwork(i))
		if bound := came[setOf(n)] / ways; bound < flood/share {
			if got := named(t, top, n.prefix().String()); got.UncountedRequests > bound {
				t.Errorf("%+v may have asked %d times more; its set makes that no more than %d", got, got.UncountedRequests, bound)
			} else if got.Requests > flood/share*9/10 {
				well++
			}
		}
	}
	if well < heavy*8/10 { // a few share a set with others of them
		t.Errorf("%d of %d heavy networks are counted well", well, heavy)
	}
	if top.Requests != flood {
		t.Errorf("%d requests in all, want %d", top.Requests, flood)
	}
	for i := range table.windows[0].sets { // Space-Saving: what a set counts is what came to it
		counted := uint64(0)
		for _, n := range table.windows[0].sets[i].requests {
			counted += n
		}
		if counted != came[uint64(i)] {
			t.Errorf("set %d counts %d requests of %d", i, counted, came[uint64(i)])
		}
	}
}

func TestMemoryIsFixed(t *testing.T) {
	const most = 600 << 10
	if n := unsafe.Sizeof(Table{}); n > most {
		t.Errorf("a table takes %d octets, want at most %d", n, most)
	}
	if n := unsafe.Sizeof(entry{}); n%64 != 0 {
		t.Errorf("an entry of %d octets shares a cache line with its neighbour", n)
	}
	table := NewTables(1)[0]
	if n := testing.AllocsPerRun(2000, func() { add(table, inNetwork(rand.Uint32()), NTS) }); n != 0 {
		t.Errorf("%v allocations to count a request", n)
	}
}

// TestTablesMergeExactly: as long as there is room, the sum of all writers is what happened.
func TestTablesMergeExactly(t *testing.T) {
	const writers, networks, requests = 4, 100, 20_000
	tables, exchanges := NewTables(writers), NewTables(1)[0]
	truth, keys := make(ledger), make(ledger)
	for range requests {
		from, k := inNetwork(rand.Uint32N(networks)), Kind(rand.IntN(int(kinds)))
		add(tables[rand.IntN(writers)], from, k)
		truth.add(from, k)
		if rand.IntN(10) == 0 {
			k := [...]Kind{Plain, NTS, RateLimited}[rand.IntN(3)]
			add(exchanges, from, k)
			keys.add(from, k)
		}
	}
	top := Top(networks, tables, exchanges)
	var all, nts uint64
	for n, k := range truth {
		ke := new([kinds]uint64)
		if keys[n] != nil {
			ke = keys[n]
		}
		got := named(t, top, n.prefix().String())
		if got.Requests != truth.requests(n) || got.UncountedRequests != 0 || got.NTSRequests != k[NTS]+k[NAK] || got.NAKs != k[NAK] ||
			got.RateLimited != k[RateLimited]+ke[RateLimited] || got.KeyExchanges != ke[NTS] || got.FailedKeyExchanges != ke[Plain] {
			t.Errorf("%+v, want %v and the key exchanges %v", got, *k, *ke)
		}
		all, nts = all+truth.requests(n), nts+k[NTS]+k[NAK]
	}
	if top.Requests != all || top.NTSShare == nil || *top.NTSShare != float64(nts)/float64(all) {
		t.Errorf("%d requests with a share of NTS of %v, want %d and %d", top.Requests, top.NTSShare, all, nts)
	}
	for i := 1; i < len(top.Networks); i++ {
		all := func(n api.Network) uint64 {
			p := networkOf(netip.MustParsePrefix(n.Prefix).Addr())
			return truth.requests(p) + keys.requests(p)
		}
		if a, b := top.Networks[i-1], top.Networks[i]; all(a) < all(b) {
			t.Errorf("%s comes before %s, which asks more", a.Prefix, b.Prefix)
		}
	}
	if some := Top(7, tables, exchanges); len(some.Networks) != 7 || some.Networks[6].Prefix != top.Networks[6].Prefix || some.Requests != all {
		t.Errorf("the first 7 are %d, and not the first 7 of all", len(some.Networks))
	}
	if top.Known < .9*networks || top.Known > 1.1*networks || top.Returning != 0 || top.New != top.Known {
		t.Errorf("%v networks, %v new and %v returning; want %d, all new", top.Known, top.New, top.Returning, networks)
	}
}

// TestEverythingIsAListOrNull: nobody asked yet, or nobody can.
func TestEverythingIsAListOrNull(t *testing.T) {
	for name, all := range map[string]api.Networks{
		"nothing": Top(10, nil, nil), "nobody": Top(10, NewTables(2), NewTables(1)[0]), "none wanted": Top(-1, NewTables(1), nil),
	} {
		b, err := json.Marshal(all)
		if err != nil || !strings.Contains(string(b), `"networks":[]`) || !strings.Contains(string(b), `"nts_share":null`) || all.Known != 0 {
			t.Errorf("%s: %s, %v", name, b, err)
		}
	}
}

func TestPrefixes(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.255": "192.0.2.0/24", "::ffff:192.0.2.1": "192.0.2.0/24", "0.0.0.0": "0.0.0.0/24", "255.255.255.255": "255.255.255.0/24",
		"2001:db8:1:2::3": "2001:db8:1::/48", "::1": "::/48", "fe80::1%eth0": "fe80::/48", "ffff:ffff:ffff:ffff::": "ffff:ffff:ffff::/48",
	} {
		n := networkOf(netip.MustParseAddr(addr))
		if n == 0 || n.prefix().String() != want {
			t.Errorf("%s is of %v, want %s", addr, n.prefix(), want)
		}
	}
	if networkOf(netip.MustParseAddr("::")) == networkOf(netip.MustParseAddr("0.0.0.0")) {
		t.Error("two families share a network")
	}
}

// TestDays: who comes today and came yesterday returns; who came the day before yesterday is forgotten; who stays is as old as
// its first request.
func TestDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tables := NewTables(2)
		began := time.Now().UTC().Truncate(time.Second)
		come := func(from, to uint32) {
			for i := from; i < to; i++ {
				add(tables[i%2], inNetwork(i), Plain)
			}
		}
		about := func(got, want float64) bool { return got > want*.8-5 && got < want*1.2+5 }
		for day, want := range []struct{ from, to, known, fresh, returning float64 }{
			{0, 400, 400, 400, 0},
			{200, 800, 800, 400, 200},
			{600, 700, 600, 0, 100}, // of the first day, 200 are forgotten
		} {
			come(uint32(want.from), uint32(want.to))
			come(0, 1) // stays
			top := Top(1000, tables, nil)
			if !about(top.Known, want.known) || !about(top.New, want.fresh) || !about(top.Returning, want.returning) {
				t.Errorf("day %d: %v known, %v new, %v returning, want %+v", day, top.Known, top.New, top.Returning, want)
			}
			if n := named(t, top, "0.0.0.0/24"); !n.FirstSeen.Equal(began) || !n.LastSeen.Equal(time.Now().UTC().Truncate(time.Second)) {
				t.Errorf("day %d: it was seen from %v to %v, want from %v", day, n.FirstSeen, n.LastSeen, began)
			}
			if since := began.Add(time.Duration(max(day-1, 0)) * window); !top.Since.Equal(since) {
				t.Errorf("day %d: counted since %v, want %v", day, top.Since, since)
			}
			time.Sleep(window)
		}
		time.Sleep(2 * window)
		if top := Top(10, tables, nil); len(top.Networks) != 0 || top.Requests != 0 || top.Known != 0 {
			t.Errorf("after two days without anybody: %+v", top)
		}
	})
}

// TestTimeThatGoesBackIsNone: whatever the clock says, no interval is negative and no window ends twice.
func TestTimeThatGoesBackIsNone(t *testing.T) {
	table := NewTables(1)[0]
	from := inNetwork(1)
	for _, now := range []uint32{windowTicks + 100, 50, 0, windowTicks + 99, windowTicks + 100} {
		table.begin(now)
		table.Add(from, NTS)
		table.End()
	}
	var got entry
	table.walk(func(r *record) { got = r.entry })
	if got.requests() != 5 || got.intervals != (intervals{0: 4}) || got.first != windowTicks+100 || got.last != got.first {
		t.Errorf("%+v", got)
	}
}

// TestPollsAreRecognised: the jitter of a client around its poll does not move it into another bucket.
func TestPollsAreRecognised(t *testing.T) {
	for poll := range 14 {
		synctest.Test(t, func(t *testing.T) {
			tables := NewTables(1)
			every := time.Second << poll
			for i := range 9 {
				add(tables[0], inNetwork(7), NTS)
				time.Sleep(every + time.Duration(i%3-1)*every/8)
			}
			top := Top(1, tables, nil)
			if s := top.Networks[0].IntervalSeconds; s == nil || math.Abs(*s/every.Seconds()-1) > 0.05 {
				t.Errorf("polls each %v: an interval of %v s", every, s)
			}
			for i, c := range top.Intervals {
				if want := uint64(8); i == poll+1 && c.Count != want || i != poll+1 && c.Count != 0 {
					t.Errorf("polls each %v: %d of about %s s", every, c.Count, c.Name)
				}
			}
		})
	}
}

// TestIntervalsOfManyWriters: clients that change their port come to any writer each time, and still poll as they do; those that
// stay for days, too, of which not all is remembered.
func TestIntervalsOfManyWriters(t *testing.T) {
	for _, row := range []struct {
		every time.Duration
		polls int
	}{{time.Second, 40}, {time.Second, 3000}, {64 * time.Second, 400}, {time.Hour, 100}, {window - time.Second, 9}} {
		synctest.Test(t, func(t *testing.T) {
			tables, exchanges := NewTables(8), NewTables(1)[0]
			add(exchanges, inNetwork(7), NTS)
			time.Sleep(10 * time.Minute) // key exchange comes first, and is no request for time
			for i := range row.polls {
				if i > 0 {
					time.Sleep(row.every)
				}
				add(tables[rand.IntN(8)], inNetwork(7), NTS)
			}
			top := Top(1, tables, exchanges)
			if s := top.Networks[0].IntervalSeconds; s == nil || *s != row.every.Seconds() {
				t.Errorf("%d polls each %v: %+v has an interval of %v s", row.polls, row.every, top.Networks[0], s)
			}
		})
	}
}

// TestWhoFloodsKeyExchangeIsListed: refused and failed ones make a row, before those that are served less.
func TestWhoFloodsKeyExchangeIsListed(t *testing.T) {
	exchanges := NewTables(1)[0]
	for i, k := range []Kind{Plain, RateLimited, RateLimited, RateLimited, NTS} {
		for range 3 - i/4 {
			add(exchanges, inNetwork(7), k)
		}
	}
	for range 5 {
		add(exchanges, inNetwork(8), NTS)
	}
	top := Top(10, NewTables(2), exchanges)
	want := api.Network{Prefix: "0.0.7.0/24", RateLimited: 9, FailedKeyExchanges: 3, KeyExchanges: 2}
	got := top.Networks[0]
	if got.FirstSeen, got.LastSeen = want.FirstSeen, want.LastSeen; got != want || top.KeyExchanges != 7 {
		t.Errorf("%+v, and %d were served; want %+v", top.Networks, top.KeyExchanges, want)
	}
}

func TestAnIntervalNeedsTwoRequests(t *testing.T) {
	tables := NewTables(1)
	add(tables[0], inNetwork(7), NTS)
	if s := Top(1, tables, nil).Networks[0].IntervalSeconds; s != nil {
		t.Errorf("one request has an interval of %v", *s)
	}
}

func TestWhoFetchesCookiesAtEveryPoll(t *testing.T) {
	for _, row := range []struct {
		name           string
		exchanges, nts int
		plain          int
		want           bool
	}{
		{"one for each", 10, 10, 0, true},
		{"one for two", 10, 20, 0, true},
		{"plain requests are others'", 10, 20, 100, true},
		{"more than answers", 10, 1, 0, true},
		{"a few clients that started", 3, 3, 0, false},
		{"keeps its cookies", 4, 100, 0, false},
		{"asks another time server", 10, 0, 0, false},
	} {
		tables, exchanges := NewTables(1), NewTables(1)[0]
		for range row.exchanges {
			add(exchanges, inNetwork(7), NTS)
		}
		for range row.nts {
			add(tables[0], inNetwork(7), NTS)
		}
		for range row.plain {
			add(tables[0], inNetwork(7), Plain)
		}
		if n := Top(1, tables, exchanges).Networks[0]; n.RekeysEveryPoll != row.want {
			t.Errorf("%s: %+v", row.name, n)
		}
	}
}

func TestWithoutATimeServerKeyExchangesCount(t *testing.T) {
	exchanges := NewTables(1)[0]
	for i := range uint32(100) {
		add(exchanges, inNetwork(i), NTS)
	}
	top := Top(3, nil, exchanges)
	if len(top.Networks) != 3 || top.Networks[0].KeyExchanges != 1 || top.KeyExchanges != 100 || top.Known < 90 || top.Known > 110 {
		t.Errorf("%+v", top)
	}
}

// TestReadersDoNotDisturb: with the race detector, what is read while it is written; without it, that nothing is lost.
func TestReadersDoNotDisturb(t *testing.T) {
	const writers, batches = 3, 300
	tables := NewTables(writers)
	var writing sync.WaitGroup
	for w, table := range tables {
		writing.Go(func() {
			for i := range batches {
				table.begin(uint32(i) * windowTicks / batches) // the last one ends just before the second window
				for j := range batch {
					table.Add(inNetwork(uint32(j*writers+w)), Kind(j)%kinds)
				}
				table.End()
			}
		})
	}
	done := make(chan struct{})
	go func() { writing.Wait(); close(done) }()
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		var sum uint64
		top := Top(1000, tables, tables[0])
		for _, n := range top.Networks {
			sum += n.Requests
		}
		if top.Requests > writers*batches*batch || sum > writers*batches*batch {
			t.Fatalf("%d requests, %d of the networks; no more than %d were made", top.Requests, sum, writers*batches*batch)
		}
	}
	if top := Top(1, tables, nil); top.Requests != writers*batches*batch || top.Networks[0].Requests != batches {
		t.Errorf("%d requests, %d of the first network", top.Requests, top.Networks[0].Requests)
	}
}

// FuzzTable makes a program of octets: who asks, what, and how much time passes. However it goes, the bounds of every network
// hold, and nothing is listed that did not happen.
func FuzzTable(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 0, 1, 2, 3})
	f.Add([]byte("a network asks, and asks, and asks again, and others do"))
	f.Fuzz(func(t *testing.T, program []byte) {
		tables, truth := NewTables(2), make(ledger)
		now := uint32(0)
		for i, op := range program {
			from := inNetwork(uint32(op & 15))
			if op&16 != 0 { // a flood: eight of them are more than the table holds
				for j := range uint32(sets * ways / 4) {
					stranger := inNetwork(1<<20 + uint32(i)<<12 + j)
					tables[0].begin(now)
					tables[0].Add(stranger, Plain)
					tables[0].End()
					truth.add(stranger, Plain)
				}
			}
			table := tables[op>>5&1]
			table.begin(now)
			table.Add(from, Kind(op>>6)%kinds)
			table.End()
			truth.add(from, Kind(op>>6)%kinds)
			if now += uint32(op); now >= windowTicks || i > 64 {
				break // what is older is forgotten, on purpose
			}
		}
		truth.wantBounds(t, tables...)
		if top := Top(100, tables, nil); len(truth) > 0 && top.Requests == 0 {
			t.Error("nothing is counted")
		}
	})
}
