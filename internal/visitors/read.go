package visitors

import "hash/maphash"

// record is one network of one window.
type record struct {
	network network
	window  int // 0 is under way, 1 the one before it
	entry   entry
}

// walk shows all that both windows hold, the one under way first; what it shows is its own again afterwards. The lock is held for a few sets at a time. Should a
// window end meanwhile, some of what is shown is newer than the rest.
func (t *Table) walk(show func(*record)) {
	var r record
	var some struct {
		sets    [chunk]set
		entries [chunk][ways]entry
	}
	t.begin(t.ticks())
	first := t.at
	t.End()
	for window := range t.windows {
		for from := 0; from < sets; from += chunk {
			t.mu.Lock()
			p := &t.windows[first^window]
			copy(some.sets[:], p.sets[from:])
			copy(some.entries[:], p.entries[from:])
			t.mu.Unlock()
			for s := range &some.sets {
				for i, n := range &some.sets[s].networks {
					if n != 0 {
						r = record{network: n, window: window, entry: some.entries[s][i]}
						show(&r)
					}
				}
			}
		}
	}
}

// missed is how many requests of a network the table may have seen and not counted.
func (t *Table) missed(n network) (missed uint64) {
	s := maphash.Comparable(t.seed, n) % sets
	t.mu.Lock()
	defer t.mu.Unlock()
	for w := range t.windows {
		p := &t.windows[w]
		most := p.sets[s].least()
		for i, known := range &p.sets[s].networks {
			if known == n {
				most = p.sets[s].requests[i] - p.entries[s][i].requests()
			}
		}
		missed += most
	}
	return missed
}

// totals are those of both windows, whoever is remembered, and when the earlier one began.
func (t *Table) totals() (requests [kinds]uint64, forgotten intervals, since uint32) {
	t.begin(t.ticks())
	defer t.End()
	for w := range t.windows {
		for k, n := range t.windows[w].kinds {
			requests[k] += n
		}
		forgotten.add(&t.windows[w].forgotten)
	}
	since = t.now - t.now%windowTicks
	return requests, forgotten, since - min(since, windowTicks)
}

// sketches adds those of the table to others.
func (t *Table) sketches(current, previous *sketch) {
	t.begin(t.ticks())
	defer t.End()
	current.merge(&t.windows[t.at].sketch)
	previous.merge(&t.windows[t.at^1].sketch)
}
