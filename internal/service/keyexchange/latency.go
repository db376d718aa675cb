package keyexchange

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// Of durations from 2^-14 s, which is less than a handshake takes, to 2^4 s, which no connection lives.
	latencyFrom, latencyTo = -14, 4
	// perDoubling is how many buckets there are in between; a quantile is off by 9 % at the most.
	perDoubling = 4
	latencies   = (latencyTo - latencyFrom) * perDoubling
)

// latency is a histogram on a logarithmic scale, for quantiles without a Prometheus. Safe for concurrent use.
type latency [latencies]atomic.Uint64

func (l *latency) observe(d time.Duration) {
	at := (math.Log2(max(d, 1).Seconds()) - latencyFrom) * perDoubling
	l[min(max(int(math.Floor(at)), 0), latencies-1)].Add(1)
}

// quantiles are the middles of the buckets that have them, in seconds; nil when nothing was observed.
func (l *latency) quantiles(of ...float64) []*float64 {
	var counts [latencies]uint64
	var all uint64
	for i := range l {
		counts[i] = l[i].Load()
		all += counts[i]
	}
	found := make([]*float64, len(of))
	for i, q := range of {
		rank, below := uint64(math.Ceil(q*float64(all))), uint64(0)
		for at, n := range counts {
			if below += n; n > 0 && below >= rank {
				found[i] = new(math.Exp2(latencyFrom + (float64(at)+.5)/perDoubling))
				break
			}
		}
	}
	return found
}
