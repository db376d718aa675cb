package access

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"net/netip"
	"sync"
	"time"
)

// ways is how many networks share a set: with its lock a set fills two cache lines.
const ways = 7

// maxTolerance keeps sums of times inside an int64: 73 years.
const maxTolerance = 1<<61 - 1

// Limiter lets one request per interval pass for each IPv4 address and IPv6 /64, and a burst of them at once (GCRA). nil
// lets everything pass. Safe for concurrent use.
//
// The table never grows: a newcomer to a full set takes the place of the network whose theoretical arrival time (TAT) is
// the oldest, the one with the least to remember. A network that is being refused has the newest of all, so strangers push
// it out only by using up as many bursts themselves, in a set that they cannot aim at because the hash has a secret
// seed. Nobody is ever refused for what another network did.
type Limiter struct {
	interval  int64 // ns
	tolerance int64 // how far a TAT may lie ahead of now: (burst-1) intervals
	start     time.Time
	seed      maphash.Seed
	sets      []set // a power of two of them
}

type set struct {
	mu      sync.Mutex
	entries [ways]entry // guarded by mu
	_       [8]byte     // to whole cache lines, so that two sets never share one
}

// entry remembers one network by the hash of it. The zero entry is older than all others.
type entry struct {
	hash uint64
	tat  int64 // ns since start
}

// NewLimiter makes a table for at least that many networks at once. An interval of 0 or less limits nothing: nil.
func NewLimiter(interval time.Duration, burst int, entries int) *Limiter {
	if interval <= 0 {
		return nil
	}
	l := &Limiter{interval: min(int64(interval), maxTolerance), start: time.Now(), seed: maphash.MakeSeed()}
	over, tolerance := bits.Mul64(uint64(max(burst, 1)-1), uint64(l.interval))
	if over != 0 || tolerance > maxTolerance {
		tolerance = maxTolerance
	}
	l.tolerance = int64(tolerance)
	needed := uint((max(entries, 1) + ways - 1) / ways)
	l.sets = make([]set, 1<<bits.Len(needed-1))
	return l
}

// Allow counts and judges one request. now should have a monotonic reading; when it has none, a clock set back delays a
// network by at most one burst.
func (l *Limiter) Allow(addr netip.Addr, now time.Time) bool {
	if l == nil {
		return true
	}
	hash := l.hash(networkOf(addr))
	s := &l.sets[hash&uint64(len(l.sets)-1)]
	at := int64(now.Sub(l.start))

	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := &s.entries[0]
	for i := range s.entries {
		e := &s.entries[i]
		if e.hash == hash {
			return l.conforms(e, at)
		}
		if e.tat < oldest.tat {
			oldest = e
		}
	}
	*oldest = entry{hash: hash, tat: at}
	return l.conforms(oldest, at)
}

// conforms is the generic cell rate algorithm: a request may come at most the tolerance before its theoretical time.
func (l *Limiter) conforms(e *entry, at int64) bool {
	if e.tat-at > l.tolerance+l.interval { // no request leaves it so far ahead: the clock was set back
		e.tat = at + l.tolerance + l.interval
	}
	if e.tat-at > l.tolerance {
		return false
	}
	e.tat = max(e.tat, at) + l.interval
	return true
}

func (l *Limiter) hash(n network) uint64 {
	var b [9]byte
	binary.NativeEndian.PutUint64(b[:8], n.bits)
	if n.ipv6 {
		b[8] = 1
	}
	return maphash.Bytes(l.seed, b[:])
}
