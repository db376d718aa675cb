package ledger

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	changes *prometheus.CounterVec
	undos   *prometheus.CounterVec
}

func newMetrics() *metrics {
	return &metrics{
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ntptsd_management_changes_total",
			Help: "Commands that change something, by what became of them: done, nothing (to do), dry-run, unwritten (refused, as the audit log cannot be written), or the kind of error."},
			[]string{"result"}),
		undos: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ntptsd_management_undos_total",
			Help: "Attempts to undo a change that nobody confirmed in time, by whether they succeeded."}, []string{"successful"}),
	}
}

func (m *metrics) done(result string) { m.changes.WithLabelValues(result).Inc() }

func (m *metrics) undone(ok bool) {
	word := "no"
	if ok {
		word = "yes"
	}
	m.undos.WithLabelValues(word).Inc()
}

var pendingDesc = prometheus.NewDesc("ntptsd_management_unconfirmed_changes", "Changes that wait to be confirmed, and undo themselves otherwise.", nil, nil)

// Describe implements prometheus.Collector.
func (l *Ledger) Describe(out chan<- *prometheus.Desc) {
	l.metrics.changes.Describe(out)
	l.metrics.undos.Describe(out)
	out <- pendingDesc
}

// Collect implements prometheus.Collector.
func (l *Ledger) Collect(out chan<- prometheus.Metric) {
	l.metrics.changes.Collect(out)
	l.metrics.undos.Collect(out)
	out <- prometheus.MustNewConstMetric(pendingDesc, prometheus.GaugeValue, float64(len(l.Pending())))
}
