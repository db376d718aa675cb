package chronyc

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// The neutral model of a chronyd makes the lines that chronyc printed of it, as far as it knows them.
func TestNeutralTracking(t *testing.T) {
	at := time.Date(2026, 11, 22, 22, 17, 36, 0, time.UTC)
	from := api.Tracking{Synchronised: true, Leap: api.LeapInsert, Stratum: 3, ReferenceID: "10.9.0.2", RefID: [4]byte{10, 9, 0, 2}, ReferenceTime: &at,
		RootDelaySeconds: 0.000004024, RootDispersionSeconds: 0.000004347, OffsetSeconds: new(-0.000002484), FrequencyPPM: new(-0.002)}
	const want = `Reference ID    : 0A090002 (10.9.0.2)
Stratum         : 3
Ref time (UTC)  : Sun Nov 22 22:17:36 2026
System time     : 0.000002484 seconds fast of NTP time
Last offset     : -
RMS offset      : -
Frequency       : 0.002 ppm slow
Residual freq   : -
Skew            : -
Root delay      : 0.000004024 seconds
Root dispersion : 0.000004347 seconds
Update interval : -
Leap status     : Insert second
`
	if got := Tracking(from); got != want {
		t.Errorf("\n%s", got)
	}
	got := Tracking(api.Tracking{Leap: api.LeapUnsynchronised, ReferenceID: "0.0.0.0"})
	for _, line := range []string{"Reference ID    : 00000000 ()\n", "Ref time (UTC)  : -\n", "System time     : -\n", "Frequency       : -\n", "Leap status     : Not synchronised\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("%q is not in\n%s", line, got)
		}
	}
}

// Offsets turn: where the source is ahead of the local clock, chronyc prints a minus.
func TestNeutralSources(t *testing.T) {
	got := Sources([]api.Source{
		{Name: "GPS", Kind: "refclock", Selection: "unselectable", PollSeconds: 4, OffsetSeconds: new(0.0), ErrorSeconds: new(0.0)},
		{Name: "time.example", Address: "10.9.0.1", Kind: "server", Selection: "selectable", Stratum: 1, PollSeconds: 4, Reach: 0xff,
			LastRxSeconds: new(3.7), OffsetSeconds: new(0.000002440), ErrorSeconds: new(0.000001325)},
		{Address: "10.9.0.2", Kind: "pool", Selection: "selected", Stratum: 2, PollSeconds: 60, Reach: 0xff, LastRxSeconds: new(1e12), OffsetSeconds: new(-0.000000036)},
		{Address: "fe80::1", Kind: "peer", Selection: "falseticker", PollSeconds: math.Inf(1)},
		{Name: "evil\x1b[2J\n", Selection: "combined"},
	})
	const want = `MS Name/IP address         Stratum Poll Reach LastRx Last sample               
===============================================================================
#? GPS                           0   2     0     -     +0ns[   +0ns] +/-    0ns
^- 10.9.0.1                      1   2   377     3  -2440ns[-2440ns] +/- 1325ns
^* 10.9.0.2                      2   6   377  136y    +36ns[  +36ns] +/-      -
=x fe80::1                       0   0     0     -        -[      -] +/-      -
^+ evil?[2J?                     0   0     0     -        -[      -] +/-      -
`
	if got != want {
		t.Errorf("\n%s", got)
	}
	if got := Sources(make([]api.Source, maxSources+2)); !strings.HasSuffix(got, "\n(and 2 more sources)\n") {
		t.Errorf("not cut: %d lines", strings.Count(got, "\n"))
	}
}
