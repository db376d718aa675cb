package api

import (
	"math"
	"time"
)

// The neutral result model: what every time daemon says, in one shape. Units are in the names; what is unknown is null.
// Offsets are in seconds, positive when the source (the server, the reference) is ahead of the local clock. Times are UTC.

// Tracking is what disciplines the local clock says of it.
type Tracking struct {
	Source       string  `json:"source"`       // where this comes from: chrony, ntpd, ntpsec, kernel, fixed
	Version      string  `json:"version"`      // of the daemon; empty when it does not say
	Synchronised bool    `json:"synchronised"` //
	Leap         string  `json:"leap"`         // none, insert, delete, unsynchronised
	Stratum      uint8   `json:"stratum"`      // 0 while not synchronised
	ReferenceID  string  `json:"reference_id"` // as text: letters, or an address in dotted form
	RefID        [4]byte `json:"-"`            // the same as it goes into packets

	ReferenceTime         *time.Time `json:"reference_time"` // the last update of the clock
	RootDelaySeconds      float64    `json:"root_delay_seconds"`
	RootDispersionSeconds float64    `json:"root_dispersion_seconds"` // at ReadAt; grows by 15 ppm
	ErrorBoundSeconds     float64    `json:"error_bound_seconds"`     // see ErrorBound
	// OffsetSeconds is what is left to correct: how far true time is ahead of the system's clock, as the daemon sees it.
	OffsetSeconds *float64 `json:"offset_seconds"`
	FrequencyPPM  *float64 `json:"frequency_ppm"` // positive: the clock would run fast
	// CorrectionSeconds is to be added to readings of the system's clock, because the daemon does so in its own answers
	// (chronyd while it slews, and what it smooths). 0 with ntpd and the kernel.
	CorrectionSeconds float64 `json:"correction_seconds"`
	// Smearing tells that the daemon's answers differ on purpose from its clock now, by more than CorrectionSeconds tells
	// (ntpd's leap smear): who answers beside it must not say that it is synchronised.
	Smearing   bool      `json:"smearing"`
	ReadAt     time.Time `json:"read_at"`     // with a monotonic reading inside the process
	AgeSeconds float64   `json:"age_seconds"` // of the reading, when it was answered
}

// Leap words of Tracking.
const (
	LeapNone           = "none"
	LeapInsert         = "insert"
	LeapDelete         = "delete"
	LeapUnsynchronised = "unsynchronised"
)

// LeapWord is the word for a leap indicator, RFC 5905 section 7.3.
func LeapWord(leap uint8) string {
	return [...]string{LeapNone, LeapInsert, LeapDelete, LeapUnsynchronised}[leap&3]
}

// ErrorBound is what ErrorBoundSeconds is made of: root delay / 2, root dispersion, and what is left to correct.
func (t Tracking) ErrorBound() float64 {
	bound := t.RootDelaySeconds/2 + t.RootDispersionSeconds
	if t.OffsetSeconds != nil {
		bound += math.Abs(*t.OffsetSeconds)
	}
	return bound
}

// Source is a server, peer or reference clock of the daemon.
type Source struct {
	Name           string   `json:"name"`      // as configured, else the address
	Address        string   `json:"address"`   // empty for reference clocks and names that do not resolve
	Kind           string   `json:"kind"`      // server, peer, refclock, pool, broadcast
	Selection      string   `json:"selection"` // selected, combined, selectable, outlier, falseticker, jittery, unselectable
	Stratum        uint8    `json:"stratum"`
	PollSeconds    float64  `json:"poll_seconds"`
	Reach          uint8    `json:"reach"`           // the last eight polls, newest in the lowest bit
	LastRxSeconds  *float64 `json:"last_rx_seconds"` // since the last good answer
	OffsetSeconds  *float64 `json:"offset_seconds"`
	ErrorSeconds   *float64 `json:"error_seconds"` // chrony: of the last measurement; ntpd: jitter
	DelaySeconds   *float64 `json:"delay_seconds"`
	Authentication string   `json:"authentication"` // none, symmetric, nts; empty when unknown
}

// SelectionSelected is the Selection of the source that the clock follows.
const SelectionSelected = "selected"

// Client is one that asks the daemon for time.
type Client struct {
	Address         string   `json:"address"`
	Requests        uint64   `json:"requests"`
	Dropped         *uint64  `json:"dropped"`
	KeyExchanges    *uint64  `json:"key_exchanges"`
	IntervalSeconds *float64 `json:"interval_seconds"` // between requests, on average
	LastSeconds     *float64 `json:"last_seconds"`     // since the last request
}

// Ring is a set of cookie keys.
type Ring struct {
	Name               string     `json:"name"`
	Dialect            string     `json:"dialect"`
	Owner              string     `json:"owner"`
	Keys               []Key      `json:"keys"`                 // oldest first
	RotateEverySeconds float64    `json:"rotate_every_seconds"` // 0 when the neighbour rotates
	NextRotation       *time.Time `json:"next_rotation"`        // null while it is not known: not published, not synchronised, not ours
	NeighbourFile      string     `json:"neighbour_file"`
	Problem            string     `json:"problem"` // what is wrong and what to do about it; empty when all is well
}

// Key is a cookie key, never its secret.
type Key struct {
	ID          string    `json:"id"` // 8 hexadecimal digits
	Fingerprint string    `json:"fingerprint"`
	AEAD        uint16    `json:"aead"`  // IANA number
	State       string    `json:"state"` // old, current, next
	Created     time.Time `json:"created"`
	MintFrom    time.Time `json:"mint_from"`
	AcceptUntil time.Time `json:"accept_until"`
	AgeSeconds  float64   `json:"age_seconds"` // since created; never negative
}

// States of a Key.
const (
	KeyCurrent = "current" // it mints
	KeyNext    = "next"    // it will
)

// ThisHost is how the ID of a target without a name begins: the host of the key exchange itself.
const ThisHost = "this-host"

// Target is a time server that key exchange hands out cookies for.
type Target struct {
	ID                  string     `json:"id"` // NAME, or NAME:PORT if that is not 123; "this-host" without a name
	Ring                string     `json:"ring"`
	Weight              int        `json:"weight"`
	Family              string     `json:"family"`
	AEADs               []uint16   `json:"aeads"`
	Fit                 bool       `json:"fit"`
	Draining            bool       `json:"draining"`
	Reason              string     `json:"reason"` // why it is not fit; empty when it is
	Stratum             *uint8     `json:"stratum"`
	RootDistanceSeconds *float64   `json:"root_distance_seconds"`
	OffsetSeconds       *float64   `json:"offset_seconds"`
	LastProbe           *time.Time `json:"last_probe"`
	Served              uint64     `json:"served"` // key exchanges that were sent there
}
