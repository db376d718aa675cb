package ntske

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"github.com/ntptsd/ntptsd/protocol/aead"
)

// Bounds on a response that a client accepts.
const (
	MaxResponse  = 65536 // octets; a client should take as many, RFC 8915 section 4
	MaxCookies   = 8     // further ones are ignored, as by chronyd and NTPsec
	maxCookieLen = 256   // chronyd takes no longer ones
)

var (
	// ErrResponse is the sentinel of a response that breaks a rule; the text says which.
	ErrResponse = errors.New("ntske: unusable response")
	// ErrNoProtocol tells that the server has no next protocol in common with the client.
	ErrNoProtocol = errors.New("ntske: server does not offer NTPv4")
	// ErrNoAEAD tells that the server has no AEAD in common with the client.
	ErrNoAEAD = errors.New("ntske: server offers none of the client's AEADs")
)

// Response is a server's answer. What an answer without agreement or with an error does not have is not appended.
type Response struct {
	Protocols []uint16  // empty: no protocol in common (then no AEAD record)
	AEADs     []aead.ID // empty: no AEAD in common (then no cookies)
	Compliant bool      // echo record 1024
	Server    string    // where time is served, if not where keys are; NTPsec's client takes up to 99 octets
	Port      uint16    // the port there, if not 123
	Cookies   [][]byte
	Error     *ErrorCode
	Warning   *uint16
}

// AppendTo appends the response in chronyd's order. The Server and Port records are critical, as chronyd's are and RFC 8915
// allows: clients of chrony, NTPsec and ntpd-rs know them, and any that does not would ask the wrong server for ever.
func (r *Response) AppendTo(b []byte) []byte {
	if r.Error != nil {
		return AppendError(b, *r.Error)
	}
	b = appendIDs(b, NextProtocol, r.Protocols...)
	if len(r.Protocols) > 0 {
		b = appendIDs(b, AEADAlgorithm, r.AEADs...)
	}
	if len(r.Protocols) > 0 && len(r.AEADs) > 0 {
		if r.Compliant {
			b = Record{Type: CompliantExporter}.AppendTo(b)
		}
		b = appendTarget(b, true, r.Server, r.Port)
		for _, c := range r.Cookies {
			b = Record{Type: NewCookie, Body: c}.AppendTo(b)
		}
	}
	if r.Warning != nil {
		b = appendIDs(b, WarningRecord, *r.Warning)
	}
	return appendEnd(b)
}

// AppendError appends the 10 octets of an error response.
func AppendError(b []byte, c ErrorCode) []byte { return appendEnd(appendIDs(b, ErrorRecord, c)) }

// responseParser adds what a server only says.
type responseParser struct {
	negotiated
	cookies [][]byte
	failed  *ErrorCode
	warning *uint16
}

func (p *responseParser) response() Response {
	return Response{
		Protocols: p.Protocols, AEADs: p.AEADs, Compliant: p.Compliant, Server: p.Server, Port: p.Port,
		Cookies: p.cookies, Error: p.failed, Warning: p.warning,
	}
}

// ParseResponse reads a whole response as a client. With a nil error it has NTPv4, one AEAD and cookies (aliasing b); that
// the AEAD was asked for is for the caller to check. An Error record is returned as an ErrorCode.
func ParseResponse(b []byte) (Response, error) {
	if len(b) > MaxResponse {
		return Response{}, ErrTooLong
	}
	var p responseParser
	for r, err := range Records(b) {
		if err == nil {
			err = p.takeResponse(r)
		}
		if err != nil {
			return p.response(), err
		}
	}
	return p.response(), p.judge()
}

func (p *responseParser) takeResponse(r Record) error {
	known, ok := p.take(r)
	switch {
	case known:
	case r.Type == ErrorRecord:
		return p.takeError(r)
	case r.Type == WarningRecord:
		return p.takeWarning(r)
	case r.Type == NewCookie:
		ok = 0 < len(r.Body) && len(r.Body) <= maxCookieLen && len(r.Body)%4 == 0
		if len(p.cookies) < MaxCookies {
			p.cookies = append(p.cookies, r.Body)
		}
	default:
		ok = !r.Critical
	}
	if !ok {
		return fmt.Errorf("%w: record %d (critical %v, %d octets) is malformed or unknown", ErrResponse, r.Type, r.Critical, len(r.Body))
	}
	return nil
}

func (p *responseParser) takeError(r Record) error {
	s := cryptobyte.String(r.Body)
	var code uint16
	if !s.ReadUint16(&code) || !s.Empty() {
		return fmt.Errorf("%w: error record of %d octets", ErrResponse, len(r.Body))
	}
	c := ErrorCode(code)
	p.failed = &c
	return c
}

// takeWarning fails: no warning is defined, and an unknown one is an error (RFC 8915 section 4.1.4).
func (p *responseParser) takeWarning(r Record) error {
	s := cryptobyte.String(r.Body)
	var code uint16
	if !s.ReadUint16(&code) || !s.Empty() {
		return fmt.Errorf("%w: warning record of %d octets", ErrResponse, len(r.Body))
	}
	p.warning = &code
	return fmt.Errorf("%w: unknown warning %d", ErrResponse, code)
}

// judge looks at what is missing, doubled, or not agreed upon.
func (p *responseParser) judge() error {
	switch {
	case p.protocols != 1 || p.aeads > 1 || p.servers > 1 || p.ports > 1:
		return fmt.Errorf("%w: record missing or doubled", ErrResponse)
	case len(p.Protocols) == 0:
		return ErrNoProtocol
	case !slices.Equal(p.Protocols, []uint16{NTPv4}):
		return fmt.Errorf("%w: next protocols %d instead of NTPv4 alone", ErrResponse, p.Protocols)
	case p.aeads == 0:
		return fmt.Errorf("%w: no AEAD record", ErrResponse)
	case len(p.AEADs) == 0:
		return ErrNoAEAD
	case len(p.AEADs) > 1:
		return fmt.Errorf("%w: %d AEADs instead of one", ErrResponse, len(p.AEADs))
	case len(p.cookies) == 0:
		return fmt.Errorf("%w: no cookies", ErrResponse)
	}
	return nil
}
