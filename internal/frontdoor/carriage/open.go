package carriage

import "sync"

// question is what is open at the daemon.
type question struct {
	key     uint64
	answers int // that may still come
	longest int // octets of each
}

// open are the latest questions of a connection. Answers to others are let through for nobody. Safe for concurrent use.
type open struct {
	mu   sync.Mutex
	all  [maxOpen]question // guarded by mu, as next; the oldest gives way
	next int
}

func (o *open) add(q question) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all[o.next] = q
	o.next = (o.next + 1) % maxOpen
}

// take tells whether an answer of that length is waited for.
func (o *open) take(key uint64, length int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.all {
		if q := &o.all[i]; q.key == key && q.answers > 0 && length <= q.longest {
			q.answers--
			return true
		}
	}
	return false
}
