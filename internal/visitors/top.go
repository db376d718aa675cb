package visitors

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

const (
	// chunk is how many sets a reader copies at once: their writer waits for about a microsecond.
	chunk = 8

	// A network fetches new cookies at every poll if it made so many key exchanges, and one for at most so many NTS requests:
	// a client that keeps what it was given needs one in weeks.
	fewExchanges     = 4
	pollsPerExchange = 2
)

// Top merges the tables of requests for time, and that of key exchanges (nil: there is none), and lists those who asked
// most. Safe for concurrent use.
func Top(limit int, times []*Table, exchanges *Table) api.Networks {
	m := merge{now: time.Now(), amounts: make(map[network]amount, (len(times)+1)*sets*ways)}
	for _, t := range times {
		t.walk(func(r *record) {
			a := m.amounts[r.network]
			a.requests[r.window] += r.entry.requests()
			m.amounts[r.network] = a
		})
	}
	if exchanges != nil {
		exchanges.walk(func(r *record) {
			a := m.amounts[r.network]
			a.exchanges += r.entry.requests() // refused ones, too: who floods us asks most
			m.amounts[r.network] = a
		})
	}
	m.choose(limit)
	for _, t := range times {
		t.walk(func(r *record) { m.addTime(t, r) })
		m.bound(t)
	}
	if exchanges != nil {
		exchanges.walk(func(r *record) { m.addExchanges(exchanges, r) })
	}
	return m.result(times, exchanges)
}

// merge is the sum of tables.
type merge struct {
	now       time.Time
	amounts   map[network]amount // of all networks that are remembered: at most as many as the tables have places
	chosen    map[network]*sum
	order     []network // of the chosen ones
	intervals [buckets]uint64
}

// amount is what was counted of one network.
type amount struct {
	requests  [2]uint64 // for time, by window
	exchanges uint64
}

func (a amount) all() uint64 { return a.requests[0] + a.requests[1] + a.exchanges }

// sum is all that is known of one network.
type sum struct {
	api.Network
	since, last time.Duration // from now, of the first and the last request for time that is counted
}

// choose takes those that asked most; of equals always the same.
func (m *merge) choose(limit int) {
	m.order = make([]network, 0, len(m.amounts))
	for n := range m.amounts {
		m.order = append(m.order, n)
	}
	slices.SortFunc(m.order, func(a, b network) int {
		return cmp.Or(cmp.Compare(m.amounts[b].all(), m.amounts[a].all()), cmp.Compare(a, b))
	})
	m.order = m.order[:min(max(limit, 0), len(m.order))]
	m.chosen = make(map[network]*sum, len(m.order))
	for _, n := range m.order {
		m.chosen[n] = &sum{Network: api.Network{Prefix: n.prefix().String()}}
	}
}

// addTime adds what one table knows.
func (m *merge) addTime(t *Table, r *record) {
	counted := r.entry.requests()
	shorter := halvings(counted, m.amounts[r.network].requests[r.window])
	for i, n := range r.entry.intervals {
		if i > 0 {
			i = max(i-shorter, 0)
		}
		m.intervals[i] += uint64(n)
	}
	s := m.chosen[r.network]
	if s == nil {
		return
	}
	since, last := m.from(t, r.entry.since), m.from(t, r.entry.last)
	if s.Requests == 0 {
		s.since, s.last = since, last
	}
	s.since, s.last = min(s.since, since), max(s.last, last)
	s.Requests += counted
	s.NTSRequests += r.entry.kinds[NTS] + r.entry.kinds[NAK]
	s.NAKs += r.entry.kinds[NAK]
	s.RateLimited += r.entry.kinds[RateLimited]
	m.seen(t, s, r)
}

// halvings is by how many buckets the intervals of a table are too long, on average: where several writers share the requests
// of a network, each sees longer ones, as its share is smaller.
func halvings(counted, all uint64) int {
	if counted == 0 || all <= counted { // all is older than counted, and may be less
		return 0
	}
	return int(math.Round(math.Log2(float64(all) / float64(counted))))
}

func (m *merge) addExchanges(t *Table, r *record) {
	if s := m.chosen[r.network]; s != nil {
		s.KeyExchanges += r.entry.kinds[NTS]
		s.RateLimited += r.entry.kinds[RateLimited]
		s.FailedKeyExchanges += r.entry.kinds[Plain]
		m.seen(t, s, r)
	}
}

// seen turns ticks into times of the wall clock, as it is now.
func (m *merge) seen(t *Table, s *sum, r *record) {
	first, last := m.wall(t, r.entry.first), m.wall(t, r.entry.last)
	if s.FirstSeen.IsZero() || first.Before(s.FirstSeen) {
		s.FirstSeen = first
	}
	if last.After(s.LastSeen) {
		s.LastSeen = last
	}
}

func (m *merge) wall(t *Table, ticks uint32) time.Time {
	return m.now.Add(m.from(t, ticks)).UTC().Truncate(time.Second)
}

// from is where ticks of a table are from now: at zero, or below.
func (m *merge) from(t *Table, ticks uint32) time.Duration {
	return min(t.start.Add(time.Duration(ticks)*tick).Sub(m.now), 0)
}

// bound adds how many requests of the chosen ones a table may have missed, before they had their place in it.
func (m *merge) bound(t *Table) {
	for n, s := range m.chosen {
		s.UncountedRequests += t.missed(n)
	}
}

func (m *merge) result(times []*Table, exchanges *Table) api.Networks {
	out := api.Networks{Since: m.now.UTC(), Intervals: make([]api.Count, buckets), Networks: make([]api.Network, 0, len(m.order))}
	var nts uint64
	for _, t := range times {
		totals, forgotten, since := t.totals()
		for _, n := range totals {
			out.Requests += n
		}
		nts += totals[NTS] + totals[NAK]
		for i, n := range forgotten {
			m.intervals[i] += uint64(n)
		}
		out.Since = earlier(out.Since, m.wall(t, since))
	}
	if exchanges != nil {
		totals, _, since := exchanges.totals()
		out.KeyExchanges = totals[NTS]
		out.Since = earlier(out.Since, m.wall(exchanges, since))
	}
	if out.Requests > 0 {
		out.NTSShare = new(float64(nts) / float64(out.Requests))
	}
	if len(times) == 0 && exchanges != nil {
		times = []*Table{exchanges}
	}
	out.Known, out.New, out.Returning = population(times)
	for i := range out.Intervals {
		out.Intervals[i] = api.Count{Name: strconv.Itoa(int(seconds(i))), Count: m.intervals[i]}
	}
	for _, n := range m.order {
		out.Networks = append(out.Networks, m.chosen[n].network())
	}
	return out
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// network draws the conclusions.
func (s *sum) network() api.Network {
	n := s.Network
	if n.Requests > 1 {
		n.IntervalSeconds = new((s.last - s.since).Seconds() / float64(n.Requests-1))
	}
	n.RekeysEveryPoll = n.KeyExchanges >= fewExchanges &&
		n.NTSRequests > 0 && // else its time server is another one
		n.KeyExchanges*pollsPerExchange >= n.NTSRequests+n.UncountedRequests
	return n
}

// seconds is what a bucket of intervals stands for.
func seconds(bucket int) float64 {
	if bucket == 0 {
		return 0
	}
	return float64(uint64(1) << (bucket - 1))
}

// population estimates how many networks there were in both windows, how many of them in the later one only, and how many
// in both of them.
func population(tables []*Table) (known, fresh, returning float64) {
	var current, previous, both sketch
	for _, t := range tables {
		t.sketches(&current, &previous)
	}
	both.merge(&current)
	both.merge(&previous)
	known = both.estimate()
	fresh = max(known-previous.estimate(), 0)
	returning = max(current.estimate()-fresh, 0)
	return math.Round(known), math.Round(fresh), math.Round(returning)
}
