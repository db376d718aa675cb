package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

const exchangesBound = 200 // key exchanges under way

// exchanged is what became of key exchanges.
type exchanged struct {
	done, failed int
	within       time.Duration
	took         []float64 // milliseconds, of those that were done
	err          error     // the first
}

func (e exchanged) String() string {
	if e.done == 0 {
		return fmt.Sprintf("none, %d failed", e.failed)
	}
	s := slices.Sorted(slices.Values(e.took))
	return fmt.Sprintf("%.1f/s, %d failed, %.1f ms, 99 %% %.0f ms", float64(e.done)/e.within.Seconds(), e.failed, median(s), s[len(s)*99/100])
}

// exchanges begins that many key exchanges a second, evenly, and waits for all of them.
func (d *daemon) exchanges(ctx context.Context, rate int, within time.Duration) (exchanged, error) {
	var mu sync.Mutex // guards all
	var all exchanged
	var work sync.WaitGroup
	request, places := keRequest(), make(chan struct{}, exchangesBound)
	began := time.Now()
	for i := range int(within.Seconds() * float64(rate)) {
		if err := sleep(ctx, time.Until(began.Add(time.Duration(i)*time.Second/time.Duration(rate)))); err != nil {
			return all, err
		}
		places <- struct{}{}
		work.Go(func() {
			defer func() { <-places }()
			from := time.Now()
			_, _, err := handshake(d.ke, d.roots, request)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				all.done++
				all.took = append(all.took, float64(time.Since(from))/1e6)
				return
			}
			if all.failed++; all.err == nil {
				all.err = err
			}
		})
	}
	work.Wait()
	all.within = time.Since(began)
	return all, nil
}
