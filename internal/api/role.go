package api

import "fmt"

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

// Caller is who asks.
type Caller struct {
	Role Role
	Name string // for the audit and the log: "uid 0", a certificate's name
}
