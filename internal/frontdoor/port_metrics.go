package frontdoor

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// route is a class of requests.
type route uint8

const (
	toV1 route = iota
	toActions
	toMetrics
	toHealth
	toWeb
	toStream
	toSession
	toOther
	routeClasses
)

func (r route) String() string {
	return [...]string{"v1", "actions", "metrics", "health", "web", "stream", "session", "other"}[r]
}

// statusClasses are those of HTTP, 1xx to 5xx.
const statusClasses = 5

// metrics has a counter for every value of every label: there are as many whatever is asked.
type metrics struct {
	connections  [protocols][verdicts]atomic.Uint64
	requests     [routeClasses][statusClasses]atomic.Uint64
	acceptErrors atomic.Uint64
	streamsCut   atomic.Uint64
	strangersCut atomic.Uint64

	open, connectionsTotal, requestsTotal, acceptErrorsTotal, streamsOpen, streamsCutTotal, strangersCutTotal *prometheus.Desc
}

func newMetrics() *metrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &metrics{
		open: desc("ntptsd_monitoring_connections_open", "Connections of the services port that are open, by protocol; none: the handshake is not over.", "protocol"),
		connectionsTotal: desc("ntptsd_monitoring_connections_total", "Connections of the services port, by protocol and how they began: accepted, or the reason why not. "+
			"The protocol is none where it was not known yet.", "protocol", "verdict"),
		requestsTotal:     desc("ntptsd_monitoring_requests_total", "HTTP requests on the services port, by what was asked for and the class of the status.", "route", "code"),
		acceptErrorsTotal: desc("ntptsd_monitoring_accept_errors_total", "Connections to the services port that could not be accepted."),
		streamsOpen:       desc("ntptsd_monitoring_streams_open", "Streams of events over HTTP that are open."),
		streamsCutTotal:   desc("ntptsd_monitoring_streams_cut_total", "Streams of events over HTTP that were ended because the reader was too slow."),
		strangersCutTotal: desc("ntptsd_monitoring_strangers_cut_total", "Connections over HTTP without a log-in that were ended to make room for others."),
	}
}

func (m *metrics) count(p protocol, v verdict) { m.connections[p][v].Add(1) }

// request counts an answer; a status of 0 is one that nobody set, which net/http takes for 200.
func (m *metrics) request(r route, status int) {
	class := status/100 - 1
	if class < 0 || class >= statusClasses {
		class = 1
	}
	m.requests[r][class].Add(1)
}

// Refused is how many connections the limits refused: by slots, by rate and by the share of a protocol.
func (p *Port) Refused() (n uint64) {
	for of := range protocols {
		for _, v := range []verdict{full, limited, crowded} {
			n += p.metrics.connections[of][v].Load()
		}
	}
	return n
}

// Describe implements prometheus.Collector.
func (p *Port) Describe(out chan<- *prometheus.Desc) {
	m := p.metrics
	for _, d := range []*prometheus.Desc{m.open, m.connectionsTotal, m.requestsTotal, m.acceptErrorsTotal, m.streamsOpen, m.streamsCutTotal, m.strangersCutTotal} {
		out <- d
	}
}

// possible tells whether a connection of the protocol can get the verdict.
func possible(p protocol, v verdict) bool {
	switch v {
	case denied, full, limited, handshakeFailed:
		return p == ofNone
	case unknown, notServed:
		return p != ofNone && p != ofHTTP
	}
	return p != ofNone
}

// Collect implements prometheus.Collector.
func (p *Port) Collect(out chan<- prometheus.Metric) {
	m, known := p.metrics, int64(0)
	gauge := func(d *prometheus.Desc, n int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	for of := range protocols {
		if of != ofNone {
			n := p.budgets[of].open.Load()
			known += n
			gauge(m.open, n, of.String())
		}
		for v := range verdicts {
			if possible(of, v) {
				counter(m.connectionsTotal, m.connections[of][v].Load(), of.String(), v.String())
			}
		}
	}
	gauge(m.open, max(0, int64(p.opened())-known), ofNone.String())
	for r := range routeClasses {
		for class := range statusClasses {
			if n := m.requests[r][class].Load(); n > 0 || class == 1 {
				counter(m.requestsTotal, n, r.String(), strconv.Itoa(class+1)+"xx")
			}
		}
	}
	counter(m.acceptErrorsTotal, m.acceptErrors.Load())
	gauge(m.streamsOpen, int64(p.contents.streams.opened()))
	counter(m.streamsCutTotal, m.streamsCut.Load())
	counter(m.strangersCutTotal, m.strangersCut.Load())
}
