package neighbour

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

// dialed asks for tracking over the connection.
func dialed(t *testing.T, conn net.Conn) {
	t.Helper()
	q := cmdmon.Request{Command: cmdmon.TrackingCommand, Sequence: 7}
	if _, err := conn.Write(q.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, 2000)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := cmdmon.ParseReply(b[:n]); err != nil || p.Check(q) != nil {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestDialCmdmon(t *testing.T) {
	r := newReplay(t, "4.3")
	d := NewDoor(clockOf(r, "chrony"), slog.New(slog.DiscardHandler))
	conn, err := d.DialCmdmon(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dialed(t, conn)
	own := func() []string {
		found, _ := filepath.Glob(filepath.Join(filepath.Dir(r.socket), "ntptsd.*.sock"))
		return found
	}
	if len(own()) != 1 {
		t.Errorf("own sockets: %v", own())
	}
	if conn.Close(); len(own()) != 0 {
		t.Errorf("left: %v", own())
	}
	if err := os.Remove(r.socket); err != nil {
		t.Fatal(err)
	}
	if conn, err = d.DialCmdmon(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if conn.RemoteAddr().Network() != "udp" {
		t.Errorf("without the command socket over %v", conn.RemoteAddr())
	}
	dialed(t, conn)

	cfg := clockOf(r, "chrony")
	cfg.Clock.ChronySocket = "/nonexistent/chronyd.sock"
	cfg.Clock.ChronyAddress = netip.AddrPort{}
	if _, err := NewDoor(cfg, slog.New(slog.DiscardHandler)).DialCmdmon(t.Context()); api.KindOf(err) != api.Unavailable || !strings.Contains(err.Error(), "is not there") {
		t.Errorf("%v", err)
	}
}

func TestDialMode6(t *testing.T) {
	r := newReplay(t, "4.3")
	daemon, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	cfg := clockOf(r, "ntpd")
	cfg.Clock.NTPDAddress = daemon.LocalAddr().(*net.UDPAddr).AddrPort()
	conn, err := NewDoor(cfg, slog.New(slog.DiscardHandler)).DialMode6(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if conn.RemoteAddr().String() != cfg.Clock.NTPDAddress.String() {
		t.Errorf("it leads to %v", conn.RemoteAddr())
	}
}

// Who asks for the wrong daemon is told which one there is.
func TestDialsLeadToTheDaemonNextDoorOnly(t *testing.T) {
	r := newReplay(t, "4.3")
	door := func(source string) *Door { return NewDoor(clockOf(r, source), slog.New(slog.DiscardHandler)) }
	for name, c := range map[string]struct {
		dial func() (net.Conn, error)
		want string
	}{
		"ntpq to chronyd": {func() (net.Conn, error) { return door("chrony").DialMode6(t.Context()) }, "is chrony, not ntpd: use chronyc"},
		"chronyc to ntpd": {func() (net.Conn, error) { return door("ntpd").DialCmdmon(t.Context()) }, "is ntpd, not chronyd: use ntpq"},
		"ntpq to nobody":  {func() (net.Conn, error) { return door("kernel").DialMode6(t.Context()) }, "set clock.source"},
		"chronyc":         {func() (net.Conn, error) { return door("kernel").DialCmdmon(t.Context()) }, "set clock.source"},
	} {
		if _, err := c.dial(); api.KindOf(err) != api.Conflict || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
