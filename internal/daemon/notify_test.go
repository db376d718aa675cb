package daemon

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

// systemdSocket stands in for systemd and gives what it is told.
func systemdSocket(t *testing.T) *net.UnixConn {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return conn
}

func told(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 256)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestSystemdIsTold(t *testing.T) {
	conn := systemdSocket(t)
	t.Setenv("WATCHDOG_USEC", "2000")
	t.Setenv("WATCHDOG_PID", "")
	d, _ := house(&diary{})
	d.services = d.services[:0]
	d.Add("plain", plain{})
	ctx, cancel := context.WithCancel(t.Context())
	done := run(ctx, d)
	if got := told(t, conn); got != "READY=1" {
		t.Errorf("told %q at the start", got)
	}
	if got := told(t, conn); got != "WATCHDOG=1" {
		t.Errorf("told %q, want a sign of life", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	last := told(t, conn)
	for last == "WATCHDOG=1" {
		last = told(t, conn)
	}
	if last != "STOPPING=1" {
		t.Errorf("told %q at the end", last)
	}
}

func TestSystemdIsToldOfReloads(t *testing.T) {
	conn := systemdSocket(t)
	d, _ := house(&diary{})
	if err := d.Reload(config.Default()); err != nil {
		t.Fatal(err)
	}
	if got := told(t, conn); !regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=[1-9]\d+$`).MatchString(got) {
		t.Errorf("told %q", strings.ReplaceAll(got, "\n", " "))
	}
	if got := told(t, conn); got != "READY=1" {
		t.Errorf("told %q after the reload", got)
	}
}

// A service manager that has stopped reading must not keep us from ending.
func TestFullNotifySocketDoesNotHoldUsUp(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 10000 { // the kernel's queue is far shorter
		if err = tell(socket, "READY=1"); err != nil {
			break
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the queue is full: %v, want a deadline that was exceeded", err)
	}
}
