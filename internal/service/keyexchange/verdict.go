package keyexchange

import (
	"github.com/ntptsd/ntptsd/internal/visitors"
	"github.com/ntptsd/ntptsd/protocol/ntske"
)

// Verdict is how a connection ended. Each accepted connection has exactly one.
type Verdict uint8

const (
	// Answered.
	Served        Verdict = iota // with cookies
	NoProtocol                   // the client does not offer NTPv4
	NoAEAD                       // none of the client's AEADs is offered
	Unrecognized                 // error 0: a critical record that we do not know
	BadRequest                   // error 1: malformed
	TooLarge                     // error 1: longer than the limit, or in too many TLS records
	Incomplete                   // error 1: no End of Message in time
	InternalError                // error 2: no usable key, no randomness
	NoneFit                      // error 2: no target is fit, and that is what the configuration asks for

	// Not answered: something failed on the way.
	HelloTimeout     // no whole ClientHello in time
	HandshakeTimeout // no end of the handshake in time
	HandshakeFailed  // no TLS 1.3, no common group or signature, not TLS at all, a hello without end ...
	NoALPN           // TLS, but not for ntske/1
	Gone             // the client hung up, or broke TLS, before it had its answer

	// Refused before any cryptography.
	Denied      // by a prefix
	Full        // all connections are taken
	NetworkFull // all connections of this address or /64 are taken
	RateLimited
	Banned  // by an operator, everywhere
	Drained // the listener takes nobody

	verdicts // their number
)

var verdictNames = [verdicts]string{
	Served: "served", NoProtocol: "no_protocol", NoAEAD: "no_aead", Unrecognized: "unrecognized_record",
	BadRequest: "bad_request", TooLarge: "too_large", Incomplete: "incomplete", InternalError: "internal_error",
	NoneFit:      "none_fit",
	HelloTimeout: "hello_timeout", HandshakeTimeout: "handshake_timeout", HandshakeFailed: "handshake_failed",
	NoALPN: "no_alpn", Gone: "gone",
	Denied: "denied", Full: "full", NetworkFull: "network_full", RateLimited: "rate_limited",
	Banned: "banned", Drained: "drained",
}

// String is the value of the metric's label.
func (v Verdict) String() string { return verdictNames[v] }

// kind is what a network is remembered for.
func (v Verdict) kind() visitors.Kind {
	switch v {
	case Served:
		return visitors.NTS
	case Full, NetworkFull, RateLimited:
		return visitors.RateLimited
	}
	return visitors.Plain
}

// verdictOf maps the error of a request that was read.
func verdictOf(code ntske.ErrorCode) Verdict {
	switch code {
	case ntske.ErrorUnrecognized:
		return Unrecognized
	case ntske.ErrorInternal:
		return InternalError
	}
	return BadRequest
}
