package carriage

import "github.com/prometheus/client_golang/prometheus"

// verdict is what became of a frame.
type verdict uint8

const (
	forwarded   verdict = iota // handed to the daemon
	answered                   // a datagram of the daemon, handed back
	refused                    // not allowed to that role
	malformed                  // no request of the protocol
	badLength                  // no octets or too many: the connection was ended
	unreachable                // the daemon could not be asked
	unasked                    // a datagram of the daemon that answers nothing that was asked
	cut                        // not taken in time: the connection was ended
	greeted                    // a greeting, and who greets may ask
	turnedAway                 // a greeting of somebody who may not

	verdicts
)

func (v verdict) String() string {
	return [...]string{"forwarded", "answered", "refused", "malformed", "bad_length", "unreachable", "unasked", "cut", "greeted",
		"turned_away"}[v]
}

type counts struct {
	frames *prometheus.CounterVec
	by     [verdicts]prometheus.Counter
}

func newCounts(carriage string) counts {
	c := counts{frames: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name:        "ntptsd_monitoring_carriage_frames_total",
		Help:        "Frames of ntpq (mode6) and chronyc (cmdmon) through tunnels, either way, by what became of them.",
		ConstLabels: prometheus.Labels{"carriage": carriage},
	}, []string{"verdict"})}
	for v := range verdicts {
		c.by[v] = c.frames.WithLabelValues(v.String())
	}
	return c
}

func (c *Carriage) count(v verdict) { c.counts.by[v].Inc() }

// Describe implements prometheus.Collector.
func (c *Carriage) Describe(descs chan<- *prometheus.Desc) { c.counts.frames.Describe(descs) }

// Collect implements prometheus.Collector.
func (c *Carriage) Collect(out chan<- prometheus.Metric) { c.counts.frames.Collect(out) }
