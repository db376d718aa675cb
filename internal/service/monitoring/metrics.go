package monitoring

import (
	"math/bits"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ntptsd/ntptsd/internal/api"
)

// maxSeries bounds the sources that have series of their own; a daemon with more is a mistake.
const maxSeries = 64

// descriptions are of the metrics; the values are what was looked at last, so a scrape asks nobody.
type descriptions struct {
	fit, bound, age, left, frequency                   *prometheus.Desc
	reachable, chosen, offset, delay, off, stratum, rx *prometheus.Desc // of sources
}

func newDescriptions() descriptions {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return descriptions{
		fit:       desc("ntptsd_monitoring_fit", "1 if this host is fit to serve time (as /fit says), else 0."),
		bound:     desc("ntptsd_clock_error_bound_seconds", "How far off the clock may be at most, by its own account; absent while not synchronised."),
		age:       desc("ntptsd_clock_age_seconds", "How old that is what is known of the clock."),
		left:      desc("ntptsd_clock_offset_seconds", "What is left to correct: how far true time is ahead of the system's clock, as the time daemon sees it; absent while unknown."),
		frequency: desc("ntptsd_clock_frequency_ppm", "By how much the clock would run fast, in parts per million; absent while unknown."),
		reachable: desc("ntptsd_neighbour_source_reach_ratio", "Share of the last eight polls of the source that were answered, 0 to 1.", "source"),
		chosen:    desc("ntptsd_neighbour_source_selected", "1 for the source that the clock follows, else 0.", "source"),
		offset:    desc("ntptsd_neighbour_source_offset_seconds", "Offset of the source, positive when it is ahead of the local clock.", "source"),
		delay:     desc("ntptsd_neighbour_source_delay_seconds", "Round-trip delay to the source.", "source"),
		off:       desc("ntptsd_neighbour_source_error_seconds", "Error of the source: chrony: of the last measurement; ntpd: jitter.", "source"),
		stratum:   desc("ntptsd_neighbour_source_stratum", "Stratum of the source.", "source"),
		rx:        desc("ntptsd_neighbour_source_last_answer_seconds", "Time since the source's last good answer, when the neighbour was asked.", "source"),
	}
}

// Describe implements prometheus.Collector.
func (s *Service) Describe(descs chan<- *prometheus.Desc) {
	d := &s.descriptions
	for _, one := range []*prometheus.Desc{d.fit, d.bound, d.age, d.left, d.frequency, d.reachable, d.chosen, d.offset, d.delay, d.off, d.stratum, d.rx} {
		descs <- one
	}
}

// Collect implements prometheus.Collector.
func (s *Service) Collect(out chan<- prometheus.Metric) {
	d := &s.descriptions
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	optional := func(desc *prometheus.Desc, v *float64, labels ...string) {
		if v != nil {
			gauge(desc, *v, labels...)
		}
	}
	clock := s.Clock.Tracking()
	gauge(d.fit, oneIf(s.Fit().Fit))
	if clock.Synchronised {
		gauge(d.bound, clock.ErrorBoundSeconds)
	}
	if clock.Source != "" {
		gauge(d.age, clock.AgeSeconds)
	}
	optional(d.left, clock.OffsetSeconds)
	optional(d.frequency, clock.FrequencyPPM)
	told := make(map[string]bool)
	all := s.sources.Load().fresh(time.Now())
	for _, source := range all[:min(len(all), maxSeries)] {
		name := source.Name
		if told[name] { // one server may be configured twice
			continue
		}
		told[name] = true
		gauge(d.reachable, float64(bits.OnesCount8(source.Reach))/8, name)
		gauge(d.chosen, oneIf(source.Selection == api.SelectionSelected), name)
		gauge(d.stratum, float64(source.Stratum), name)
		optional(d.offset, source.OffsetSeconds, name)
		optional(d.delay, source.DelaySeconds, name)
		optional(d.off, source.ErrorSeconds, name)
		optional(d.rx, source.LastRxSeconds, name)
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
