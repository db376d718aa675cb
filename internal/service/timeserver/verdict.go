package timeserver

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
	}[v]
}
