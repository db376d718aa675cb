package clockstate

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntptsd/ntptsd/protocol/ntp"
)

func TestKernelStates(t *testing.T) {
	const ms = 3 * time.Millisecond
	for _, c := range []struct {
		name          string
		state, status int
		want          timex
	}{
		{"good", unix.TIME_OK, unix.STA_PLL, timex{maxError: ms}},
		{"flag says unsynchronised", unix.TIME_OK, unix.STA_UNSYNC, timex{unsynchronised: true, maxError: ms}},
		{"state says error", unix.TIME_ERROR, unix.STA_PLL, timex{unsynchronised: true, maxError: ms}},
		{"insert is coming", unix.TIME_INS, unix.STA_INS, timex{leap: ntp.LeapInsert, maxError: ms}},
		{"insert is flagged, state not yet", unix.TIME_OK, unix.STA_INS, timex{leap: ntp.LeapInsert, maxError: ms}},
		{"delete is coming", unix.TIME_DEL, unix.STA_DEL, timex{leap: ntp.LeapDelete, maxError: ms}},
		{"23:59:60", unix.TIME_OOP, unix.STA_INS, timex{leap: ntp.LeapInsert, maxError: ms}},
		{"inserted, flag still there", unix.TIME_WAIT, unix.STA_INS, timex{maxError: ms}},
		{"deleted, flag still there", unix.TIME_WAIT, unix.STA_DEL, timex{maxError: ms}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := interpret(c.state, c.status, ms); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestKernelOfThisMachineCanBeRead(t *testing.T) {
	got, err := readKernel()
	if err != nil {
		t.Skipf("this machine's kernel cannot be read: %v", err)
	}
	if got.maxError < 0 {
		t.Errorf("maximum error %v", got.maxError)
	}
}
