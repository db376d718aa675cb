package daemon

import (
	"fmt"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// What systemd is told, sd_notify(3).
const (
	ready    = systemd.SdNotifyReady
	stopping = systemd.SdNotifyStopping
	alive    = systemd.SdNotifyWatchdog
)

// reloading carries the time, by which systemd (Type=notify-reload) tells this reload from an earlier one.
func reloading() string {
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", systemd.SdNotifyReloading, monotonic().Microseconds())
}

func (d *Daemon) notify(state string) {
	if _, err := systemd.SdNotify(false, state); err != nil {
		d.log.Warn("systemd cannot be told", "state", state, "error", err)
	}
}

// watchdog says when systemd wants to hear that we live; never, if it does not.
type watchdog struct {
	due  <-chan time.Time
	stop func()
}

func newWatchdog() watchdog {
	limit, err := systemd.SdWatchdogEnabled(false)
	if err != nil || limit <= 0 {
		return watchdog{stop: func() {}}
	}
	t := time.NewTicker(limit / 2)
	return watchdog{t.C, t.Stop}
}
