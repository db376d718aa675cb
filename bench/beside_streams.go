package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	windowChunk = 25                     // key exchanges of one daemon, before those of the other
	afterSample = 300 * time.Millisecond // a window ends so long after all readers were told one
)

// measureBesideStreams: readers cannot come and go between slices of a tenth of a second, and what they cost comes all at
// once, when they are told a sample. So a window goes on until that has happened once. In one of them the daemon with readers
// and the one without make key exchanges in turn, a few at a time, so that the machine's speed is the same for both; in the
// next one there are none:
//
//	(with readers and key exchanges - with readers) / (key exchanges alone - nothing)
func measureBesideStreams(ctx context.Context, b *bench, t *table, cycles int) error {
	both, err := b.two(ctx)
	if err != nil {
		return err
	}
	c := &compared{beside: beside{name: fmt.Sprintf("%d readers, each told one sample in a window", readers)}}
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
	c.report(t, int(median(c.exchanges)))
	return nil
}

func (c *compared) measureWindows(ctx context.Context, f *followers, watched, other *daemon, cycles int) error {
	pair := [2]*daemon{watched, other}
	for cycle := range cycles + 1 { // the first warms up
		with, n, err := window(ctx, f, pair, cycle, true)
		if err != nil {
			return err
		}
		without, _, err := window(ctx, f, pair, cycle, false)
		if err != nil {
			return err
		}
		if cycle > 0 {
			c.both, c.monitoring = append(c.both, with[0]), append(c.monitoring, without[0])
			c.alone, c.exchanges = append(c.alone, with[1]-without[1]), append(c.exchanges, n)
		}
	}
	return nil
}

// window is the CPU of both daemons, from between two samples to between the next two, and how many key exchanges each made.
func window(ctx context.Context, f *followers, pair [2]*daemon, turn int, exchanging bool) (ns [2]float64, n float64, err error) {
	before, err := cpuOf(pair)
	if err != nil {
		return ns, 0, err
	}
	began, heard := time.Now(), f.heard.Load()
	var ends time.Time // zero until the sample came
	for i := 0; ends.IsZero() || time.Now().Before(ends); i++ {
		switch {
		case ends.IsZero() && f.heard.Load() > heard:
			ends = time.Now().Add(afterSample)
		case time.Since(began) > everydayWait:
			return ns, 0, errors.New("no sample came")
		}
		if !exchanging {
			if err := sleep(ctx, trailing); err != nil {
				return ns, 0, err
			}
			continue
		}
		for j := range pair {
			d := pair[(i+j+turn)%2]
			if _, err := keLoad(d.ke, d.roots)(windowChunk); err != nil {
				return ns, 0, err
			}
		}
		n += windowChunk
	}
	if err := sleep(ctx, trailing); err != nil {
		return ns, 0, err
	}
	after, err := cpuOf(pair)
	for i := range ns {
		ns[i] = float64(after[i] - before[i])
	}
	return ns, n, err
}

func cpuOf(pair [2]*daemon) (cpu [2]time.Duration, err error) {
	for i, d := range pair {
		if cpu[i], err = processCPU(d.pid); err != nil {
			return cpu, err
		}
	}
	return cpu, nil
}
