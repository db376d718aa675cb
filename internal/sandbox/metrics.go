package sandbox

import "github.com/prometheus/client_golang/prometheus"

// Describe implements prometheus.Collector.
func (s *Sandbox) Describe(ch chan<- *prometheus.Desc) {
	ch <- enforced()
	ch <- landlockABI()
}

// Collect implements prometheus.Collector.
func (s *Sandbox) Collect(ch chan<- prometheus.Metric) {
	for part, on := range map[string]bool{
		"files": s.reached.Files, "ports": s.reached.Files && s.reached.ABI >= portsABI, "calls": s.reached.Calls,
	} {
		value := 0.0
		if on {
			value = 1
		}
		ch <- prometheus.MustNewConstMetric(enforced(), prometheus.GaugeValue, value, part)
	}
	ch <- prometheus.MustNewConstMetric(landlockABI(), prometheus.GaugeValue, float64(s.reached.ABI))
}

func enforced() *prometheus.Desc {
	return prometheus.NewDesc("ntptsd_sandbox_enforced", "1 if this part of the sandbox holds: files, ports or system calls.", []string{"part"}, nil)
}

func landlockABI() *prometheus.Desc {
	return prometheus.NewDesc("ntptsd_sandbox_landlock_abi_number", "The version of the kernel's Landlock interface; 0 if there is none.", nil, nil)
}
