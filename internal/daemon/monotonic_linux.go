package daemon

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonic reads the clock by which systemd orders events.
func monotonic() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
