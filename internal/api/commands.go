package api

import (
	"slices"
	"time"
)

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

// SourceArg names a source.
type SourceArg struct {
	Source string `json:"source" help:"name or address of the source, as sources shows it"`
}

// ClientsArg bounds a list of clients.
type ClientsArg struct {
	Limit int    `json:"limit" help:"at most so many, the busiest first; 20 unless given"`
	After string `json:"after" help:"go on behind the list that told this as its next"`
}

// NetworksArg bounds a list of networks.
type NetworksArg struct {
	Limit int `json:"limit" help:"at most so many, the busiest first; 20 unless given"`
}

// EventsArg says which events.
type EventsArg struct {
	After int `json:"after" help:"those behind the event with this id; all that are kept unless given"`
	Limit int `json:"limit" help:"at most so many, the newest; 100 unless given"`
}

// HistoryArg says how much of the past.
type HistoryArg struct {
	Seconds int `json:"seconds" help:"so many seconds back; all that is kept, 24 hours, unless given"`
}

// AssociationArg names an association of ntpd, and what to read of it.
type AssociationArg struct {
	Association string `json:"association" help:"number of the association, or &1 for the first that associations lists; 0, the system, unless given"`
	Variables   string `json:"variables" help:"names with commas between; the usual ones unless given"`
}

// AddressArg picks one source of chronyd.
type AddressArg struct {
	Address string `json:"address" help:"address of one source; all unless given"`
}

// LoginArg bounds what a link may do.
type LoginArg struct {
	Role string `json:"role" help:"monitor, operator or admin, at most your own; monitor unless given"`
}

// The bounds of lists.
const (
	DefaultClients  = 20
	MaxClients      = 10000
	DefaultNetworks = 20
	MaxNetworks     = 1000
	DefaultEvents   = 100
	MaxEvents       = 1000
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
	Next    string   `json:"next"`  // to be given as after for those behind these; empty at the end
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

// Certificates are those that TLS services show.
type Certificates struct {
	Certificates []Certificate `json:"certificates"`
}

// Cookies are the cookies that the time server was shown, by the age of the key that opened them.
type Cookies struct {
	Ages []Count `json:"ages"`
}

// Events are some of the journal, oldest first.
type Events struct {
	Events []Event `json:"events"`
	Lost   bool    `json:"lost"` // some of those asked for are forgotten already
}

// Native is what the daemon next door says in the words of its own client.
type Native struct {
	Daemon string `json:"daemon"` // chrony, ntpd, ntpsec, or empty where the answer is made of the neutral model
	Text   string `json:"text"`   // lines, as ntpq or chronyc would print them
}

// The table. Whoever serves it binds each of these once.
var ( // never assigned again
	GetStatus       = Command[None, Status]{Name: "status", Role: Monitor, Summary: "show how ntptsd does, and what to look after"}
	GetFit          = Command[None, Fit]{Name: "fit", Role: Monitor, Summary: "show whether this host is fit to serve time, and why not"}
	GetTracking     = Command[None, Tracking]{Name: "tracking", Role: Monitor, Summary: "show what is known of the clock"}
	GetSources      = Command[None, Sources]{Name: "sources", Role: Monitor, Summary: "list what the time daemon next door follows"}
	GetSource       = Command[SourceArg, Source]{Name: "source", Role: Monitor, Summary: "show one source of the time daemon next door"}
	GetClients      = Command[ClientsArg, Clients]{Name: "clients", Role: Monitor, Summary: "list who asks the time daemon next door, the busiest first"}
	GetNetworks     = Command[NetworksArg, Networks]{Name: "networks", Role: Monitor, Summary: "list the networks that ask our own services, the busiest first"}
	GetKeys         = Command[None, Keys]{Name: "keys", Role: Monitor, Summary: "list the rings and their keys, never a secret"}
	RotateKeys      = Command[RingArg, Keys]{Name: "keys rotate", Role: Operator, Changes: true, Summary: "make the next key of a ring the current one now"}
	GetCertificates = Command[None, Certificates]{Name: "certs", Role: Monitor, Summary: "list the certificates that are shown to clients"}
	GetHandshakes   = Command[None, Handshakes]{Name: "handshakes", Role: Monitor, Summary: "count the key exchanges, by how they ended"}
	GetCookies      = Command[None, Cookies]{Name: "cookies", Role: Monitor, Summary: "count the cookies that came back, by the age of their key"}
	GetTargets      = Command[None, Targets]{Name: "targets", Role: Monitor, Summary: "list the time servers that clients are sent to"}
	DrainTarget     = Command[TargetArg, Targets]{Name: "targets drain", Role: Operator, Changes: true, Inverse: "targets undrain", Urgent: true, Summary: "send no more clients to a target while there is another"}
	UndrainTarget   = Command[TargetArg, Targets]{Name: "targets undrain", Role: Operator, Changes: true, Inverse: "targets drain", Urgent: true, Summary: "send clients to a target again"}
	GetEvents       = Command[EventsArg, Events]{Name: "events", Role: Monitor, Summary: "list what happened, the newest last"}
	GetHistory      = Command[HistoryArg, History]{Name: "history", Role: Monitor, Summary: "show how the clock did in the last 24 hours"}
	WhoAmI          = Command[None, Identity]{Name: "whoami", Role: Monitor, Summary: "show who you are here, and what you may"}
	Login           = Command[LoginArg, Link]{Name: "login", Role: Operator, Changes: true, Summary: "make a link that opens the dashboard once"}
	Reload          = Command[None, None]{Name: "reload", Role: Operator, Changes: true, Summary: "read the configuration again, all or nothing"}
)

// The words of ntpq and of chronyc, each answered in the form that those tools print. tracking, sources and clients are not
// among them, since the table has neutral ones; a console says these in the daemon's words, too.
var ( // never assigned again
	GetPeers        = Command[None, Native]{Name: "peers", Role: Monitor, Summary: "show the sources as ntpq prints them"}
	GetAssociations = Command[None, Native]{Name: "associations", Role: Monitor, Summary: "list the associations of ntpd as ntpq prints them"}
	GetVariables    = Command[AssociationArg, Native]{Name: "rv", Role: Monitor, Summary: "read variables of ntpd as ntpq prints them"}
	GetMRUList      = Command[None, Native]{Name: "mrulist", Role: Monitor, Summary: "list the clients of ntpd as ntpq prints them"}
	GetSysinfo      = Command[None, Native]{Name: "sysinfo", Role: Monitor, Summary: "show the state of ntpd as ntpq prints it"}
	GetSysstats     = Command[None, Native]{Name: "sysstats", Role: Monitor, Summary: "show the packet counters of ntpd as ntpq prints them"}
	GetIostats      = Command[None, Native]{Name: "iostats", Role: Monitor, Summary: "show the input and output counters of ntpd as ntpq prints them"}
	GetIfstats      = Command[None, Native]{Name: "ifstats", Role: Monitor, Summary: "list the interfaces of ntpd as ntpq prints them"}
	GetMonstats     = Command[None, Native]{Name: "monstats", Role: Monitor, Summary: "show the state of the client list of ntpd as ntpq prints it"}
	GetKernel       = Command[None, Native]{Name: "kernel", Role: Monitor, Summary: "show the kernel's clock as ntpq kerninfo prints it"}
	GetSourcestats  = Command[None, Native]{Name: "sourcestats", Role: Monitor, Summary: "show the statistics of the sources as chronyc prints them"}
	GetSelectdata   = Command[None, Native]{Name: "selectdata", Role: Monitor, Summary: "show how chronyd selects its sources as chronyc prints it"}
	GetNTPData      = Command[AddressArg, Native]{Name: "ntpdata", Role: Monitor, Summary: "show the last measurements of the sources as chronyc prints them"}
	GetAuthData     = Command[None, Native]{Name: "authdata", Role: Monitor, Summary: "show the authentication of the sources as chronyc prints it"}
	GetServerstats  = Command[None, Native]{Name: "serverstats", Role: Monitor, Summary: "show the counters of chronyd's server as chronyc prints them"}
	GetActivity     = Command[None, Native]{Name: "activity", Role: Monitor, Summary: "count the sources that are online as chronyc prints it"}
	GetSmoothing    = Command[None, Native]{Name: "smoothing", Role: Monitor, Summary: "show how chronyd smooths the time that it serves as chronyc prints it"}
)

// PlainWords are those of them that take nothing.
func PlainWords() []Command[None, Native] {
	return []Command[None, Native]{GetPeers, GetAssociations, GetMRUList, GetSysinfo, GetSysstats, GetIostats, GetIfstats, GetMonstats,
		GetKernel, GetSourcestats, GetSelectdata, GetAuthData, GetServerstats, GetActivity, GetSmoothing}
}

// NativeWords are all of them.
func NativeWords() []Declared {
	all := []Declared{GetVariables, GetNTPData}
	for _, c := range PlainWords() {
		all = append(all, c)
	}
	return all
}

// Commands are all of them, in the order of help.
func Commands() []Declared {
	return slices.Concat([]Declared{GetStatus, GetFit, GetTracking, GetSources, GetSource, GetClients, GetNetworks, GetKeys, RotateKeys,
		GetCertificates, GetHandshakes, GetCookies, GetTargets, DrainTarget, UndrainTarget, GetEvents, GetHistory, WhoAmI, Login, Reload},
		neighbourCommands(), ownCommands(), changesCommands(), NativeWords())
}
