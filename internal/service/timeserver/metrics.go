package timeserver

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/sockets"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// versions are those that are answered, and 0.
const versions = 5

// tally counts a batch, in the worker's own memory.
type tally struct {
	verdicts [verdicts]uint64
	versions [versions]uint64 // of what was answered
	stamped  uint64           // with a receive timestamp of the kernel
	received uint64
	cookies  uint64
	ages     [ages]uint64
	refused  int
}

func (t *tally) count(v Verdict, m *sockets.Message) {
	t.verdicts[v]++
	t.received++
	if m.Stamped {
		t.stamped++
	}
	if len(m.Reply) >= ntp.HeaderLen {
		t.versions[min(m.Reply[0]>>3&7, versions-1)]++
	}
}

// counters are what a worker shows. They begin and end on cache lines of their own, since other cores read them.
type counters struct {
	_             [64]byte
	verdicts      [verdicts]atomic.Uint64
	versions      [versions]atomic.Uint64
	stamped       atomic.Uint64
	unstamped     atomic.Uint64
	cookies       atomic.Uint64
	ages          [ages]atomic.Uint64
	sendErrors    atomic.Uint64
	receiveErrors atomic.Uint64
	_             [64]byte
}

// add is called once a batch.
func (c *counters) add(t *tally) {
	for i, n := range t.verdicts {
		addTo(&c.verdicts[i], n)
	}
	for i, n := range t.versions {
		addTo(&c.versions[i], n)
	}
	addTo(&c.stamped, t.stamped)
	addTo(&c.unstamped, t.received-t.stamped)
	addTo(&c.cookies, t.cookies)
	for i, n := range t.ages {
		addTo(&c.ages[i], n)
	}
	addTo(&c.sendErrors, uint64(t.refused))
}

// addTo spares the locked instruction where there is nothing to add, which is most of a batch.
func addTo(c *atomic.Uint64, n uint64) {
	if n != 0 {
		c.Add(n)
	}
}

// metrics describes what a Server shows.
type metrics struct {
	requests, replies, timestamps, cookies, opened, sendErrors, receiveErrors *prometheus.Desc
}

func newMetrics() metrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return metrics{
		requests:   desc("ntptsd_timeserver_requests_total", "Datagrams received, by what became of them.", "verdict"),
		replies:    desc("ntptsd_timeserver_replies_total", "Answers made, kisses included, by NTP version.", "version"),
		timestamps: desc("ntptsd_timeserver_timestamps_total", "Receive timestamps by who took them: the kernel, or ntptsd itself for want of that.", "source"),
		cookies:    desc("ntptsd_timeserver_cookies_total", "NTS cookies given out with answers, all of them under the current key."),
		opened: desc("ntptsd_timeserver_cookies_opened_total", "NTS cookies that clients sent, by how many rotations ago their key was the current one: "+
			"current, 1, 2, older; next: a key that does not mint here yet; unknown: no key opens it, and the client must fetch new ones; revoked: likewise, since an operator revoked its key.", "age"),
		sendErrors:    desc("ntptsd_timeserver_send_errors_total", "Answers that the system refused to send."),
		receiveErrors: desc("ntptsd_timeserver_receive_errors_total", "Errors while receiving that passed by themselves."),
	}
}

// Describe implements prometheus.Collector.
func (s *Server) Describe(ch chan<- *prometheus.Desc) {
	m := &s.metrics
	for _, d := range []*prometheus.Desc{m.requests, m.replies, m.timestamps, m.cookies, m.opened, m.sendErrors, m.receiveErrors} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s *Server) Collect(ch chan<- prometheus.Metric) {
	m := &s.metrics
	show := func(d *prometheus.Desc, of func(c *counters) *atomic.Uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(s.sum(of)), labels...)
	}
	for v := range Verdict(verdicts) {
		show(m.requests, func(c *counters) *atomic.Uint64 { return &c.verdicts[v] }, v.String())
	}
	for v := 1; v < versions; v++ {
		show(m.replies, func(c *counters) *atomic.Uint64 { return &c.versions[v] }, strconv.Itoa(v))
	}
	show(m.timestamps, func(c *counters) *atomic.Uint64 { return &c.stamped }, "kernel")
	show(m.timestamps, func(c *counters) *atomic.Uint64 { return &c.unstamped }, "user")
	show(m.cookies, func(c *counters) *atomic.Uint64 { return &c.cookies })
	for a := range age(ages) {
		show(m.opened, func(c *counters) *atomic.Uint64 { return &c.ages[a] }, a.String())
	}
	show(m.sendErrors, func(c *counters) *atomic.Uint64 { return &c.sendErrors })
	show(m.receiveErrors, func(c *counters) *atomic.Uint64 { return &c.receiveErrors })
}

// sum adds one counter of all workers.
func (s *Server) sum(of func(c *counters) *atomic.Uint64) (n uint64) {
	for _, w := range s.workers {
		n += of(&w.counters).Load()
	}
	return n
}

// Cookies counts the cookies that clients sent, by the age of the key that opened them. Safe for concurrent use.
func (s *Server) Cookies() []api.Count {
	counts := make([]api.Count, ages)
	for a := range age(ages) {
		counts[a] = api.Count{Name: a.String(), Count: s.sum(func(c *counters) *atomic.Uint64 { return &c.ages[a] })}
	}
	return counts
}

// Answered counts the requests that were answered with time.
func (s *Server) Answered() uint64 { return s.verdict(AnsweredPlain) + s.verdict(AnsweredNTS) }

// RateLimited counts the requests that were in excess of rate-limit, and got no time for it.
func (s *Server) RateLimited() uint64 { return s.verdict(RateLimited) + s.verdict(AnsweredRate) }

func (s *Server) verdict(v Verdict) uint64 {
	return s.sum(func(c *counters) *atomic.Uint64 { return &c.verdicts[v] })
}
