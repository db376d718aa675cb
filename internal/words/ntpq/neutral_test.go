package ntpq

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
)

func TestBillboardOfAnyDaemon(t *testing.T) {
	text := Billboard(api.Tracking{Synchronised: true, Stratum: 3}, []api.Source{
		{Name: "time.example", Address: "192.0.2.1", Kind: "server", Selection: "selected", Stratum: 2, PollSeconds: 64, Reach: 0xff,
			LastRxSeconds: new(17.6), OffsetSeconds: new(-0.000021), DelaySeconds: new(0.0015), ErrorSeconds: new(0.25)},
		{Name: "PPS0", Kind: "refclock", Selection: "combined", PollSeconds: 16, Reach: 1, OffsetSeconds: new(20.0)},
		{Name: "pool.example.with.a.long.name", Kind: "pool", Selection: "unselectable"},
		{Name: "\x1b[31m", Kind: "peer", Selection: "falseticker", Stratum: 255, PollSeconds: math.Inf(1), LastRxSeconds: new(math.NaN())},
		{Name: "é", Kind: "broadcast", Selection: "outlier", PollSeconds: -1},
		{Name: "x", Kind: "", Selection: "selectable"},
	})
	want := `     remote           refid      st t when poll reach   delay   offset  jitter
==============================================================================
*192.0.2.1       -                2 u   17   64  377    1.500   -0.021       -
+PPS0            -                0 l    -   16    1    0.000  +20000.       -
 pool.example.wi -                0 p    -    -    0    0.000   +0.000       -
x?[31m           -               255 s    -  INF    0    0.000   +0.000       -
-?               -                0 b    -    -    0    0.000   +0.000       -
#x               -                0 u    -    -    0    0.000   +0.000       -
`
	if text != want {
		t.Errorf("\n%s\nwant\n%s", text, want)
	}
}

func TestBillboardWithoutSources(t *testing.T) {
	header := Billboard(api.Tracking{}, nil)
	if strings.Count(header, "\n") != 2 {
		t.Errorf("not synchronised:\n%s", header)
	}
	for _, c := range []struct {
		t    api.Tracking
		line string
	}{
		{api.Tracking{Synchronised: true, Stratum: 1, ReferenceID: "PPS"}, "*LOCAL(0)        .PPS.            1 l    -    -    0    0.000   +0.000       -\n"},
		{api.Tracking{Synchronised: true, Stratum: 4, ReferenceID: "192.0.2.9", OffsetSeconds: new(0.0005)}, "*LOCAL(0)        192.0.2.9        4 l    -    -    0    0.000   +0.500       -\n"},
		{api.Tracking{Synchronised: true, Stratum: 10}, "*LOCAL(0)        -               10 l    -    -    0    0.000   +0.000       -\n"},
	} {
		if got := Billboard(c.t, nil); got != header+c.line {
			t.Errorf("\n%s\nwant\n%s", got, header+c.line)
		}
	}
	if many := Billboard(api.Tracking{}, make([]api.Source, maxSources+7)); strings.Count(many, "\n") != 2+maxSources+1 || !strings.HasSuffix(many, "# and 7 more\n") {
		t.Error(fmt.Sprint(len(many)))
	}
}
