package api

import "time"

// NewSourceArg is a source to be added.
type NewSourceArg struct {
	Source     string `json:"source" help:"host name or address"`
	Kind       string `json:"kind" help:"server, peer or pool; server unless given"`
	MinPoll    string `json:"minpoll" help:"shortest interval, log2 of seconds: 6 for 64 s, which it is unless given"`
	MaxPoll    string `json:"maxpoll" help:"longest interval, log2 of seconds: 10 for 1024 s, which it is unless given"`
	NTS        bool   `json:"nts" help:"authenticate it by NTS"`
	IBurst     bool   `json:"iburst" help:"begin with several measurements in a row"`
	Prefer     bool   `json:"prefer" help:"select it where it is as good as others"`
	NoSelect   bool   `json:"noselect" help:"measure it, and never select it"`
	Trust      bool   `json:"trust" help:"believe it against those without this (chronyd)"`
	Require    bool   `json:"require" help:"select none unless one of those with this can be selected (chronyd)"`
	XLeave     bool   `json:"xleave" help:"use the interleaved mode"`
	Port       int    `json:"port" help:"port of its time service; 123 unless given (chronyd)"`
	NTSPort    int    `json:"ntsport" help:"port of its key exchange; 4460 unless given (chronyd)"`
	KeyID      int    `json:"keyid" help:"number of the symmetric key that it has in common with the daemon"`
	Version    int    `json:"version" help:"version of NTP, 1 to 4; the daemon chooses unless given"`
	MaxSources int    `json:"maxsources" help:"so many of a pool at once, 1 to 16; 4 unless given (chronyd)"`
}

// KnownSourceArg names a source that the daemon next door has.
type KnownSourceArg struct {
	Source string `json:"source" help:"name or address of the source, as sources shows it"`
}

// SomeSourceArg names one or all.
type SomeSourceArg struct {
	Source string `json:"source" help:"name or address of the source, as sources shows it; all unless given"`
}

// BurstArg says how many measurements.
type BurstArg struct {
	Source string `json:"source" help:"name or address of the source, as sources shows it; all unless given"`
	Good   int    `json:"good" help:"so many good measurements, 1 to 16; 4 unless given"`
	Total  int    `json:"total" help:"of at most so many tries, up to 32; twice as many as good unless given"`
}

// PollArg bounds the interval of a source.
type PollArg struct {
	Source string `json:"source" help:"name or address of the source, as sources shows it"`
	Poll   string `json:"poll" help:"log2 of seconds: 6 for 64 s, 10 for 1024 s"`
}

// StepArg confirms a step.
type StepArg struct {
	Token string `json:"token" help:"what the first call answered, to confirm that it is meant" secret:"yes"`
}

// SetTimeArg is a time, and confirms it.
type SetTimeArg struct {
	Time  string `json:"time" help:"what the time is when this is called first, as 2027-01-31T12:00:00Z"`
	Token string `json:"token" help:"what the first call answered, to confirm that it is meant" secret:"yes"`
}

// Confirmation is what a command answers that is called twice: first what would happen, then it happens.
type Confirmation struct {
	Done    bool       `json:"done"`
	Command string     `json:"command"` // to be called again, with its arguments but for the token
	Would   string     `json:"would"`   // what happens then; empty once it is done
	Token   string     `json:"token"`   // to be given then; works once. Empty once it is done
	Until   *time.Time `json:"until"`   // when the token ends
}

// Told is the answer of a daemon that has none but that it was told.
type Told struct {
	Daemon string `json:"daemon"`
}

// NextDoor is the daemon next door, and what was done to it here.
type NextDoor struct {
	Daemon string   `json:"daemon"` // chrony, ntpd, ntpsec, or empty: none
	Via    string   `json:"via"`    // how it was asked last, and why not in a better way; empty before the first time
	Added  []string `json:"added"`  // sources that were added here and not deleted since, as its configuration would have them
}

// The commands that change the daemon next door. What it cannot do, it says so.
var ( // never assigned again
	GetNextDoor = Command[None, NextDoor]{Name: "neighbour", Role: Monitor, Summary: "show the time daemon next door, and the sources that were added to it here"}

	AddSource     = Command[NewSourceArg, Sources]{Name: "sources add", Role: Admin, Changes: true, Inverse: "sources delete", Summary: "let the time daemon next door follow another source, until it is restarted"}
	DeleteSource  = Command[KnownSourceArg, Sources]{Name: "sources delete", Role: Admin, Changes: true, Inverse: "sources add", Summary: "let the time daemon next door follow a source no longer, until it is restarted"}
	SourceOnline  = Command[SomeSourceArg, Sources]{Name: "sources online", Role: Operator, Changes: true, Inverse: "sources offline", Summary: "let chronyd ask sources again"}
	SourceOffline = Command[SomeSourceArg, Sources]{Name: "sources offline", Role: Operator, Changes: true, Inverse: "sources online", Summary: "let chronyd stop asking sources for a while"}
	SourceBurst   = Command[BurstArg, Sources]{Name: "sources burst", Role: Operator, Changes: true, Summary: "let chronyd measure sources several times in a row"}
	SourceMinPoll = Command[PollArg, Sources]{Name: "sources minpoll", Role: Operator, Changes: true, Inverse: "sources minpoll", Summary: "set the shortest interval at which chronyd asks a source"}
	SourceMaxPoll = Command[PollArg, Sources]{Name: "sources maxpoll", Role: Operator, Changes: true, Inverse: "sources maxpoll", Summary: "set the longest interval at which chronyd asks a source"}
	RefreshNames  = Command[None, Sources]{Name: "sources refresh", Role: Operator, Changes: true, Summary: "let chronyd resolve the names of its sources again"}
	ReloadSources = Command[None, Sources]{Name: "sources reload", Role: Operator, Changes: true, Summary: "let chronyd read the files of its sourcedir again"}

	RekeyNeighbour = Command[None, Told]{Name: "neighbour rekey", Role: Operator, Changes: true, Summary: "let chronyd read its key files again"}
	DumpNeighbour  = Command[None, Told]{Name: "neighbour dump", Role: Operator, Changes: true, Summary: "let chronyd write its measurements into its dump files"}
	CycleLogs      = Command[None, Told]{Name: "neighbour cyclelogs", Role: Operator, Changes: true, Summary: "let chronyd open its log files again"}

	StepClock = Command[StepArg, Confirmation]{Name: "neighbour step", Role: Admin, Changes: true, Summary: "let chronyd correct the clock at once, where allow-step allows it; called twice"}
	SetTime   = Command[SetTimeArg, Confirmation]{Name: "neighbour settime", Role: Admin, Changes: true, Summary: "tell chronyd what the time is, where allow-step allows it; called twice"}
)

// neighbourCommands are those that change the time daemon next door.
func neighbourCommands() []Declared {
	return []Declared{GetNextDoor, AddSource, DeleteSource, SourceOnline, SourceOffline, SourceBurst, SourceMinPoll, SourceMaxPoll, RefreshNames, ReloadSources,
		RekeyNeighbour, DumpNeighbour, CycleLogs, StepClock, SetTime}
}
