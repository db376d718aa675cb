package neighbour

import (
	"context"

	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

// Converse asks chronyd; see Chrony.Converse. An api.Error of the kind Conflict if another daemon, or none, is next door.
func (d *Door) Converse(ctx context.Context, talk func(ask func(cmdmon.Command, cmdmon.Body) (cmdmon.Reply, error)) error) error {
	v := d.seen.Load()
	if v.daemon != Daemon(v.chrony) {
		return v.another("chronyd", "ntpq")
	}
	return v.chrony.Converse(ctx, talk)
}
