package timeserver

import "github.com/ntptsd/ntptsd/internal/visitors"

// Verdict is what became of one datagram.
type Verdict uint8

const (
	AnsweredPlain Verdict = iota
	AnsweredNTS
	AnsweredNAK  // kiss NTSN: the cookie or what it seals was of no use
	AnsweredRate // kiss RATE
	Malformed
	WrongVersion
	WrongMode
	WithMAC      // symmetric keys are not served
	WrongSource  // nobody, ourselves or everybody
	Denied       // by allow and deny
	RateLimited  // in excess of rate-limit, and not one of the few that leak
	PlainRefused // plain = false
	TooLong      // our answer would have been longer than its request: a bug
	Banned       // by an operator, everywhere
	Drained      // the socket answers nobody
	NAKWithheld  // the cookie's key was revoked, and its share of answers is used up

	verdicts = iota
)

// String is the label of the metric.
func (v Verdict) String() string {
	return [verdicts]string{
		AnsweredPlain: "plain",
		AnsweredNTS:   "nts",
		AnsweredNAK:   "nak",
		AnsweredRate:  "rate",
		Malformed:     "malformed",
		WrongVersion:  "version",
		WrongMode:     "mode",
		WithMAC:       "mac",
		WrongSource:   "source",
		Denied:        "denied",
		RateLimited:   "rate_limited",
		PlainRefused:  "plain_refused",
		TooLong:       "too_long",
		Banned:        "banned",
		Drained:       "drained",
		NAKWithheld:   "nak_withheld",
	}[v]
}

// kind is what a network is remembered for.
func (v Verdict) kind() visitors.Kind {
	switch v {
	case AnsweredNTS:
		return visitors.NTS
	case AnsweredNAK:
		return visitors.NAK
	case AnsweredRate, RateLimited:
		return visitors.RateLimited
	}
	return visitors.Plain
}

// age is how old the key was that opened a cookie, in rotations of its ring. In a fleet, or beside a neighbour that owns the
// keys, a cookie under the next key tells that somebody has rotated before us.
type age uint8

const (
	ageNext age = iota
	ageCurrent
	ageOne
	ageTwo
	ageOlder
	ageUnknown // no key opened it: it was forgotten, or the cookie is forged
	ageRevoked // its key was revoked

	ages = iota
)

// ageOf maps what keyring tells of a key that opens.
func ageOf(rotations int) age {
	return age(min(max(rotations, -1)+int(ageCurrent), int(ageOlder)))
}

// String is the label of the metric.
func (a age) String() string {
	return [ages]string{"next", "current", "1", "2", "older", "unknown", "revoked"}[a]
}
