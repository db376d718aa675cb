package keyexchange

import (
	"crypto/tls"
	"errors"
	"net"
	"reflect"
)

// Failure is why a handshake failed: more than HandshakeFailed tells, and as few words as a metric can bear.
type Failure uint8

const (
	NotTLS     Failure = iota // no ClientHello came
	OldTLS                    // no TLS 1.3, RFC 8915 section 3
	Excessive                 // too many octets
	Distrusted                // the client's alert: our certificate is not good enough for it
	OtherAlert                // another alert of the client's
	NoCommon                  // no group, cipher or signature in common, or a broken message

	failures // their number
)

// String is the value of the metric's label.
func (f Failure) String() string {
	return [failures]string{"not_tls", "old_tls", "too_much", "distrusted", "other_alert", "no_common"}[f]
}

// remoteError is the Op of a net.OpError by which crypto/tls tells an alert of the peer.
const remoteError = "remote error"

// failure judges the error of a handshake that failed.
func (e *exchange) failure(err error) Failure {
	var alert *net.OpError
	switch {
	case errors.Is(err, errTooMuch):
		return Excessive
	case e.oldTLS:
		return OldTLS
	case !e.greeted:
		return NotTLS
	case !errors.As(err, &alert) || alert.Op != remoteError:
		return NoCommon
	case isDistrust(alert.Err):
		return Distrusted
	}
	return OtherAlert
}

// isDistrust tells the alerts about certificates, RFC 8446 section 6.2. crypto/tls keeps the type of alerts to itself; what
// is below is their number on the wire.
func isDistrust(alert error) bool {
	number := reflect.ValueOf(alert)
	if number.Kind() != reflect.Uint8 {
		return false
	}
	switch tls.AlertError(number.Uint()) {
	case 42, 43, 44, 45, 46, 48: // bad, unsupported, revoked, expired, unknown; unknown_ca
		return true
	}
	return false
}
