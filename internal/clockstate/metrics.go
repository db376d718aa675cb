package clockstate

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics describes what a Clock shows.
type metrics struct {
	synchronised, leap, stratum, dispersion, readAt, failures *prometheus.Desc
}

func newMetrics() metrics {
	desc := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }
	return metrics{
		synchronised: desc("ntptsd_clock_synchronised", "1 while the clock is synchronised, else 0."),
		leap:         desc("ntptsd_clock_leap", "Leap indicator: 0 none, 1 insert, 2 delete, 3 not synchronised."),
		stratum:      desc("ntptsd_clock_stratum", "Stratum told to clients; 0 while not synchronised."),
		dispersion:   desc("ntptsd_clock_root_dispersion_seconds", "Root dispersion now."),
		readAt:       desc("ntptsd_clock_read_timestamp_seconds", "When the clock's state was last read."),
		failures:     desc("ntptsd_clock_read_errors_total", "Readings of the clock's state that failed."),
	}
}

// Describe implements prometheus.Collector.
func (c *Clock) Describe(ch chan<- *prometheus.Desc) {
	m := &c.metrics
	for _, d := range []*prometheus.Desc{m.synchronised, m.leap, m.stratum, m.dispersion, m.readAt, m.failures} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Clock) Collect(ch chan<- prometheus.Metric) {
	s, m := c.State(), &c.metrics
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	var synchronised, stratum float64
	now := time.Now()
	if s.SynchronisedAt(now) {
		synchronised, stratum = 1, float64(s.Stratum)
	}
	gauge(m.synchronised, synchronised)
	gauge(m.leap, float64(s.leapAt(now)))
	gauge(m.stratum, stratum)
	gauge(m.dispersion, s.RootDispersionAt(now).Seconds())
	gauge(m.readAt, float64(s.At.UnixNano())/1e9)
	ch <- prometheus.MustNewConstMetric(m.failures, prometheus.CounterValue, float64(c.failures.Load()))
}
