package neighbour

import (
	"context"
	"net"
	"os"

	"github.com/ntptsd/ntptsd/internal/api"
)

// DialMode6 opens a socket to ntpd, for whoever hands requests on: what is asked, and who may, is theirs to judge.
func (d *Door) DialMode6(ctx context.Context) (net.Conn, error) {
	v := d.seen.Load()
	if v.daemon != Daemon(v.ntpd) {
		return nil, v.another("ntpd", "chronyc")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "udp", v.ntpd.address.String())
	return conn, api.Fail(api.Unavailable, err)
}

// DialCmdmon opens a socket to chronyd, as DialMode6 does to ntpd: its command socket, behind which everything is allowed,
// or UDP if there is no other way.
func (d *Door) DialCmdmon(ctx context.Context) (net.Conn, error) {
	v := d.seen.Load()
	c := v.chrony
	if v.daemon != Daemon(c) {
		return nil, v.another("chronyd", "ntpq")
	}
	s, err := c.openSocket()
	if err == nil {
		return commandSocket{s}, nil
	}
	if !c.address.IsValid() {
		return nil, api.Fail(api.Unavailable, err)
	}
	conn, failed := new(net.Dialer).DialContext(ctx, "udp", c.address.String())
	if failed != nil {
		return nil, api.Failf(api.Unavailable, "%w; over UDP: %w", err, failed)
	}
	return conn, nil
}

// another tells that the daemon that was asked for is not the one next door.
func (v *view) another(wanted, tool string) error {
	if v.daemon == nil {
		return api.Fail(api.Conflict, ErrNone)
	}
	return api.Failf(api.Conflict, "the daemon next door is %s, not %s: use %s", v.daemon.Name(), wanted, tool)
}

// commandSocket removes its own end's file when it is closed.
type commandSocket struct{ *session }

func (c commandSocket) Close() error {
	err := c.Conn.Close()
	_ = os.Remove(c.path)
	return err
}
