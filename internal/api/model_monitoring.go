package api

import "time"

// Fit says whether this host is fit to serve time, for whoever withdraws a route or a name when it is not.
type Fit struct {
	Fit     bool     `json:"fit"`
	Reasons []string `json:"reasons"` // why not; empty when it is
}

// Count is how often something of that name happened.
type Count struct {
	Name  string `json:"name"`
	Count uint64 `json:"count"`
}

// Certificate is one that a TLS service shows, or is to show.
type Certificate struct {
	File        string    `json:"file"`  // as the configuration calls it: a path, acme or authority
	Names       []string  `json:"names"` // DNS names and addresses
	Issuer      string    `json:"issuer"`
	Fingerprint string    `json:"fingerprint"` // SHA-256 of the certificate, hexadecimal
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	DaysLeft    float64   `json:"days_left"` // by the local clock, negative when it has expired
	Problem     string    `json:"problem"`   // why it is not valid now, or what is wrong with its files; empty when all is well

	Source      string     `json:"source"`       // who renews it: one of the Source values
	State       string     `json:"state"`        // one of the Certificate states
	RenewAt     *time.Time `json:"renew_at"`     // when it is to be renewed
	NextAttempt *time.Time `json:"next_attempt"` // not before, after a failure
	LastError   string     `json:"last_error"`   // what went wrong last, perhaps in the authority's words; empty after a success
	LastErrorAt *time.Time `json:"last_error_at"`
	LastSuccess *time.Time `json:"last_success"` // of a renewal since the start
	Account     string     `json:"account"`      // what the authority calls us
}

// Sources of a Certificate.
const (
	CertificateFile      = "file"      // somebody else renews it
	CertificateACME      = "acme"      // an authority that speaks ACME
	CertificateAuthority = "authority" // an authority of our own
)

// Certificate states.
const (
	CertificateValid       = "valid"
	CertificateMissing     = "missing"       // there is none yet
	CertificateRenewing    = "renewing"      // at this moment
	CertificateFailing     = "failing"       // it could not be renewed, or its changed files cannot be used
	CertificateWaiting     = "waiting"       // it is to be renewed, but the clock is not synchronised
	CertificateExpired     = "expired"       // by the local clock
	CertificateNotYetValid = "not yet valid" // by the local clock
)

// Event is something that happened and that an operator may want to know of.
type Event struct {
	ID       uint64    `json:"id"` // grows, also over a restart
	At       time.Time `json:"at"`
	Kind     string    `json:"kind"` // one of the Event kinds
	Severity string    `json:"severity"`
	Text     string    `json:"text"`
}

// Severities of an Event.
const (
	Info    = "info"
	Warning = "warning"
)

// Event kinds.
const (
	EventStarted     = "started"
	EventClock       = "clock"       // synchronised, or not any more
	EventLeap        = "leap"        // a leap second is announced, or not any more
	EventSource      = "source"      // another source is selected
	EventNeighbour   = "neighbour"   // the daemon next door answers, or not any more
	EventKey         = "key"         // another key mints
	EventRing        = "ring"        // a ring has a problem, or not any more
	EventCertificate = "certificate" // another one is shown, or its files cannot be used
	EventTarget      = "target"      // fit, or not any more
	EventLimiter     = "limiter"     // a limit refuses clients, or not any more
	EventReload      = "reload"      // done or refused
	EventChange      = "change"      // made by a command, or undone
	EventFit         = "fit"         // to serve time, or not any more
)

// History is how the clock did, a column a member, all of one length, oldest first.
type History struct {
	StepSeconds       float64     `json:"step_seconds"` // between two rows
	At                []time.Time `json:"at"`
	OffsetSeconds     []*float64  `json:"offset_seconds"`      // null while unknown
	ErrorBoundSeconds []*float64  `json:"error_bound_seconds"` // null while not synchronised
	FrequencyPPM      []*float64  `json:"frequency_ppm"`
	Handshakes        []uint64    `json:"handshakes"`    // key exchanges served within the step
	TimeRequests      []uint64    `json:"time_requests"` // answered within the step
}

// Identity is who somebody is to us.
type Identity struct {
	Name  string     `json:"name"`
	Role  string     `json:"role"`
	Only  []string   `json:"only"`  // what the caller is confined to; empty: all that the role may
	Until *time.Time `json:"until"` // when what the caller showed ends; null: never
}

// Link is a way in that works once.
type Link struct {
	Token string    `json:"token"`
	URLs  []string  `json:"urls"` // of the dashboard, with the token in the fragment, which browsers send to nobody
	Role  string    `json:"role"`
	Until time.Time `json:"until"`
}

// Session is what a one-time token was exchanged for: a token that works until it ends, or ntptsd does.
type Session struct {
	Token string    `json:"token"`
	Name  string    `json:"name"`
	Role  string    `json:"role"`
	Until time.Time `json:"until"`
}

// Sample is everything that a live view shows, as it is at one moment.
type Sample struct {
	At           time.Time     `json:"at"`
	Fit          Fit           `json:"fit"`
	Status       Status        `json:"status"`
	Sources      []Source      `json:"sources"`
	Handshakes   Handshakes    `json:"handshakes"`
	Cookies      Cookies       `json:"cookies"`
	TimeRequests uint64        `json:"time_requests"` // answered by the time server since the start
	Certificates []Certificate `json:"certificates"`
}

// Item is one of a stream: an Event or a Sample, encoded once for all who follow.
type Item struct {
	ID   uint64 // grows
	Kind string // ItemEvent or ItemSample
	JSON []byte // never written to again
}

// Kinds of Item.
const (
	ItemEvent  = "event"
	ItemSample = "sample"
)
