package neighbour

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// askEvery is how old an answer may be before the daemon is asked again, an error too.
	askEvery = time.Second
	// nearly is how much of that is rather waited for: who asks once a second is to have a new answer each time.
	nearly = 50 * time.Millisecond
)

// memo is the newest answer to one question.
type memo[T any] struct {
	asking   chan struct{} // holds one element while somebody asks
	asked    time.Time     // when the question went out; zero: never
	answered time.Time     // or given up
	value    T
	err      error
	counts   *counts

	stale *atomic.Bool // the daemon was changed since it was asked
}

func newMemo[T any]() memo[T] {
	return memo[T]{asking: make(chan struct{}, 1), counts: &counts{}, stale: &atomic.Bool{}}
}

// forget lets the next caller ask.
func (m *memo[T]) forget() { m.stale.Store(true) }

// get asks, unless the last question is of this second. One caller asks, on its own goroutine, and all who come meanwhile
// have the same answer: behind a daemon that hangs they do not queue up. That caller's end does not end the question, since it is everybody's; within does.
func (m *memo[T]) get(ctx context.Context, within time.Duration, ask func(context.Context) (T, error)) (T, error) {
	came := time.Now()
	select {
	case m.asking <- struct{}{}:
		defer func() { <-m.asking }()
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
	// A daemon that needs long for an answer has as long a rest.
	left := max(askEvery-time.Since(m.asked), m.answered.Sub(m.asked)-time.Since(m.answered))
	switch {
	case m.asked.IsZero(), m.stale.Load():
	case left > nearly || m.answered.After(came):
		return m.value, m.err
	default:
		time.Sleep(left)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	m.stale.Store(false) // a change from now on may come too late for this answer
	m.asked = time.Now()
	m.value, m.err = ask(ctx)
	m.answered = time.Now()
	m.counts.count(m.err)
	return m.value, m.err
}
