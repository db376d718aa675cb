package api

import "time"

// None is for commands that take nothing.
type None struct{}

// RingArg names a ring.
type RingArg struct {
	Ring string `json:"ring" help:"name of the ring; the ring default unless given"`
}

// TargetArg names a target.
type TargetArg struct {
	Target string `json:"target" help:"the target, as targets shows it"`
}

// ClientsArg bounds a list of clients.
type ClientsArg struct {
	Limit int `json:"limit" help:"at most so many, the busiest first; 20 unless given"`
}

// The bounds of ClientsArg.
const (
	DefaultClients = 20
	MaxClients     = 10000
)

// Status is all that an operator looks at first.
type Status struct {
	Version   string    `json:"version"`
	StartedAt time.Time `json:"started_at"`
	Clock     Tracking  `json:"clock"`
	Neighbour Neighbour `json:"neighbour"`
	Rings     []Ring    `json:"rings"`
	Targets   []Target  `json:"targets"`
	// Problems are what somebody should look after, in words; empty when all is well.
	Problems []string `json:"problems"`
}

// Neighbour is the time daemon next door as it answers now.
type Neighbour struct {
	Name       string   `json:"name"`        // chrony, ntpd, ntpsec; empty when none is configured
	Via        string   `json:"via"`         // how it was asked last, and why not in a better way; empty before the first time
	Problem    string   `json:"problem"`     // why it does not answer; empty when it does
	AgeSeconds *float64 `json:"age_seconds"` // of its last good answer; null before the first
}

// Sources are what the daemon next door follows.
type Sources struct {
	Sources []Source `json:"sources"`
}

// Clients are some of those that ask the daemon next door for time, the busiest first.
type Clients struct {
	Known   int      `json:"known"` // how many the daemon remembers, as far as its list was read
	More    bool     `json:"more"`  // its list is longer than what is read of it
	Clients []Client `json:"clients"`
}

// Keys are the rings with their keys, never a secret.
type Keys struct {
	Rings []Ring `json:"rings"`
}

// Targets are the time servers that key exchange hands out cookies for.
type Targets struct {
	Targets []Target `json:"targets"`
}

// The table. Whoever serves it binds each of these once.
var ( // never assigned again
	GetStatus     = Command[None, Status]{Name: "status", Role: Monitor, Summary: "show how ntptsd does, and what to look after"}
	GetTracking   = Command[None, Tracking]{Name: "tracking", Role: Monitor, Summary: "show what is known of the clock"}
	GetSources    = Command[None, Sources]{Name: "sources", Role: Monitor, Summary: "list what the time daemon next door follows"}
	GetClients    = Command[ClientsArg, Clients]{Name: "clients", Role: Monitor, Summary: "list who asks the time daemon next door, the busiest first"}
	GetKeys       = Command[None, Keys]{Name: "keys", Role: Monitor, Summary: "list the rings and their keys, never a secret"}
	RotateKeys    = Command[RingArg, Keys]{Name: "keys rotate", Role: Operator, Changes: true, Summary: "make the next key of a ring the current one now"}
	GetTargets    = Command[None, Targets]{Name: "targets", Role: Monitor, Summary: "list the time servers that clients are sent to"}
	DrainTarget   = Command[TargetArg, Targets]{Name: "targets drain", Role: Operator, Changes: true, Summary: "send no more clients to a target while there is another"}
	UndrainTarget = Command[TargetArg, Targets]{Name: "targets undrain", Role: Operator, Changes: true, Summary: "send clients to a target again"}
	Reload        = Command[None, None]{Name: "reload", Role: Operator, Changes: true, Summary: "read the configuration again, all or nothing"}
)

// Commands are all of them, in the order of help.
func Commands() []Declared {
	return []Declared{GetStatus, GetTracking, GetSources, GetClients, GetKeys, RotateKeys, GetTargets, DrainTarget, UndrainTarget, Reload}
}
