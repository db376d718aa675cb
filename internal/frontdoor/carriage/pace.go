package carriage

import (
	"context"
	"sync"
	"time"
)

// pace lets who comes too often wait (GCRA): over TCP nothing need be lost for that. Safe for concurrent use.
type pace struct {
	interval  time.Duration
	tolerance time.Duration

	mu   sync.Mutex
	next time.Time // guarded by mu: when the next is due
}

func newPace(aSecond, burst int) *pace {
	interval := time.Second / time.Duration(aSecond)
	return &pace{interval: interval, tolerance: time.Duration(burst-1) * interval}
}

// reserve gives a turn, and how long to wait for it.
func (p *pace) reserve(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next.Before(now) {
		p.next = now
	}
	wait := p.next.Sub(now) - p.tolerance
	p.next = p.next.Add(p.interval)
	return max(0, wait)
}

func (p *pace) wait(ctx context.Context) error {
	d := p.reserve(time.Now())
	if d == 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
