package keyring

import "github.com/prometheus/client_golang/prometheus"

// metrics are what Prometheus sees of a ring. The gauges follow at the end of each look.
type metrics struct {
	keys, last, next                 prometheus.Gauge
	held, full, unsaved, unpublished prometheus.Gauge
	rotations                        *prometheus.CounterVec
	rotated, failed, refused         prometheus.Counter
}

func newMetrics() *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &metrics{
		keys:        gauge("ntptsd_keyring_keys", "Cookie keys that are accepted, the next one included."),
		last:        gauge("ntptsd_keyring_last_rotation_timestamp_seconds", "When the current cookie key began to mint."),
		next:        gauge("ntptsd_keyring_next_rotation_timestamp_seconds", "When the next cookie key may begin to mint."),
		held:        gauge("ntptsd_keyring_clock_held", "1 while nothing rotates because the clock is not synchronised."),
		full:        gauge("ntptsd_keyring_promises_held", "1 while nothing rotates because every key is still promised."),
		unsaved:     gauge("ntptsd_keyring_save_failing", "1 while the key record cannot be saved."),
		unpublished: gauge("ntptsd_keyring_neighbour_failing", "1 while the neighbour's key file cannot be written."),
		rotations: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ntptsd_keyring_rotations_total",
			Help: "Rotations: ok, failed (not saved), refused (a key is still promised)."}, []string{"result"}),
	}
	m.rotated = m.rotations.WithLabelValues("ok")
	m.failed = m.rotations.WithLabelValues("failed")
	m.refused = m.rotations.WithLabelValues("refused")
	return m
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.keys, m.last, m.next, m.held, m.full, m.unsaved, m.unpublished, m.rotations}
}

// Describe implements prometheus.Collector.
func (r *Ring) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range r.metrics.collectors() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (r *Ring) Collect(ch chan<- prometheus.Metric) {
	for _, c := range r.metrics.collectors() {
		c.Collect(ch)
	}
}

// observe brings the gauges up to the ring.
func (r *Ring) observe() {
	m, set := r.metrics, r.set.Load()
	m.keys.Set(float64(len(set.keys)))
	m.last.Set(float64(set.current().mintFrom.UnixMilli()) / 1e3)
	m.next.Set(float64(set.next().mintFrom.UnixMilli()) / 1e3)
	m.held.Set(r.states.held.gauge())
	m.full.Set(r.states.full.gauge())
	m.unsaved.Set(r.states.saving.gauge())
	m.unpublished.Set(r.states.neighbour.gauge())
}

func (s state) gauge() float64 {
	if s {
		return 1
	}
	return 0
}
