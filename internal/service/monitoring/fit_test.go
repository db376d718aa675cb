package monitoring

import (
	"math"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

func TestFit(t *testing.T) {
	good := api.Tracking{Synchronised: true, Leap: api.LeapNone, Stratum: 2, ErrorBoundSeconds: 0.01, AgeSeconds: 3}
	with := func(change func(*api.Tracking)) api.Tracking {
		changed := good
		change(&changed)
		return changed
	}
	limits := config.DefaultFit()
	for name, c := range map[string]struct {
		clock   api.Tracking
		why     string
		targets []api.Target
		want    string // the beginning of the reason; empty: fit
	}{
		"good":            {clock: good},
		"at the limits":   {clock: with(func(t *api.Tracking) { t.Stratum, t.ErrorBoundSeconds, t.AgeSeconds = 15, 1, 60 })},
		"unsynchronised":  {clock: with(func(t *api.Tracking) { t.Synchronised = false }), want: "the clock is not synchronised"},
		"with a reason":   {clock: with(func(t *api.Tracking) { t.Synchronised = false }), why: "no source", want: "the clock is not synchronised: no source"},
		"leap":            {clock: with(func(t *api.Tracking) { t.Leap = api.LeapUnsynchronised }), want: "the clock is not synchronised"},
		"stratum":         {clock: with(func(t *api.Tracking) { t.Stratum = 16 }), want: "stratum 16 is more than"},
		"error bound":     {clock: with(func(t *api.Tracking) { t.ErrorBoundSeconds = 1.001 }), want: "the clock may be 1.001s off"},
		"endless bound":   {clock: with(func(t *api.Tracking) { t.ErrorBoundSeconds = math.Inf(1) }), want: "the clock may be"},
		"not a number":    {clock: with(func(t *api.Tracking) { t.ErrorBoundSeconds = math.NaN() }), want: "the clock may be"},
		"age":             {clock: with(func(t *api.Tracking) { t.AgeSeconds = 61 }), want: "the clock was last read 1m1s ago"},
		"drained":         {clock: good, targets: []api.Target{{ID: "this-host:10123", Draining: true}}, want: "this host drains"},
		"another drained": {clock: good, targets: []api.Target{{ID: "ntp.example", Draining: true}}},
		"never read":      {clock: api.Tracking{}, want: "the clock is not synchronised"},
	} {
		got := judge(c.clock, c.why, c.targets, &limits)
		switch {
		case c.want == "" && (!got.Fit || len(got.Reasons) != 0), c.want != "" && (got.Fit || len(got.Reasons) != 1):
			t.Errorf("%s: %+v", name, got)
		case c.want != "" && !strings.HasPrefix(got.Reasons[0], c.want):
			t.Errorf("%s: %q, want %q", name, got.Reasons[0], c.want)
		}
	}
}
