package api

import "time"

// Networks are the networks that ask our own services most, IPv4 by /24 and IPv6 by /48, counted in fixed memory over the
// last one to two days. What is counted did happen; of networks that ask little some may be missing.
type Networks struct {
	Since        time.Time `json:"since"`         // when counting began
	Requests     uint64    `json:"requests"`      // for time, of all networks
	KeyExchanges uint64    `json:"key_exchanges"` // that were served, of all networks
	NTSShare     *float64  `json:"nts_share"`     // of all requests for time, 0 to 1; null when there are none
	// How many networks asked for time or, where we serve none, made key exchanges: estimates, with an error of some percent.
	Known     float64 `json:"known"`
	New       float64 `json:"new"`       // of them those that came today and not yesterday: days of 24 h since ntptsd started
	Returning float64 `json:"returning"` // of them those that came on both days
	// Intervals count requests by the seconds since the last one of the same network, about: each name is a power of two. An
	// estimate where several workers share the requests of a network.
	Intervals []Count   `json:"intervals"`
	Networks  []Network `json:"networks"` // the busiest first
}

// Network is one of them.
type Network struct {
	Prefix             string    `json:"prefix"`
	Requests           uint64    `json:"requests"`             // for time
	UncountedRequests  uint64    `json:"uncounted_requests"`   // at most so many more, before the network was remembered
	NTSRequests        uint64    `json:"nts_requests"`         // of the requests those with NTS, NAKs included
	NAKs               uint64    `json:"naks"`                 // answered that the cookie is of no use
	RateLimited        uint64    `json:"rate_limited"`         // requests and key exchanges in excess of a limit
	KeyExchanges       uint64    `json:"key_exchanges"`        // that were served
	FailedKeyExchanges uint64    `json:"failed_key_exchanges"` // that ended without cookies, and not by a limit
	FirstSeen          time.Time `json:"first_seen"`
	LastSeen           time.Time `json:"last_seen"`
	IntervalSeconds    *float64  `json:"interval_seconds"`  // between its requests for time, on average; null while it sent but one
	RekeysEveryPoll    bool      `json:"rekeys_every_poll"` // about as many key exchanges as NTS requests: its cookies do not last
}

// Handshakes are the key exchanges since the start.
type Handshakes struct {
	Open               int      `json:"open"`           // in progress
	Connections        []Count  `json:"connections"`    // by how they ended
	Failures           []Count  `json:"failures"`       // of handshake_failed connections, why
	Responses          []Count  `json:"responses"`      // with cookies, by AEAD
	Groups             []Count  `json:"groups"`         // by the group of the TLS key exchange
	Cookies            uint64   `json:"cookies"`        // given out
	MedianSeconds      *float64 `json:"median_seconds"` // of a TLS handshake, round trips included; null while there was none
	NinetiethSeconds   *float64 `json:"ninetieth_seconds"`
	NinetyNinthSeconds *float64 `json:"ninety_ninth_seconds"`
}
