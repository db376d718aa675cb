package interop

import (
	"fmt"
	"math"
	"testing"
)

// sameTime compares the time that ntptsd tells by NTS with what chronyd tells on port 123 of the same host. Both are asked
// within some milliseconds, between which smoothed time and the system's clock drift apart by far less than the slack.
func sameTime(t *testing.T, from, server *host, a *authority, differs func(offset float64) bool) error {
	t.Helper()
	const slack = 2e-3 // s
	ours, err := probe(t, from, a, "server.test")
	if err != nil {
		return err
	}
	its, err := probeOnce(t, from, "--plain", server.v4.String())
	if err != nil {
		return err
	}
	got, want := ours.Exchanges[0], its.Exchanges[0]
	if !differs(want.Offset) {
		return fmt.Errorf("chronyd is %v s off its system's clock: that shows nothing", want.Offset)
	}
	if math.Abs(got.Offset-want.Offset) > slack || got.ReferenceID != want.ReferenceID || got.Leap != want.Leap {
		return fmt.Errorf("%+v, want what chronyd says: %+v", got, want)
	}
	return nil
}

// TestCorrectedTime lets chronyd, which may not set the clock here, follow a server that it holds for a quarter of a second
// ahead: its time is not what the system's clock shows. Then it smooths a change of that, of 0.2 s within a minute.
func TestCorrectedTime(t *testing.T) {
	t.Parallel()
	for _, c := range []chrony{chrony43, chrony461} {
		t.Run(c.version, func(t *testing.T) {
			t.Parallel()
			covers(t, cell{c.String(), asClock, steadily})
			l, hosts := newLab(t, "", "server", "above", "client")
			a := newAuthority(l)
			chrony461.start(hosts[1], "local stratum 3", "allow all")
			daemon := c.start(hosts[0], fmt.Sprintf("server %s iburst minpoll 0 maxpoll 0 offset 0.25", hosts[1].v4), "allow all",
				"smoothtime 20000 200")
			startNtptsd(hosts[0], neighbours()[0].beside(hosts[0], a, "chrony"))
			eventually(t, syncTimeout, func() error {
				return sameTime(t, hosts[2], hosts[0], a, func(off float64) bool { return math.Abs(off) > 0.2 })
			})
			if c.version != chrony461.version {
				return // has no command that changes the offset
			}
			daemon.tell("offset", hosts[1].v4.String(), "0.05")
			smoothing := func(off float64) bool { return math.Abs(off) > 0.07 && math.Abs(off) < 0.24 }
			for range 3 {
				eventually(t, syncTimeout, func() error { return sameTime(t, hosts[2], hosts[0], a, smoothing) })
			}
		})
	}
}
