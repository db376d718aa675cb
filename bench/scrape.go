package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	scrapeSlice = 20              // scrapes that follow upon each other
	scrapeEvery = 1 * time.Second // and those that do not, of which there are
	scrapeCount = 12
)

// What Prometheus asks for by default, and with native histograms.
const (
	acceptText     = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3"
	acceptProtobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)

func prometheusHeader() http.Header {
	return http.Header{"Accept": {acceptText}, "Accept-Encoding": {"gzip"}}
}

func measureScrape(ctx context.Context, b *bench, t *table, cycles int) error {
	clock, err := b.chronydWithSources(ctx)
	if err != nil {
		t.tell("skipped: there is no chronyd for 64 sources", "%v", err)
		return nil
	}
	d, err := b.monitored(ctx, clock)
	if err != nil {
		return err
	}
	client := d.client()
	if err := d.awaitSources(ctx); err != nil {
		return err
	}
	for _, form := range []struct{ name, accept, encoding string }{
		{"text, gzip", acceptText, "gzip"}, {"text, as it is", acceptText, "identity"}, {"protobuf, gzip", acceptProtobuf, "gzip"},
	} {
		header := http.Header{"Accept": {form.accept}, "Accept-Encoding": {form.encoding}}
		octets := 0
		scrape := func(n int) (int, error) {
			for i := range n {
				if octets, err = d.scrape(ctx, client, header); err != nil {
					return i, err
				}
			}
			return n, nil
		}
		s := &system{name: form.name, pid: d.pid, load: scrape}
		for c := range cycles + 1 {
			us, err := s.measure(scrapeSlice)
			if err != nil {
				return err
			}
			if c > 0 {
				s.cost = append(s.cost, us)
			}
		}
		low, high := interval(s.cost)
		t.add(milliseconds(fmt.Sprintf("one after the other, %s, %d octets", form.name, octets), median(s.cost)/1e3, low/1e3, high/1e3))
	}
	return d.scrapeSlowly(ctx, t, client)
}

// scrapeSlowly is a scrape a second: each finds what is older than a second, and has the daemon next door asked.
func (d *daemon) scrapeSlowly(ctx context.Context, t *table, client *http.Client) error {
	header := prometheusHeader()
	var idle, busy []float64
	for range scrapeCount {
		for _, scraping := range []bool{false, true} {
			before, err := processCPU(d.pid)
			if err != nil {
				return err
			}
			if scraping {
				if _, err := d.scrape(ctx, client, header); err != nil {
					return err
				}
			}
			if err := sleep(ctx, scrapeEvery); err != nil {
				return err
			}
			after, err := processCPU(d.pid)
			if err != nil {
				return err
			}
			ms := float64(after-before) / 1e6
			if scraping {
				busy = append(busy, ms)
			} else {
				idle = append(idle, ms)
			}
		}
	}
	for i := range busy {
		busy[i] -= idle[i]
	}
	low, high := interval(busy)
	t.tell("a second without a scrape", "%.2f ms", median(idle))
	t.add(milliseconds("one in two seconds, text, gzip, all that it sets off", median(busy), low, high))
	return nil
}

func milliseconds(what string, ms, low, high float64) figure {
	limit := float64(scrapeLimit) / 1e6
	return figure{what: what, got: fmt.Sprintf("%.2f ms (%.2f to %.2f)", ms, low, high), limit: fmt.Sprintf("< %.0f ms", limit), over: ms >= limit}
}

// awaitSources waits until the metrics have all sources.
func (d *daemon) awaitSources(ctx context.Context) error {
	for end := time.Now().Add(everydayWait); ; {
		_, labelled, err := d.values(ctx)
		if err != nil {
			return err
		}
		have := 0
		for family, n := range labelled {
			if strings.HasPrefix(family, "ntptsd_") && strings.Contains(family, "source") {
				have = max(have, n)
			}
		}
		if have >= sources {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the metrics have %d sources, want %d", have, sources)
		}
		if err := sleep(ctx, scrapeEvery); err != nil {
			return err
		}
	}
}

// scrape gives the octets of the answer.
func (d *daemon) scrape(ctx context.Context, c *http.Client, header http.Header) (int, error) {
	body, err := d.get(ctx, c, "/metrics", d.scraper, header)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	n, err := io.Copy(io.Discard, body)
	return int(n), err
}
