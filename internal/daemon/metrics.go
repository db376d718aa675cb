package daemon

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	done, refused atomic.Uint64
	why           atomic.Pointer[string] // the last one was refused

	reloads    *prometheus.CounterVec
	successful prometheus.Gauge
	last       prometheus.Gauge
}

func newMetrics() *metrics {
	m := &metrics{
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ntptsd_daemon_reloads_total",
			Help: "Reloads of the configuration since the start, by result.",
		}, []string{"result"}),
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ntptsd_daemon_last_reload_successful",
			Help: "1 if the newest configuration is in force, 0 if the last reload was refused.",
		}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ntptsd_daemon_last_reload_timestamp_seconds",
			Help: "When the configuration was last read, with success or without; the start counts.",
		}),
	}
	for _, result := range []string{"success", "failure"} {
		m.reloads.WithLabelValues(result) // so that a rate exists before the first one
	}
	m.successful.Set(1)
	m.last.Set(now())
	return m
}

func (m *metrics) reloaded(err error) {
	result, value, count := "failure", 0.0, &m.refused
	if err != nil {
		m.why.Store(new(err.Error()))
	} else {
		result, value, count = "success", 1, &m.done
	}
	count.Add(1)
	m.reloads.WithLabelValues(result).Inc()
	m.successful.Set(value)
	m.last.Set(now())
}

// Reloads counts the reloads since the start, and tells why the last one that was refused was.
func (d *Daemon) Reloads() (done, refused uint64, why string) {
	if text := d.metrics.why.Load(); text != nil {
		why = *text
	}
	return d.metrics.done.Load(), d.metrics.refused.Load(), why
}

func now() float64 { return float64(time.Now().UnixMilli()) / 1000 }

// Describe implements prometheus.Collector.
func (d *Daemon) Describe(descs chan<- *prometheus.Desc) { prometheus.DescribeByCollect(d, descs) }

// Collect implements prometheus.Collector.
func (d *Daemon) Collect(out chan<- prometheus.Metric) {
	d.metrics.reloads.Collect(out)
	d.metrics.successful.Collect(out)
	d.metrics.last.Collect(out)
}
