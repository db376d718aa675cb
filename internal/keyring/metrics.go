package keyring

import "github.com/prometheus/client_golang/prometheus"

// metrics are what Prometheus sees of a ring. The gauges follow at the end of each look.
type metrics struct {
	keys, last, next, every          prometheus.Gauge
	held, full, unsaved, unpublished prometheus.Gauge
	unproved, refusing, stopped      prometheus.Gauge
	rotations, proofs                *prometheus.CounterVec

	revoked                            prometheus.Counter // keys
	rotated, failed, refused, followed prometheus.Counter // of rotations
	proved, notProved                  prometheus.Counter // of proofs
}

func newMetrics(ring string) *metrics {
	labels := prometheus.Labels{"ring": ring}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels})
	}
	m := &metrics{
		keys:        gauge("ntptsd_keyring_keys", "Cookie keys that are accepted, the next one included."),
		last:        gauge("ntptsd_keyring_last_rotation_timestamp_seconds", "When the current cookie key began to mint."),
		next:        gauge("ntptsd_keyring_next_rotation_timestamp_seconds", "When the next cookie key may begin to mint; 0 if the neighbour rotates, or if something keeps the keys from rotating."),
		every:       gauge("ntptsd_keyring_rotate_every_seconds", "How long a cookie key is to mint; 0 if the neighbour rotates."),
		held:        gauge("ntptsd_keyring_clock_held", "1 while nothing rotates because the clock is not synchronised."),
		full:        gauge("ntptsd_keyring_promises_held", "1 while nothing rotates because every key is still promised."),
		unsaved:     gauge("ntptsd_keyring_save_failing", "1 while the key record cannot be saved."),
		unpublished: gauge("ntptsd_keyring_neighbour_failing", "1 while the neighbour's key file cannot be written or followed."),
		unproved:    gauge("ntptsd_keyring_unproved", "1 while the neighbour does not prove to know the next cookie key, or cannot be told to read it."),
		refusing:    gauge("ntptsd_keyring_cookies_refused", "1 while the neighbour does not answer a cookie under the current key: its clients may get no time."),
		stopped:     gauge("ntptsd_keyring_neighbour_rotation_off", "1 while nobody rotates the cookie keys: they are NTPsec's, and T: 0 in its key file switches its rotation off."),
		rotations: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ntptsd_keyring_rotations_total",
			Help:        "Rotations: ok, failed (not saved), refused (a key is still promised), followed (the neighbour's).",
			ConstLabels: labels}, []string{"result"}),
		proofs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ntptsd_keyring_proofs_total",
			Help: "How often the neighbour was to prove by a cookie that it knows the next key: ok, failed.", ConstLabels: labels}, []string{"result"}),
	}
	m.revoked = prometheus.NewCounter(prometheus.CounterOpts{Name: "ntptsd_keyring_revocations_total",
		Help: "Cookie keys that an operator has revoked before their announced end, since the start.", ConstLabels: labels})
	m.rotated = m.rotations.WithLabelValues("ok")
	m.failed = m.rotations.WithLabelValues("failed")
	m.refused = m.rotations.WithLabelValues("refused")
	m.followed = m.rotations.WithLabelValues("followed")
	m.proved = m.proofs.WithLabelValues("ok")
	m.notProved = m.proofs.WithLabelValues("failed")
	return m
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.keys, m.last, m.next, m.every, m.held, m.full, m.unsaved, m.unpublished, m.unproved,
		m.refusing, m.stopped, m.rotations, m.proofs, m.revoked}
}

func (m *metrics) describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(ch)
	}
}

func (m *metrics) collect(ch chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(ch)
	}
}

func (m *metrics) proof(err error) {
	if err != nil {
		m.notProved.Inc()
	} else {
		m.proved.Inc()
	}
}

// observe brings the gauges up to the ring.
func (r *Ring) observe() {
	m, set := r.metrics, r.set.Load()
	if set != nil {
		m.keys.Set(float64(len(set.keys)))
		m.last.Set(float64(set.current().mintFrom.UnixMilli()) / 1e3)
	}
	m.every.Set(0)
	if p := r.policy.Load(); !p.follow {
		m.every.Set(p.interval.Seconds())
	}
	m.next.Set(0)
	if at := r.nextRotation(); at != nil {
		m.next.Set(float64(at.UnixMilli()) / 1e3)
	}
	m.held.Set(asGauge(r.states.held.on()))
	m.full.Set(asGauge(r.states.full.on()))
	m.unsaved.Set(asGauge(r.states.saving.on()))
	m.unpublished.Set(asGauge(r.states.neighbour.on()))
	m.unproved.Set(asGauge(r.states.unproved.on()))
	m.refusing.Set(asGauge(r.states.unproved.message == refused))
	m.stopped.Set(asGauge(r.states.stopped.on()))
}
