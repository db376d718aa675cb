// Package ntske reads and writes the messages of NTS Key Establishment, RFC 8915 section 4, for server and client: one
// request and one response over TLS 1.3, each a run of records up to End of Message:
//
//	 0                   1                   2                   3
//	+-+-----------------------------+-------------------------------+
//	|C|         Record Type         |          Body Length          |   C: critical
//	+-+-----------------------------+-------------------------------+
//	|  Body, not padded ...                                         |
//
// Syntax (record.go) is apart from meaning (request.go, response.go). TLS, deadlines, and what the server offers are
// left to others; so are cookies, which are opaque here. Captured exchanges of real daemons: testdata/captures.json.
package ntske

import "fmt"

const (
	ALPN = "ntske/1" // RFC 8915 section 4
	Port = 4460      // RFC 8915 section 7.1, service name ntske
)

// NTPv4 is the only next protocol with an RFC (section 7.7).
const NTPv4 uint16 = 0

// RecordType is the type of a record, 15 bits wide (RFC 8915 section 7.6).
type RecordType uint16

// The record types. CompliantExporter is chrony's, registered with IANA; it says that both sides put AEAD 30, if they
// agree on it, into the exporter's context as RFC 8915 wants, and not 15 as chrony 4.4 to 4.6 did.
const (
	EndOfMessage      RecordType = 0    // RFC 8915 section 4.1.1
	NextProtocol      RecordType = 1    // section 4.1.2
	ErrorRecord       RecordType = 2    // section 4.1.3
	WarningRecord     RecordType = 3    // section 4.1.4
	AEADAlgorithm     RecordType = 4    // section 4.1.5
	NewCookie         RecordType = 5    // section 4.1.6
	ServerName        RecordType = 6    // section 4.1.7
	ServerPort        RecordType = 7    // section 4.1.8
	CompliantExporter RecordType = 1024 // "Compliant AES-128-GCM-SIV Exporter Context"
)

// ErrorCode is the code of an Error record, RFC 8915 section 4.1.3; it is an error.
type ErrorCode uint16

// The error codes of RFC 8915 section 4.1.3. No warning codes are defined (section 4.1.4).
const (
	ErrorUnrecognized ErrorCode = 0 // a critical record that the server does not know
	ErrorBadRequest   ErrorCode = 1
	ErrorInternal     ErrorCode = 2
)

func (c ErrorCode) Error() string {
	switch c {
	case ErrorUnrecognized:
		return "ntske: error 0 (unrecognized critical record)"
	case ErrorBadRequest:
		return "ntske: error 1 (bad request)"
	case ErrorInternal:
		return "ntske: error 2 (internal server error)"
	}
	return fmt.Sprintf("ntske: error %d", uint16(c))
}

// maxServerLen bounds the name in a Server record: no longer name is in the DNS (RFC 1035 section 2.3.4).
const maxServerLen = 255

// validServer is what chronyd takes as a name: printable, without blanks. It keeps a peer from writing into a log or onto
// a terminal; whether the name exists is the resolver's to say.
func validServer(name []byte) bool {
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return 0 < len(name) && len(name) <= maxServerLen
}
