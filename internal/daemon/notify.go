package daemon

import (
	"fmt"
	"net"
	"os"
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

// notifyPatience bounds how long a service manager that does not read its socket can hold us up.
const notifyPatience = 500 * time.Millisecond

func (d *Daemon) notify(state string) {
	if err := tell(os.Getenv("NOTIFY_SOCKET"), state); err != nil {
		d.log.Warn("systemd cannot be told", "state", state, "error", err)
	}
}

// tell is systemd.SdNotify with a deadline: that one waits for ever while the socket's queue is full.
func tell(socket, state string) error {
	if socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(notifyPatience)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(state))
	return err
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
