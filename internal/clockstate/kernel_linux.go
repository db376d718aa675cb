package clockstate

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// What adjtimex(2) returns besides an error, uapi/linux/timex.h.
const (
	timeInsert    = unix.TIME_INS
	timeDelete    = unix.TIME_DEL
	timeInLeap    = unix.TIME_OOP  // 23:59:60 is now
	timeAfterLeap = unix.TIME_WAIT // over, but the daemon has not taken STA_INS or STA_DEL back
	timeError     = unix.TIME_ERROR
)

// readKernel asks without changing anything (modes 0), which needs no privilege.
func readKernel() (timex, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return timex{}, fmt.Errorf("adjtimex: %w; a sandbox must let this call pass (systemd: no ProtectClock=, and adjtimex in SystemCallFilter=)", err)
	}
	return interpret(state, int(t.Status), time.Duration(t.Maxerror)*time.Microsecond), nil
}

func interpret(state, status int, maxError time.Duration) timex {
	t := timex{maxError: maxError, unsynchronised: state == timeError || status&unix.STA_UNSYNC != 0}
	switch {
	case state == timeAfterLeap:
		// announces nothing: the flag is stale and would make clients insert another second
	case state == timeInsert || state == timeInLeap || status&unix.STA_INS != 0:
		t.leap = ntp.LeapInsert
	case state == timeDelete || status&unix.STA_DEL != 0:
		t.leap = ntp.LeapDelete
	}
	return t
}
