package neighbour

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

// Others may ask chronyd in its own protocol, as many things as they like over one socket, and see why it refuses.
func TestConverse(t *testing.T) {
	r := newReplay(t, "4.3")
	d := NewDoor(clockOf(r, "chrony"), slog.New(slog.DiscardHandler))
	err := d.Converse(t.Context(), func(ask func(cmdmon.Command, cmdmon.Body) (cmdmon.Reply, error)) error {
		reply, err := ask(cmdmon.ServerStats, nil)
		if err != nil {
			return err
		}
		if _, err := cmdmon.ParseStats(reply); err != nil {
			return err
		}
		_, err = ask(cmdmon.SmoothingCommand, nil)
		return err
	})
	if !errors.Is(err, cmdmon.NotEnabled) || !strings.Contains(err.Error(), r.socket) || r.count(cmdmon.ServerStats) != 1 {
		t.Errorf("%v, asked %d times", err, r.count(cmdmon.ServerStats))
	}
}

// Over UDP chronyd refuses most; then the error tells why the command socket could not be used, too.
func TestConverseOverUDP(t *testing.T) {
	c := NewChrony("/nonexistent/chronyd.sock", newReplay(t, "4.3").address().AddrPort())
	err := c.Converse(t.Context(), func(ask func(cmdmon.Command, cmdmon.Body) (cmdmon.Reply, error)) error {
		if _, err := ask(cmdmon.TrackingCommand, nil); err != nil {
			return err
		}
		_, err := ask(cmdmon.ServerStats, nil)
		return err
	})
	if !errors.Is(err, cmdmon.Unauthorised) || !strings.Contains(err.Error(), "/nonexistent/chronyd.sock is not there") {
		t.Errorf("%v", err)
	}
}

func TestConverseWithAnotherDaemon(t *testing.T) {
	r := newReplay(t, "4.3")
	for source, want := range map[string]string{"kernel": "set clock.source", "ntpd": "the daemon next door is ntpd, not chronyd: use ntpq"} {
		d := NewDoor(clockOf(r, source), slog.New(slog.DiscardHandler))
		err := d.Converse(t.Context(), func(func(cmdmon.Command, cmdmon.Body) (cmdmon.Reply, error)) error {
			t.Error("talks")
			return nil
		})
		if api.KindOf(err) != api.Conflict || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", source, err)
		}
	}
}
