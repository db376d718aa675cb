package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	consoleSlice   = 10_000 // requests of one command
	consoleTimeout = 30 * time.Second
	consolePace    = 2000 // requests a second of a program that asks much
)

// console is a connection that speaks lines.
type console struct {
	conn *tls.Conn
	in   *bufio.Reader
}

// console logs in.
func (d *daemon) console(from string) (*console, error) {
	conn, err := d.dial("ntptsd-line/1", from)
	if err != nil {
		return nil, err
	}
	c := &console{conn, bufio.NewReaderSize(conn, 64<<10)}
	if err := conn.SetDeadline(time.Now().Add(consoleTimeout)); err != nil {
		return nil, err
	}
	greeting, err := c.in.ReadString('\n')
	if err != nil || !strings.HasPrefix(greeting, "220 ") {
		return nil, fmt.Errorf("the console greets with %q: %w", greeting, err)
	}
	_, err = fmt.Fprintf(conn, "login %s\n", d.monitor)
	if err != nil {
		return nil, err
	}
	return c, c.answer()
}

// answer reads one, which must be a good one.
func (c *console) answer() error {
	line, err := c.in.ReadSlice('\n')
	switch {
	case err != nil:
		return err
	case bytes.HasPrefix(line, []byte("200 ")), bytes.HasPrefix(line, []byte(`{"code":200,`)):
		return nil
	case !bytes.HasPrefix(line, []byte("200-")):
		return fmt.Errorf("the console says %q", line)
	}
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return err
		}
		if string(line) == ".\r\n" {
			return nil
		}
	}
}

// ask sends a request n times without waiting, and reads the answers meanwhile.
func (c *console) ask(request string, n int) (answered int, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(consoleTimeout)); err != nil {
		return 0, err
	}
	sent := make(chan error, 1)
	go func() {
		w := bufio.NewWriterSize(c.conn, 16<<10)
		for range n {
			w.WriteString(request + "\n") // its error sticks
		}
		sent <- w.Flush()
	}()
	for ; answered < n && err == nil; answered++ {
		err = c.answer()
	}
	if err != nil {
		c.conn.Close()
	}
	return answered, errors.Join(err, <-sent)
}

func measureConsole(ctx context.Context, b *bench, t *table, cycles int) error {
	clock, err := b.chronydWithSources(ctx)
	if err != nil {
		t.tell("without a chronyd", "%v", err)
		clock = fixedClock
	}
	d, err := b.monitored(ctx, clock)
	if err != nil {
		return err
	}
	c, err := d.console("")
	if err != nil {
		return err
	}
	defer c.conn.Close()
	for _, request := range []string{"json fit", "json tracking", "json status", "tracking", "status", "help fit", "sources"} {
		var rates, costs []float64
		for i := range max(cycles/2, 1) + 1 {
			if err := ctx.Err(); err != nil {
				return err
			}
			before, err := processCPU(d.pid)
			if err != nil {
				return err
			}
			began := time.Now()
			if _, err := c.ask(request, consoleSlice); err != nil {
				return fmt.Errorf("%s: %w", request, err)
			}
			took := time.Since(began)
			after, err := processCPU(d.pid)
			if err != nil {
				return err
			}
			if i > 0 {
				rates = append(rates, consoleSlice/took.Seconds())
				costs = append(costs, float64(after-before)/consoleSlice/1e3)
			}
		}
		low, high := interval(rates)
		what := "%s: requests a second, and %.1f us of CPU each"
		if request == "sources" { // 64 rows each: no limit was set for these
			t.tell(fmt.Sprintf(what, request, median(costs)), "%.0f (%.0f to %.0f)", median(rates), low, high)
			continue
		}
		t.add(figure{what: fmt.Sprintf(what, request, median(costs)),
			got:   fmt.Sprintf("%.0f (%.0f to %.0f)", median(rates), low, high),
			limit: fmt.Sprintf(">= %d", consoleLimit), over: median(rates) < consoleLimit})
	}
	return nil
}
