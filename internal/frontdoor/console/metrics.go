package console

import (
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// codes are all that an answer may begin with.
var codes = [...]int{codeReady, codeOK, codeClosing, codeNoAnswer, codeBusy, codeFailed, codeDenied, codeUnknown, codeNotFound, codeBadArgument, codeConflict, codeLogIn} // never assigned again

// counters are the answers by code.
type counters [len(codes)]atomic.Uint64

func (c *counters) count(code int) {
	if i := slices.Index(codes[:], code); i >= 0 {
		c[i].Add(1)
	}
}

func answersTotal() *prometheus.Desc {
	return prometheus.NewDesc("ntptsd_monitoring_console_answers_total",
		"Answers of the console by code: 200 done, 4xx try later, 500 a line that cannot be read, 501 not for this role, 530 log in first.", []string{"code"}, nil)
}

// Describe implements prometheus.Collector.
func (c *Console) Describe(descs chan<- *prometheus.Desc) { descs <- answersTotal() }

// Collect implements prometheus.Collector.
func (c *Console) Collect(out chan<- prometheus.Metric) {
	for i, code := range codes {
		out <- prometheus.MustNewConstMetric(answersTotal(), prometheus.CounterValue, float64(c.answers[i].Load()), strconv.Itoa(code))
	}
}
