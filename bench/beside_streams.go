package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	sampleEvery = 2 * time.Second // of the stream: a window of as much has exactly one sample for each reader, in its middle
	// windowPairs times both daemons make windowChunk key exchanges in a window, in turn.
	windowPairs = 12
	windowChunk = 25
)

// measureBesideStreams: readers cannot come and go between slices of a tenth of a second, and what they cost comes all at
// once. So windows are as long as the stream's period. In one of them the daemon with readers and the one without make key
// exchanges in turn, a few at a time, so that the machine's speed is the same for both; in the next one there are none:
//
//	(with readers and key exchanges - with readers) / (key exchanges alone - nothing)
func measureBesideStreams(ctx context.Context, b *bench, t *table, cycles int) error {
	both, err := b.two(ctx)
	if err != nil {
		return err
	}
	c := &compared{beside: beside{name: fmt.Sprintf("%d readers, each told a sample every %v", readers, sampleEvery)}}
	for block := range besideBlocks {
		watched, other := both[block%2], both[1-block%2]
		f, err := watched.follow(ctx, readers, fmt.Sprintf("127.0.20.%d", 1+block))
		if err != nil {
			return err
		}
		err = c.measureWindows(ctx, f, watched, other, max(1, cycles/besideBlocks))
		f.close()
		if n := f.ended.Load(); n > 0 {
			err = errors.Join(err, fmt.Errorf("%d of %d streams were ended by the server", n, readers))
		}
		if err != nil {
			return err
		}
	}
	c.report(t, windowPairs*windowChunk)
	return nil
}

func (c *compared) measureWindows(ctx context.Context, f *followers, watched, other *daemon, cycles int) error {
	pair := [2]*daemon{watched, other}
	for cycle := range cycles + 1 { // the first warms up
		with, err := window(ctx, f, pair, cycle, true)
		if err != nil {
			return err
		}
		without, err := window(ctx, f, pair, cycle, false)
		if err != nil {
			return err
		}
		if cycle > 0 {
			c.both, c.monitoring = append(c.both, with[0]), append(c.monitoring, without[0])
			c.alone = append(c.alone, with[1]-without[1])
		}
	}
	return nil
}

// window is the CPU of both daemons in one period of the stream, from between two samples.
func window(ctx context.Context, f *followers, pair [2]*daemon, turn int, exchanging bool) (ns [2]float64, err error) {
	if err := f.beat(ctx); err != nil {
		return ns, err
	}
	begin := f.beaten.Add(sampleEvery / 2)
	if err := sleep(ctx, time.Until(begin)); err != nil {
		return ns, err
	}
	before, err := cpuOf(pair)
	if err != nil {
		return ns, err
	}
	for i := range windowPairs * 2 {
		if !exchanging {
			break
		}
		d := pair[(i+turn)%2]
		if _, err := keLoad(d.ke, d.roots)(windowChunk); err != nil {
			return ns, err
		}
	}
	left := time.Until(begin.Add(sampleEvery))
	if left < 0 {
		return ns, fmt.Errorf("%d key exchanges took %v longer than %v", 2*windowPairs*windowChunk, -left, sampleEvery)
	}
	if err := sleep(ctx, left); err != nil {
		return ns, err
	}
	after, err := cpuOf(pair)
	for i := range ns {
		ns[i] = float64(after[i] - before[i])
	}
	return ns, err
}

func cpuOf(pair [2]*daemon) (cpu [2]time.Duration, err error) {
	for i, d := range pair {
		if cpu[i], err = processCPU(d.pid); err != nil {
			return cpu, err
		}
	}
	return cpu, nil
}
