package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	besideSlice  = 100                   // key exchanges in a slice, a few at once
	besideBlocks = 4                     // in which the two daemons take turns at being monitored
	trailing     = 30 * time.Millisecond // for what a slice has set off

	// What a console asks in a slice: 2000 requests a second for as long as the key exchanges of a slice take.
	consoleAsks  = 200
	consoleBatch = 4
)

// beside is a load of monitoring that key exchange is measured with and without. The work of one slice is always the same.
type beside struct {
	name string
	// start begins it, from that address; it gives the work of a slice, and what ends it.
	start func(ctx context.Context, d *daemon, from string) (*work, error)
}

// work is what monitoring does in a slice.
type work struct {
	do  func(context.Context) error // nil: nothing
	end func() error
}

func besides() []beside {
	return []beside{
		{"nothing (what the method is worth)", func(context.Context, *daemon, string) (*work, error) {
			return &work{end: func() error { return nil }}, nil
		}},
		{"a scrape in each slice", startScraping},
		{fmt.Sprintf("a console, %d requests in each slice", consoleAsks), startAsking},
	}
}

func startScraping(_ context.Context, d *daemon, _ string) (*work, error) {
	client := d.client()
	return &work{do: func(ctx context.Context) error {
		_, err := d.scrape(ctx, client, prometheusHeader())
		return err
	}, end: func() error { client.CloseIdleConnections(); return nil }}, nil
}

func startAsking(_ context.Context, d *daemon, from string) (*work, error) {
	c, err := d.console(from)
	if err != nil {
		return nil, err
	}
	return &work{do: func(ctx context.Context) error {
		began := time.Now()
		for asked := 0; asked < consoleAsks; asked += consoleBatch {
			if err := sleep(ctx, time.Until(began.Add(time.Duration(asked)*time.Second/consolePace))); err != nil {
				return err
			}
			if _, err := c.ask("json tracking", consoleBatch); err != nil {
				return err
			}
		}
		return nil
	}, end: c.conn.Close}, nil
}

// compared is one kind of load, and what was measured in each cycle, in nanoseconds of CPU.
type compared struct {
	beside
	alone, both, monitoring []float64
	exchanges               []float64 // that each daemon made, where they are not always as many
}

// measureBeside: the daemon is one process, and its CPU time has no owner within. So slices with the same work are compared:
// key exchange alone, with monitoring, and monitoring alone. What monitoring adds to a handshake (cold caches, garbage
// collection, locks, wake-ups) is in the second one and in no other:
//
//	(both - monitoring) / alone
//
// Two daemons on the same core take turns, by block, at being the one that is monitored.
func measureBeside(ctx context.Context, b *bench, t *table, cycles int) error {
	both, err := b.two(ctx)
	if err != nil {
		return err
	}
	for i, k := range besides() {
		c := &compared{beside: k}
		for block := range besideBlocks {
			from := fmt.Sprintf("127.0.%d.%d", 10+i, 1+block) // the rate of handshakes is limited by address
			err := c.measureBlock(ctx, both[block%2], both[1-block%2], from, max(1, cycles/besideBlocks))
			if err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
		}
		c.report(t, besideSlice)
	}
	return nil
}

func (b *bench) two(ctx context.Context) (both [2]*daemon, err error) {
	for i := range both {
		if both[i], err = b.monitored(ctx, fixedClock); err != nil {
			return both, err
		}
	}
	return both, nil
}

func (c *compared) measureBlock(ctx context.Context, watched, other *daemon, from string, cycles int) error {
	w, err := c.start(ctx, watched, from)
	if err != nil {
		return err
	}
	return errors.Join(c.measureCycles(ctx, w, watched, other, cycles), w.end())
}

func (c *compared) measureCycles(ctx context.Context, w *work, watched, other *daemon, cycles int) error {
	slices := [...]struct {
		d          *daemon
		exchanging bool
		w          *work
		into       *[]float64
	}{{other, true, &work{}, &c.alone}, {watched, true, w, &c.both}, {watched, false, w, &c.monitoring}}
	for cycle := range cycles + 1 { // the first warms up
		for i := range slices {
			s := slices[(i+cycle)%len(slices)]
			ns, err := s.d.slice(ctx, s.w, s.exchanging)
			if err != nil {
				return err
			}
			if cycle > 0 {
				*s.into = append(*s.into, ns)
			}
		}
	}
	return nil
}

// slice is the daemon's CPU for the work of monitoring, with key exchanges or without.
func (d *daemon) slice(ctx context.Context, w *work, exchanging bool) (float64, error) {
	before, err := processCPU(d.pid)
	if err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() {
		if w.do == nil {
			done <- nil
			return
		}
		done <- w.do(ctx)
	}()
	if exchanging {
		_, err = keLoad(d.ke, d.roots)(besideSlice)
	}
	if err := errors.Join(err, <-done, sleep(ctx, trailing)); err != nil {
		return 0, err
	}
	after, err := processCPU(d.pid)
	return float64(after - before), err
}

// report has one limit: the ratio.
func (c *compared) report(t *table, exchanges int) {
	ratios := make([]float64, len(c.alone))
	for i := range ratios {
		ratios[i] = (c.both[i] - c.monitoring[i]) / c.alone[i]
	}
	low, high := interval(ratios)
	t.tell("beside "+c.name, "%.0f us alone, + %.1f ms", median(c.alone)/float64(exchanges)/1e3, median(c.monitoring)/1e6)
	t.add(figure{what: fmt.Sprintf("  ratio with to without, %d cycles of %d key exchanges", len(ratios), exchanges),
		got:   fmt.Sprintf("%.3f (%.3f to %.3f)", median(ratios), low, high),
		limit: fmt.Sprintf("<= %.2f", shareLimit), over: median(ratios) > shareLimit})
}
