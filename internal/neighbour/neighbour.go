// Package neighbour asks the time daemons next door: chronyd over its command socket (protocol/cmdmon), ntpd and NTPsec by
// mode 6 (protocol/mode6). One bounded client per daemon is shared by all who ask; a daemon is asked the same thing at most
// once a second, however many want to know, and never waited for beyond a deadline. A daemon that is away or hangs is an
// error with its cause, and is found again when it is back. What the answers mean for our own clients is left to others.
package neighbour

import (
	"context"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Daemon is a time daemon next door. Safe for concurrent use; every call ends with ctx, or earlier by its own deadline.
type Daemon interface {
	// Name is chrony, ntpd or ntpsec.
	Name() string
	Tracking(ctx context.Context) (api.Tracking, error)
	Sources(ctx context.Context) ([]api.Source, error)
	// Clients are at most most of those that asked the daemon for time, the busiest first.
	Clients(ctx context.Context, most int) ([]api.Client, error)
}
