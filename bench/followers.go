package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	followersAtOnce     = 8  // that are connecting
	followersPerHTTP2   = 32 // streams of one connection, as many as the server serves
	followFor           = 32 * time.Second
	readersLeaveTimeout = 40 * time.Second // two heartbeats, and some
)

// followers are readers of /v1/stream.
type followers struct {
	beats  chan struct{} // a sample came to the first of them; never blocks it
	heard  atomic.Int64  // how often the first of them was told something
	ended  atomic.Int64  // before close
	mu     sync.Mutex
	open   []io.Closer // guarded by mu
	ends   func()      // after that
	closed atomic.Bool
	read   sync.WaitGroup
}

// follow opens n streams over HTTP/1.1, each by a connection of its own from that address.
func (d *daemon) follow(ctx context.Context, n int, from string) (*followers, error) {
	f := &followers{beats: make(chan struct{}, 1), ends: func() {}}
	return f, f.openAll(ctx, n, func() (io.ReadCloser, error) {
		c, err := d.dial("http/1.1", from)
		if err != nil {
			return nil, err
		}
		if _, err := fmt.Fprintf(c, "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", d.monitor); err != nil {
			c.Close()
			return nil, err
		}
		resp, err := http.ReadResponse(bufio.NewReaderSize(c, 512), nil)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("GET /v1/stream: %s", resp.Status)
		}
		if err != nil {
			c.Close()
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{resp.Body, c}, nil
	})
}

// followHTTP2 opens n streams, many of one connection each.
func (d *daemon) followHTTP2(ctx context.Context, n int) (*followers, error) {
	var mu sync.Mutex
	var clients []*http.Client
	next := 0
	f := &followers{beats: make(chan struct{}, 1), ends: func() {
		for _, c := range clients {
			c.CloseIdleConnections()
		}
	}}
	return f, f.openAll(ctx, n, func() (io.ReadCloser, error) {
		mu.Lock()
		defer mu.Unlock() // one after the other: a connection's first request is to find out how many it may have
		if next%followersPerHTTP2 == 0 {
			clients = append(clients, d.client())
		}
		next++
		return d.get(ctx, clients[len(clients)-1], "/v1/stream", d.monitor, nil)
	})
}

func (f *followers) openAll(ctx context.Context, n int, open func() (io.ReadCloser, error)) error {
	var next atomic.Int64
	errs := make([]error, followersAtOnce)
	var opening sync.WaitGroup
	for i := range followersAtOnce {
		opening.Go(func() {
			for {
				at := next.Add(1)
				if at > int64(n) || ctx.Err() != nil {
					return
				}
				r, err := open()
				if err != nil {
					errs[i] = err
					return
				}
				f.mu.Lock()
				f.open = append(f.open, r)
				f.mu.Unlock()
				f.read.Go(func() { f.listen(r, at == 1) })
			}
		})
	}
	opening.Wait()
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		f.close()
		return err
	}
	return nil
}

// listen reads until the stream ends.
func (f *followers) listen(r io.Reader, first bool) {
	b := make([]byte, 2048)
	for {
		n, err := r.Read(b)
		if err != nil {
			if !f.closed.Load() {
				f.ended.Add(1)
			}
			return
		}
		if first && n > 0 {
			f.heard.Add(1)
			select {
			case f.beats <- struct{}{}:
			default:
			}
		}
	}
}

func (f *followers) close() {
	f.closed.Store(true)
	f.mu.Lock()
	for _, c := range f.open {
		c.Close()
	}
	f.mu.Unlock()
	f.read.Wait()
	f.ends()
}

// beat waits for the next sample. From one to the next are two seconds.
func (f *followers) beat(ctx context.Context) error {
	select {
	case <-f.beats:
	default:
	}
	select {
	case <-f.beats:
		return nil
	case <-time.After(everydayWait):
		return errors.New("no sample came")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func measureStreams(ctx context.Context, b *bench, t *table, _ int) error {
	d, err := b.monitored(ctx, fixedClock)
	if err != nil {
		return err
	}
	err = d.measureReaders(ctx, t, "HTTP/1.1, a connection each", func() (*followers, error) { return d.follow(ctx, readers, "") })
	if err != nil {
		return err
	}
	b.stopServers() // the second figure has a new server
	if d, err = b.monitored(ctx, fixedClock); err != nil {
		return err
	}
	return d.measureReaders(ctx, t, fmt.Sprintf("HTTP/2, %d a connection", followersPerHTTP2), func() (*followers, error) { return d.followHTTP2(ctx, readers) })
}

// measureReaders tells how much the resident set grows: when they connect, and while they listen.
func (d *daemon) measureReaders(ctx context.Context, t *table, how string, open func() (*followers, error)) error {
	before, err := d.warm(ctx)
	if err != nil {
		return err
	}
	f, err := open()
	if err != nil {
		return err
	}
	defer f.close()
	connected, err := residentSet(d.pid)
	if err != nil {
		return err
	}
	cpu, err := processCPU(d.pid)
	if err != nil {
		return err
	}
	most, last := 0, 0
	for end := time.Now().Add(followFor); time.Now().Before(end); {
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
		if last, err = residentSet(d.pid); err != nil {
			return err
		}
		most = max(most, last)
	}
	after, err := processCPU(d.pid)
	if err != nil {
		return err
	}
	if n := f.ended.Load(); n > 0 {
		return fmt.Errorf("%d of %d streams were ended by the server", n, readers)
	}
	t.tell(how+": RSS of the server before", "%s", megabytes(before))
	t.tell("  growth when the last has connected", "%s", megabytes(connected-before))
	t.add(figure{what: fmt.Sprintf("  growth for %d readers, the most within %v", readers, followFor), got: megabytes(most - before),
		limit: "< " + megabytes(readersLimit), over: most-before >= readersLimit, fails: true})
	t.tell("  a reader", "%.1f KiB", float64(most-before)/readers/1024)
	t.tell("  CPU for all of them", "%.1f ms a second", float64(after-cpu)/1e6/followFor.Seconds())
	return d.measureLeaving(ctx, t, f)
}

// warm lets the server do once what is not the readers' share, and gives its resident set.
func (d *daemon) warm(ctx context.Context) (int, error) {
	if _, _, err := d.values(ctx); err != nil {
		return 0, err
	}
	one, err := d.follow(ctx, 1, "127.0.0.2") // that it has left is noticed late, and one network has a bound
	if err != nil {
		return 0, err
	}
	defer one.close()
	if err := one.beat(ctx); err != nil {
		return 0, err
	}
	return residentSet(d.pid)
}

// measureLeaving tells how long the server needs to forget them.
func (d *daemon) measureLeaving(ctx context.Context, t *table, f *followers) error {
	f.close()
	left := time.Now()
	for {
		v, _, err := d.values(ctx)
		if err != nil {
			return err
		}
		if v["ntptsd_monitoring_streams_open"] == 0 {
			t.tell("  after they left: none is counted, goroutines", "%.1f s, %.0f", time.Since(left).Seconds(), v["go_goroutines"])
			return nil
		}
		if time.Since(left) > readersLeaveTimeout {
			return fmt.Errorf("%.0f streams are still open", v["ntptsd_monitoring_streams_open"])
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}
