package keyexchange

import (
	"crypto/tls"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ntptsd/ntptsd/protocol/aead"
)

// metrics has every label's counter made beforehand: an exchange looks nothing up by string.
type metrics struct {
	connections  [verdicts]prometheus.Counter
	responses    map[aead.ID]prometheus.Counter
	groups       map[tls.CurveID]prometheus.Counter
	cookies      prometheus.Counter
	acceptErrors prometheus.Counter
	duration     prometheus.Histogram

	all []prometheus.Collector
}

func newMetrics(open func() int) *metrics {
	m := &metrics{responses: make(map[aead.ID]prometheus.Counter), groups: make(map[tls.CurveID]prometheus.Counter)}
	connections := m.vector("ntptsd_keyexchange_connections_total", "Connections that were accepted, by how they ended.", "verdict")
	for v := range verdicts {
		m.connections[v] = connections.WithLabelValues(v.String())
	}
	responses := m.vector("ntptsd_keyexchange_responses_total", "Responses with cookies, by the AEAD agreed upon.", "aead")
	for _, id := range everyAEAD {
		m.responses[id] = responses.WithLabelValues(id.String())
	}
	groups := m.vector("ntptsd_keyexchange_handshakes_total", "TLS handshakes that succeeded, by the group of the key exchange.", "group")
	for _, id := range []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256} {
		m.groups[id] = groups.WithLabelValues(id.String())
	}
	m.cookies = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "ntptsd_keyexchange_cookies_total", Help: "Cookies given out."})
	m.acceptErrors = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "ntptsd_keyexchange_accept_errors_total", Help: "Connections that could not be accepted."})
	m.duration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:                            "ntptsd_keyexchange_handshake_duration_seconds",
		Help:                            "Time from accept to the end of the TLS handshake, round trips included.",
		Buckets:                         []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	})
	gauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ntptsd_keyexchange_connections_open", Help: "Connections in progress.",
	}, func() float64 { return float64(open()) })
	m.all = append(m.all, m.cookies, m.acceptErrors, m.duration, gauge)
	return m
}

func (m *metrics) vector(name, help, label string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	m.all = append(m.all, v)
	return v
}

func (m *metrics) handshake(group tls.CurveID, took time.Duration) {
	m.groups[group].Inc()
	m.duration.Observe(took.Seconds())
}

func (m *metrics) answered(a answer) {
	if a.verdict == Served {
		m.responses[a.aead].Inc()
		m.cookies.Add(cookies)
	}
}

// Describe implements prometheus.Collector.
func (s *Server) Describe(descs chan<- *prometheus.Desc) {
	for _, c := range s.metrics.all {
		c.Describe(descs)
	}
}

// Collect implements prometheus.Collector.
func (s *Server) Collect(out chan<- prometheus.Metric) {
	for _, c := range s.metrics.all {
		c.Collect(out)
	}
}
