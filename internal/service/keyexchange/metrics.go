package keyexchange

import (
	"crypto/tls"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/aead"
)

// sessionAEADs and tlsGroups are all that an exchange can agree upon, in the order of the counters.
var (
	sessionAEADs = [...]aead.ID{aead.AESSIVCMAC256, aead.AESSIVCMAC384, aead.AESSIVCMAC512, aead.AES128GCMSIV}
	tlsGroups    = [...]tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256}
)

// metrics has a counter for every value of every label: an exchange looks nothing up by string.
type metrics struct {
	connections  [verdicts]atomic.Uint64
	failures     [failures]atomic.Uint64
	responses    [len(sessionAEADs)]atomic.Uint64
	groups       [len(tlsGroups)]atomic.Uint64
	cookies      atomic.Uint64
	acceptErrors atomic.Uint64
	latency      latency
	duration     prometheus.Histogram

	descriptions
}

// descriptions say what is shown.
type descriptions struct {
	connectionsTotal, failuresTotal, responsesTotal, handshakesTotal, cookiesTotal, acceptErrorsTotal, open *prometheus.Desc

	fit, draining, probes, served *prometheus.Desc // of targets, which come and go: read off the board
}

func (d *descriptions) all() []*prometheus.Desc {
	return []*prometheus.Desc{d.connectionsTotal, d.failuresTotal, d.responsesTotal, d.handshakesTotal, d.cookiesTotal,
		d.acceptErrorsTotal, d.open, d.fit, d.draining, d.probes, d.served}
}

func newMetrics() *metrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &metrics{
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:                            "ntptsd_keyexchange_handshake_duration_seconds",
			Help:                            "Time from accept to the end of the TLS handshake, round trips included.",
			Buckets:                         []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}),
		descriptions: descriptions{
			connectionsTotal: desc("ntptsd_keyexchange_connections_total", "Connections that were accepted, by how they ended: served, or the reason why not.", "verdict"),
			failuresTotal: desc("ntptsd_keyexchange_handshake_failures_total", "TLS handshakes that failed (verdict handshake_failed), by the reason; "+
				"distrusted means that the client did not accept our certificate.", "reason"),
			responsesTotal:    desc("ntptsd_keyexchange_responses_total", "Responses with cookies, by the AEAD agreed upon.", "aead"),
			handshakesTotal:   desc("ntptsd_keyexchange_handshakes_total", "TLS handshakes that succeeded, by the group of the key exchange.", "group"),
			cookiesTotal:      desc("ntptsd_keyexchange_cookies_total", "Cookies given out."),
			acceptErrorsTotal: desc("ntptsd_keyexchange_accept_errors_total", "Connections that could not be accepted."),
			open:              desc("ntptsd_keyexchange_connections_open", "Connections in progress."),

			fit:      desc("ntptsd_keyexchange_target_fit", "1 while the target is fit, 0 while it is not or not known to be.", "target"),
			draining: desc("ntptsd_keyexchange_target_draining", "1 while the target drains: clients are sent to others.", "target"),
			probes:   desc("ntptsd_keyexchange_target_probes_total", "Probes of the target, by result.", "target", "result"),
			served:   desc("ntptsd_keyexchange_target_served_total", "Key exchanges whose client was sent to the target.", "target"),
		},
	}
}

func (m *metrics) handshake(group tls.CurveID, took time.Duration) {
	m.latency.observe(took)
	m.duration.Observe(took.Seconds())
	if i := slices.Index(tlsGroups[:], group); i >= 0 { // else crypto/tls took what was not offered
		m.groups[i].Add(1)
	}
}

func (m *metrics) answered(a answer) {
	if a.verdict != Served {
		return
	}
	if i := slices.Index(sessionAEADs[:], a.aead); i >= 0 {
		m.responses[i].Add(1)
	}
	m.cookies.Add(cookies)
	a.target.served.Add(1)
}

// Describe implements prometheus.Collector.
func (s *Server) Describe(descs chan<- *prometheus.Desc) {
	s.metrics.duration.Describe(descs)
	for _, d := range s.metrics.all() {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (s *Server) Collect(out chan<- prometheus.Metric) {
	m, h := s.metrics, s.Handshakes()
	m.duration.Collect(out)
	for _, v := range []struct {
		desc   *prometheus.Desc
		counts []api.Count
	}{
		{m.connectionsTotal, h.Connections}, {m.failuresTotal, h.Failures}, {m.responsesTotal, h.Responses}, {m.handshakesTotal, h.Groups},
	} {
		for _, c := range v.counts {
			out <- prometheus.MustNewConstMetric(v.desc, prometheus.CounterValue, float64(c.Count), c.Name)
		}
	}
	out <- prometheus.MustNewConstMetric(m.cookiesTotal, prometheus.CounterValue, float64(h.Cookies))
	out <- prometheus.MustNewConstMetric(m.acceptErrorsTotal, prometheus.CounterValue, float64(m.acceptErrors.Load()))
	out <- prometheus.MustNewConstMetric(m.open, prometheus.GaugeValue, float64(h.Open))
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
