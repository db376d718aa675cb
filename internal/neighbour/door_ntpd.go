package neighbour

import (
	"context"

	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// ConverseMode6 asks ntpd; see NTPD.ConverseMode6. An api.Error of the kind Conflict if another daemon, or none, is next door.
func (d *Door) ConverseMode6(ctx context.Context, talk func(ask func(mode6.Request) (uint16, []byte, error)) error) error {
	v := d.seen.Load()
	if v.daemon != Daemon(v.ntpd) {
		return v.another("ntpd", "chronyc")
	}
	return v.ntpd.ConverseMode6(ctx, talk)
}
