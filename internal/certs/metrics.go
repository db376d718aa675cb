package certs

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the counters; what is known of the pairs themselves is read from the snapshot at each collection.
type metrics struct {
	succeeded, failed atomic.Uint64
	lastFailed        atomic.Bool

	notAfter, valid, reloads, last       *prometheus.Desc
	renewals, lastRenewal, renewalErrors *prometheus.Desc
}

func newMetrics() *metrics {
	return &metrics{
		notAfter: prometheus.NewDesc("ntptsd_certs_not_after_timestamp_seconds",
			"When the certificate expires.", []string{"certificate"}, nil),
		valid: prometheus.NewDesc("ntptsd_certs_valid",
			"Whether the certificate is within its validity by the local clock.", []string{"certificate"}, nil),
		reloads: prometheus.NewDesc("ntptsd_certs_reloads_total",
			"Changes of certificate files and reloads of the configuration, by result.", []string{"result"}, nil),
		last: prometheus.NewDesc("ntptsd_certs_last_reload_successful",
			"Whether the last change could be loaded; while 0, the certificates from before are served.", nil, nil),
		renewals: prometheus.NewDesc("ntptsd_certs_renewals_total",
			"Attempts to renew a certificate that renews itself, by result.", []string{"certificate", "result"}, nil),
		lastRenewal: prometheus.NewDesc("ntptsd_certs_last_renewal_timestamp_seconds",
			"When the certificate was last renewed since the start.", []string{"certificate"}, nil),
		renewalErrors: prometheus.NewDesc("ntptsd_certs_last_renewal_error_timestamp_seconds",
			"When a renewal failed last; absent after a success.", []string{"certificate"}, nil),
	}
}

func (m *metrics) reloaded(successful bool) {
	if successful {
		m.succeeded.Add(1)
	} else {
		m.failed.Add(1)
	}
	m.lastFailed.Store(!successful)
}

// Describe implements prometheus.Collector.
func (f *Files) Describe(descs chan<- *prometheus.Desc) {
	descs <- f.metrics.notAfter
	descs <- f.metrics.valid
	descs <- f.metrics.reloads
	descs <- f.metrics.last
	descs <- f.metrics.renewals
	descs <- f.metrics.lastRenewal
	descs <- f.metrics.renewalErrors
}

// Collect implements prometheus.Collector.
func (f *Files) Collect(out chan<- prometheus.Metric) {
	m := f.metrics
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	told := make(map[string]bool) // one certificate may be listed with two keys' names
	for _, p := range f.current.Load().pairs {
		name := p.files.Certificate
		if told[name] {
			continue
		}
		told[name] = true
		gauge(m.notAfter, float64(p.certificate.Leaf.NotAfter.Unix()), name)
		gauge(m.valid, number(p.validity(time.Now()) == ""), name)
	}
	out <- prometheus.MustNewConstMetric(m.reloads, prometheus.CounterValue, float64(m.succeeded.Load()), "success")
	out <- prometheus.MustNewConstMetric(m.reloads, prometheus.CounterValue, float64(m.failed.Load()), "failed")
	gauge(m.last, number(!m.lastFailed.Load()))
	for _, k := range f.kept() {
		k.collect(m, out)
	}
}

func (k *keeper) collect(m *metrics, out chan<- prometheus.Metric) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range []struct {
		result string
		n      uint64
	}{{"success", k.succeeded}, {"failed", k.failedEver}} {
		out <- prometheus.MustNewConstMetric(m.renewals, prometheus.CounterValue, float64(c.n), k.name, c.result)
	}
	if !k.lastGood.IsZero() {
		out <- prometheus.MustNewConstMetric(m.lastRenewal, prometheus.GaugeValue, float64(k.lastGood.Unix()), k.name)
	}
	if k.failures > 0 {
		out <- prometheus.MustNewConstMetric(m.renewalErrors, prometheus.GaugeValue, float64(k.lastFailed.Unix()), k.name)
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
