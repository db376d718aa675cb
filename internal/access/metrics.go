package access

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// method is how somebody logs in.
type method uint8

const (
	byCertificate method = iota
	byToken
	bySession
	byLink
	methods // their number
)

// result is what becomes of it.
type result uint8

const (
	letIn result = iota
	refused
	expired // or not valid yet
	limited
	results // their number
)

// metrics has a counter for each of both.
type metrics struct {
	logins [methods][results]atomic.Uint64
}

func (m *metrics) count(by method, r result) { m.logins[by][r].Add(1) }

func descriptions() (logins, sessions, bans, banned *prometheus.Desc) {
	return prometheus.NewDesc("ntptsd_access_logins_total",
			"Requests and connections that showed something to be known by, by what that was and what became of it. Expired: it was good once. Limited: too many from there had failed.",
			[]string{"method", "result"}, nil),
		prometheus.NewDesc("ntptsd_access_sessions_open", "Sessions of the dashboard that were opened by a link and have not ended.", nil, nil),
		prometheus.NewDesc("ntptsd_access_bans", "Networks that are refused everywhere.", nil, nil),
		prometheus.NewDesc("ntptsd_access_banned_total", "Connections to the services port that were refused because their network is banned.", nil, nil)
}

// Describe implements prometheus.Collector.
func (a *Access) Describe(descs chan<- *prometheus.Desc) {
	logins, sessions, bans, banned := descriptions()
	for _, d := range []*prometheus.Desc{logins, sessions, bans, banned} {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (a *Access) Collect(out chan<- prometheus.Metric) {
	logins, sessions, bans, banned := descriptions()
	methodNames := [methods]string{"certificate", "token", "session", "link"}
	resultNames := [results]string{"accepted", "refused", "expired", "limited"}
	for m := range methods {
		for r := range results {
			out <- prometheus.MustNewConstMetric(logins, prometheus.CounterValue, float64(a.metrics.logins[m][r].Load()), methodNames[m], resultNames[r])
		}
	}
	out <- prometheus.MustNewConstMetric(sessions, prometheus.GaugeValue, float64(a.sessions.count()))
	out <- prometheus.MustNewConstMetric(bans, prometheus.GaugeValue, float64(len(a.bans.View())))
	out <- prometheus.MustNewConstMetric(banned, prometheus.CounterValue, float64(a.bans.Refused()))
}
