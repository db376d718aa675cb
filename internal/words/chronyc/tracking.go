package chronyc

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

func tracking(ask Ask) (string, error) {
	t, err := read(ask, cmdmon.TrackingCommand, nil, cmdmon.ParseTracking)
	if err != nil {
		return "", err
	}
	p := page{labels: 16}
	p.field("Reference ID", "%08X (%s)", binary.BigEndian.Uint32(t.ReferenceID[:]), named(t.ReferenceID, t.Address))
	p.field("Stratum", "%d", t.Stratum)
	p.field("Ref time (UTC)", "%s", date(t.ReferenceTime))
	p.field("System time", "%s", systemTime(t.CurrentCorrection))
	p.field("Last offset", "%+.9f seconds", t.LastOffset)
	p.field("RMS offset", "%.9f seconds", t.RMSOffset)
	p.field("Frequency", "%s", frequency(t.Frequency))
	p.field("Residual freq", "%+.3f ppm", t.ResidualFrequency)
	p.field("Skew", "%.3f ppm", t.Skew)
	p.field("Root delay", "%.9f seconds", t.RootDelay)
	p.field("Root dispersion", "%.9f seconds", t.RootDispersion)
	p.field("Update interval", "%.1f seconds", t.UpdateInterval)
	p.field("Leap status", "%s", leap(int(t.Leap)))
	return p.String(), nil
}

func activity(ask Ask) (string, error) {
	a, err := read(ask, cmdmon.ActivityCommand, nil, cmdmon.ParseActivity)
	if err != nil {
		return "", err
	}
	var p page
	p.linef("200 OK")
	p.linef("%d sources online", uint32(a.Online))
	p.linef("%d sources offline", uint32(a.Offline))
	p.linef("%d sources doing burst (return to online)", uint32(a.BurstOnline))
	p.linef("%d sources doing burst (return to offline)", uint32(a.BurstOffline))
	p.linef("%d sources with unknown address", uint32(a.Unresolved))
	return p.String(), nil
}

func smoothing(ask Ask) (string, error) {
	s, err := read(ask, cmdmon.SmoothingCommand, nil, cmdmon.ParseSmoothing)
	if err != nil {
		return "", err
	}
	leapOnly := ""
	if s.LeapOnly {
		leapOnly = "(leap second only)"
	}
	p := page{labels: 15}
	p.field("Active", "%s %s", yes(s.Active), leapOnly)
	p.field("Offset", "%+.9f seconds", s.Offset)
	p.field("Frequency", "%+.6f ppm", s.Frequency)
	p.field("Wander", "%+.6f ppm per second", s.Wander)
	p.field("Last update", "%.1f seconds ago", s.LastAgo)
	p.field("Remaining time", "%.1f seconds", s.Remaining)
	return p.String(), nil
}

func rtcData(ask Ask) (string, error) {
	c, err := read(ask, cmdmon.RTCReport, nil, cmdmon.ParseRTC)
	if err != nil {
		return "", err
	}
	p := page{labels: 19}
	p.field("RTC ref time (UTC)", "%s", date(c.ReferenceTime))
	p.field("Number of samples", "%d", c.Samples)
	p.field("Number of runs", "%d", c.Runs)
	p.field("Sample span period", "%s", ago(c.Span))
	p.field("RTC is fast by", "%12.6f seconds", c.Fast)
	p.field("RTC gains time at", "%9.3f ppm", c.Gain)
	return p.String(), nil
}

// systemTime says on which side of true time the clock is; s is positive when it is behind.
func systemTime(s float64) string {
	return fmt.Sprintf("%.9f seconds %s of NTP time", math.Abs(s), pace(s <= 0))
}

// frequency is positive when the clock would run fast.
func frequency(f float64) string { return fmt.Sprintf("%.3f ppm %s", math.Abs(f), pace(f > 0)) }

func pace(fast bool) string {
	if fast {
		return "fast"
	}
	return "slow"
}
