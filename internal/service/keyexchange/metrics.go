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

	fit, draining, probes, served *prometheus.Desc // of targets, which come and go: read off the board
}

func newMetrics(open func() int) *metrics {
	m := &metrics{responses: make(map[aead.ID]prometheus.Counter), groups: make(map[tls.CurveID]prometheus.Counter)}
	connections := m.vector("ntptsd_keyexchange_connections_total", "Connections that were accepted, by how they ended.", "verdict")
	for v := range verdicts {
		m.connections[v] = connections.WithLabelValues(v.String())
	}
	responses := m.vector("ntptsd_keyexchange_responses_total", "Responses with cookies, by the AEAD agreed upon.", "aead")
	for _, id := range []aead.ID{aead.AESSIVCMAC256, aead.AESSIVCMAC384, aead.AESSIVCMAC512, aead.AES128GCMSIV} {
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
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	m.fit = desc("ntptsd_keyexchange_target_fit", "1 while the target is fit, 0 while it is not or not known to be.", "target")
	m.draining = desc("ntptsd_keyexchange_target_draining", "1 while the target drains: clients are sent to others.", "target")
	m.probes = desc("ntptsd_keyexchange_target_probes_total", "Probes of the target, by result.", "target", "result")
	m.served = desc("ntptsd_keyexchange_target_served_total", "Key exchanges whose client was sent to the target.", "target")
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
		a.target.served.Add(1)
	}
}

// Describe implements prometheus.Collector.
func (s *Server) Describe(descs chan<- *prometheus.Desc) {
	m := s.metrics
	for _, c := range m.all {
		c.Describe(descs)
	}
	descs <- m.fit
	descs <- m.draining
	descs <- m.probes
	descs <- m.served
}

// Collect implements prometheus.Collector.
func (s *Server) Collect(out chan<- prometheus.Metric) {
	m := s.metrics
	for _, c := range m.all {
		c.Collect(out)
	}
	for _, p := range s.named() {
		out <- prometheus.MustNewConstMetric(m.fit, prometheus.GaugeValue, oneIf(p.class == fit), p.id)
		out <- prometheus.MustNewConstMetric(m.draining, prometheus.GaugeValue, oneIf(p.draining), p.id)
		out <- prometheus.MustNewConstMetric(m.served, prometheus.CounterValue, float64(p.served.Load()), p.id)
		for c := range classes {
			out <- prometheus.MustNewConstMetric(m.probes, prometheus.CounterValue, float64(p.probes[c]), p.id, c.String())
		}
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
