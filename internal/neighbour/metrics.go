package neighbour

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counts are how often a daemon was really asked, whoever wanted to know.
type counts struct{ answered, failed atomic.Uint64 }

func (c *counts) count(err error) {
	if err == nil {
		c.answered.Add(1)
	} else {
		c.failed.Add(1)
	}
}

// polls describes the counts.
func polls() *prometheus.Desc {
	return prometheus.NewDesc("ntptsd_neighbour_polls_total",
		"Questions to the time daemon next door, by what was asked and whether it was answered.", []string{"question", "result"}, nil)
}

// Describe implements prometheus.Collector.
func (d *Door) Describe(descs chan<- *prometheus.Desc) { descs <- polls() }

// Collect implements prometheus.Collector. Without a neighbour there is nothing to tell.
func (d *Door) Collect(out chan<- prometheus.Metric) {
	n, ok := d.Daemon().(interface{ asked() map[string]*counts })
	if !ok {
		return
	}
	for question, c := range n.asked() {
		out <- prometheus.MustNewConstMetric(polls(), prometheus.CounterValue, float64(c.answered.Load()), question, "answered")
		out <- prometheus.MustNewConstMetric(polls(), prometheus.CounterValue, float64(c.failed.Load()), question, "failed")
	}
}

func (c *Chrony) asked() map[string]*counts {
	return map[string]*counts{"tracking": c.tracking.counts, "sources": c.sources.counts, "clients": c.clients.counts}
}

func (n *NTPD) asked() map[string]*counts {
	return map[string]*counts{"tracking": n.tracking.counts, "sources": n.sources.counts, "clients": n.clients.counts}
}
