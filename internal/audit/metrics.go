package audit

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ntptsd/ntptsd/protocol/audit"
)

type metrics struct {
	errors, omitted atomic.Uint64

	mu    sync.Mutex
	kinds map[string]uint64 // guarded by mu

	records, writable, failed, leftOut, last *prometheus.Desc
}

func newMetrics() *metrics {
	m := &metrics{
		kinds:   make(map[string]uint64),
		records: prometheus.NewDesc("ntptsd_audit_records_total", "Records written since the start, by kind.", []string{"kind"}, nil),
		writable: prometheus.NewDesc("ntptsd_audit_writable",
			"Whether the audit log can be written; while 0, no change is made but what root may do in an emergency.", nil, nil),
		failed:  prometheus.NewDesc("ntptsd_audit_errors_total", "Writes that failed.", nil, nil),
		leftOut: prometheus.NewDesc("ntptsd_audit_omitted_total", "Refusals and dry runs that were too many to be written.", nil, nil),
		last:    prometheus.NewDesc("ntptsd_audit_last_sequence", "Sequence of the last record.", nil, nil),
	}
	for _, k := range []string{audit.Attempt, audit.Outcome, audit.Refused, audit.DryRun, audit.Undo, audit.Confirm, audit.Started, audit.Repaired} {
		m.kinds[k] = 0
	}
	return m
}

func (m *metrics) count(kind string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.kinds[kind]; known {
		m.kinds[kind]++
	}
}

// Describe implements prometheus.Collector.
func (l *Log) Describe(descs chan<- *prometheus.Desc) {
	m := l.metrics
	for _, d := range []*prometheus.Desc{m.records, m.writable, m.failed, m.leftOut, m.last} {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (l *Log) Collect(out chan<- prometheus.Metric) {
	m := l.metrics
	m.mu.Lock()
	kinds := maps.Clone(m.kinds)
	m.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		out <- prometheus.MustNewConstMetric(m.records, prometheus.CounterValue, float64(kinds[k]), k)
	}
	writable := 0.0
	if l.Problem() == "" {
		writable = 1
	}
	out <- prometheus.MustNewConstMetric(m.writable, prometheus.GaugeValue, writable)
	out <- prometheus.MustNewConstMetric(m.failed, prometheus.CounterValue, float64(m.errors.Load()))
	out <- prometheus.MustNewConstMetric(m.leftOut, prometheus.CounterValue, float64(m.omitted.Load()))
	out <- prometheus.MustNewConstMetric(m.last, prometheus.GaugeValue, float64(l.Head().Sequence))
}
