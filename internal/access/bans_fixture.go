package access

import (
	"net/netip"
	"time"
)

// NewTestBans bans networks for an hour: for tests of others.
func NewTestBans(networks ...netip.Prefix) *Bans {
	b := newBans()
	for _, n := range networks {
		if err := b.Add(Ban{Network: n, For: time.Hour}); err != nil {
			panic(err)
		}
	}
	return b
}
