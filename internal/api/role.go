package api

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Role is what somebody may do; each may all that those below may.
type Role uint8

const (
	Anonymous Role = iota // health only
	Monitor               // reads everything that is no secret
	Operator              // changes what runs
	Admin                 // changes who may what
)

var roleNames = [...]string{"anonymous", "monitor", "operator", "admin"}

func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return fmt.Sprintf("role(%d)", uint8(r))
}

// ParseRole is the role of that name.
func ParseRole(name string) (r Role, ok bool) {
	i := slices.Index(roleNames[:], name)
	return Role(max(i, 0)), i >= 0
}

// Caller is who asks.
type Caller struct {
	Role Role
	Name string // for the audit and the log: "uid 0", a certificate's name
	// Only are the commands and doors (Metrics and so on) that the caller is confined to; nil: all that the role may.
	Only []string
	// Login is what whoever let the caller in knows the log-in by; empty: nothing was shown.
	Login string
	// From is where the caller connects from; not valid: over the control socket.
	From netip.Addr
	// Root is the root of this host, over the control socket.
	Root bool
	// Until is when what the caller showed ends; zero: never. Who serves somebody for long asks again.
	Until time.Time
}

// Doors are what can be had beside the commands of the table, by the names that Caller.Only knows them under.
const (
	DoorMetrics = "metrics"
	DoorStream  = "stream" // of events and samples
	DoorMode6   = "mode6"  // ntpq through a tunnel
	DoorCmdmon  = "cmdmon" // chronyc through a tunnel
)
