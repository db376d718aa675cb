package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	floodFor      = 8 * time.Second
	floodRecovery = 12 * time.Second // two hello-timeouts, and some
	floodAtOnce   = 16
	floodConnects = 4000 // connections a second: more of them, and the load would measure itself
	floodShakes   = 400  // with whole handshakes, which cost the load as much as the server
	floodHalfOpen = 3000 // connections: more than there are slots
	floodRate     = 100  // key exchanges a second meanwhile
)

// flood is something that strangers do, from one address, until ctx is done; it counts what they did.
type flood struct {
	name string
	run  func(f *attack)
}

// attack is a flood that goes on.
type attack struct {
	*daemon
	ctx  context.Context
	from string // one address for each, since those of the last one are still limited
	did  atomic.Int64
}

func floods() []flood {
	return []flood{
		{"half-open handshakes, as many as the slots take", halfOpen},
		{"connections that are closed at once", churn},
		{"whole handshakes, then closed", handshakesOnly},
		{"requests of nobody over kept-alive connections", anonymousRequests},
		{"requests of nobody, with all headers that fit", longRequests},
		{"tokens that are none", badTokens},
	}
}

// atOnce runs work so many times a second, several at a time. What fails was refused, and is what is wanted.
func (a *attack) atOnce(rate int, work func() error) {
	var all sync.WaitGroup
	for range floodAtOnce {
		all.Go(func() {
			for next := time.Now(); a.ctx.Err() == nil; a.did.Add(1) {
				_ = work()
				next = next.Add(time.Second * floodAtOnce / time.Duration(rate))
				_ = sleep(a.ctx, time.Until(next))
			}
		})
	}
	all.Wait()
}

// connect makes a connection that leaves no port behind when it is closed.
func (a *attack) connect() (*net.TCPConn, error) {
	dialer := net.Dialer{Timeout: dialTimeout, LocalAddr: &net.TCPAddr{IP: net.ParseIP(a.from)}}
	c, err := dialer.Dial("tcp", a.addr)
	if err != nil {
		return nil, err
	}
	t := c.(*net.TCPConn)
	return t, t.SetLinger(0)
}

func halfOpen(a *attack) {
	var mu sync.Mutex
	var open []net.Conn
	a.atOnce(floodConnects, func() error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		_, err = c.Write([]byte{22, 3, 1, 2, 0, 1}) // the beginning of a ClientHello
		mu.Lock()
		defer mu.Unlock()
		if open = append(open, c); len(open) > floodHalfOpen {
			open[0].Close()
			open = open[1:]
		}
		return err
	})
	for _, c := range open {
		c.Close()
	}
}

func churn(a *attack) {
	a.atOnce(floodConnects, func() error {
		c, err := a.connect()
		if err == nil {
			err = c.Close()
		}
		return err
	})
}

func handshakesOnly(a *attack) {
	a.atOnce(floodShakes, func() error {
		c, err := a.dial("http/1.1", a.from)
		if err == nil {
			err = c.NetConn().Close()
		}
		return err
	})
}

func anonymousRequests(a *attack) { a.requests("GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n") }

func longRequests(a *attack) {
	var b bytes.Buffer
	b.WriteString("GET /v1/status HTTP/1.1\r\nHost: localhost\r\n")
	for i := range 100 {
		fmt.Fprintf(&b, "X-%d: %064d\r\n", i, i)
	}
	a.requests(b.String() + "\r\n")
}

func badTokens(a *attack) {
	a.requests("GET /v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + a.monitor[:len(a.monitor)-4] + "0000\r\n\r\n")
}

// requests sends one after the other on few connections, and reads what comes.
func (a *attack) requests(text string) {
	var all sync.WaitGroup
	for range floodAtOnce {
		all.Go(func() {
			for a.ctx.Err() == nil {
				if a.requestsOfOne(text) != nil {
					_ = sleep(a.ctx, 10*time.Millisecond)
				}
			}
		})
	}
	all.Wait()
}

func (a *attack) requestsOfOne(text string) error {
	c, err := a.dial("http/1.1", a.from)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(a.ctx, func() { c.Close() })()
	answer := make([]byte, 4096)
	for {
		if _, err := io.WriteString(c, text); err != nil {
			return err
		}
		if _, err := c.Read(answer); err != nil { // an answer to a stranger is one record
			return err
		}
		a.did.Add(1)
	}
}

func measureFlood(ctx context.Context, b *bench, t *table, _ int) error {
	d, err := b.monitored(ctx, fixedClock)
	if err != nil {
		return err
	}
	calm, err := d.exchanges(ctx, floodRate, floodFor)
	if err != nil {
		return err
	}
	t.tell("without a flood", "%s", calm)
	quiet, err := os.ReadFile(d.log)
	if err != nil {
		return err
	}
	for i, f := range floods() {
		if err := d.measureFlood(ctx, t, f, fmt.Sprintf("127.0.66.%d", 1+i)); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	said, err := os.ReadFile(d.log)
	if err != nil {
		return err
	}
	t.add(figure{what: "lines that the floods wrote into the log, at level info", got: fmt.Sprint(bytes.Count(said[len(quiet):], []byte("\n"))),
		limit: "< 100", over: bytes.Count(said[len(quiet):], []byte("\n")) >= 100, fails: true})
	if os.Getenv("NTPTSD_BENCH_VERBOSE") != "" {
		_, err = os.Stderr.Write(said[len(quiet):])
	}
	return err
}

// flooded is what a flood did to the daemon.
type flooded struct {
	before, after map[string]float64 // metrics
	rss, most     int
	cpu           time.Duration
	meanwhile     exchanged
	did           int64
}

func (d *daemon) measureFlood(ctx context.Context, t *table, f flood, from string) error {
	r, err := d.under(ctx, f, from)
	if err != nil {
		return err
	}
	did := float64(max(r.did, 1))
	t.tell(f.name+": key exchange", "%s", r.meanwhile)
	t.tell("  done by strangers, CPU and allocation for each", "%d, %.0f us, %.1f KiB", r.did, float64(r.cpu)/did/1e3-exchangeShare(r),
		(r.after["go_memstats_alloc_bytes_total"]-r.before["go_memstats_alloc_bytes_total"])/did/1024)
	t.add(figure{what: fmt.Sprintf("  growth of RSS from %s, the most", megabytes(r.rss)), got: megabytes(r.most - r.rss),
		limit: "< " + megabytes(floodLimit), over: r.most-r.rss >= floodLimit, fails: true})
	more := r.after["go_goroutines"] - r.before["go_goroutines"]
	t.add(figure{what: fmt.Sprintf("  goroutines more than before, %v later", floodRecovery), got: fmt.Sprintf("%.0f", more),
		limit: fmt.Sprintf("< %d", goroutines), over: more >= goroutines, fails: true})
	return nil
}

// exchangeShare is what key exchange took of the CPU for each of the strangers' doings, in microseconds.
func exchangeShare(r flooded) float64 {
	const handshakeMicros = 300 // "make bench"
	return float64(r.meanwhile.done) * handshakeMicros / float64(max(r.did, 1))
}

func (d *daemon) under(ctx context.Context, f flood, from string) (r flooded, err error) {
	if r.before, _, err = d.values(ctx); err != nil {
		return r, err
	}
	if r.rss, err = residentSet(d.pid); err != nil {
		return r, err
	}
	before, err := processCPU(d.pid)
	if err != nil {
		return r, err
	}
	flooding, stop := context.WithTimeout(ctx, floodFor)
	defer stop()
	a := &attack{daemon: d, ctx: flooding, from: from}
	var work sync.WaitGroup
	work.Go(func() { f.run(a) })
	work.Go(func() { r.most = d.watchMemory(flooding) })
	r.meanwhile, err = d.exchanges(ctx, floodRate, floodFor)
	work.Wait()
	if err != nil {
		return r, err
	}
	after, err := processCPU(d.pid)
	if err != nil {
		return r, err
	}
	r.did, r.cpu = a.did.Load(), after-before
	if err := sleep(ctx, floodRecovery); err != nil {
		return r, err
	}
	r.after, _, err = d.values(ctx)
	return r, err
}

// watchMemory gives the largest resident set until ctx is done.
func (d *daemon) watchMemory(ctx context.Context) (most int) {
	for {
		if now, err := residentSet(d.pid); err == nil {
			most = max(most, now)
		}
		if sleep(ctx, 100*time.Millisecond) != nil {
			return most
		}
	}
}
