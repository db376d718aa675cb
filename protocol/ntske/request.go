package ntske

import (
	"encoding/binary"
	"math"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"github.com/ntptsd/ntptsd/protocol/aead"
)

// maxRequest bounds a request, whatever its reader allowed, so that each list in it fits into one record again.
const maxRequest = math.MaxUint16

// Request is a judged request: what the client can. Response is what to answer.
type Request struct {
	Protocols []uint16
	AEADs     []aead.ID // in the client's order of preference
	Compliant bool      // record 1024 was present
	Server    string    // record 6, "" if absent
	Port      uint16    // record 7, 0 if absent
}

// ParseRequest reads a whole message and judges it as RFC 8915 section 4 wants; the error is an ErrorCode. As with
// chronyd the first offending record wins, and what is missing or doubled is judged after all records.
func ParseRequest(b []byte) (Request, error) {
	if len(b) > maxRequest {
		return Request{}, ErrorBadRequest
	}
	var p negotiated
	for r, err := range Records(b) {
		if err != nil {
			return Request{}, ErrorBadRequest
		}
		if err := p.takeRequest(r); err != nil {
			return Request{}, err
		}
	}
	if p.protocols != 1 || p.servers > 1 || p.ports > 1 {
		return Request{}, ErrorBadRequest
	}
	if slices.Contains(p.Protocols, NTPv4) && p.aeads != 1 {
		return Request{}, ErrorBadRequest
	}
	return p.Request, nil
}

// takeRequest judges a record as it comes in a request.
func (n *negotiated) takeRequest(r Record) error {
	switch known, ok := n.take(r); {
	case known && ok:
		if len(r.Body) == 0 && (r.Type == NextProtocol || r.Type == AEADAlgorithm) {
			return ErrorBadRequest // only a server may have nothing in common
		}
		return nil
	case known, r.Type == ErrorRecord, r.Type == WarningRecord, r.Type == NewCookie: // the last three are a server's only
		return ErrorBadRequest
	case r.Critical:
		return ErrorUnrecognized
	}
	return nil
}

// readPort reads a Server Port. Port 0 cannot be asked, so that it is free to mean an absent record.
func readPort(body []byte) (port uint16, ok bool) {
	s := cryptobyte.String(body)
	ok = s.ReadUint16(&port) && s.Empty() && port != 0
	return port, ok
}

// Choose picks the first of the client's AEADs that the server offers. AES-128-GCM-SIV is picked only with record 1024,
// unless legacyGCMSIV: without it a client of chrony 4.4 to 4.6 and one that goes by the RFC export different keys.
func (r *Request) Choose(offered []aead.ID, legacyGCMSIV bool) (id aead.ID, ok bool) {
	for _, id := range r.AEADs {
		if id == aead.AES128GCMSIV && !r.Compliant && !legacyGCMSIV {
			continue
		}
		if slices.Contains(offered, id) {
			return id, true
		}
	}
	return 0, false
}

// AppendTo appends the request as a client sends it, in chronyd's order.
func (r *Request) AppendTo(b []byte) []byte {
	b = appendIDs(b, NextProtocol, r.Protocols...)
	if len(r.AEADs) > 0 {
		b = appendIDs(b, AEADAlgorithm, r.AEADs...)
	}
	if r.Compliant {
		b = Record{Type: CompliantExporter}.AppendTo(b)
	}
	b = appendTarget(b, false, r.Server, r.Port) // clients should not set the critical bit, sections 4.1.7 and 4.1.8
	return appendEnd(b)
}

// appendTarget appends the records that say where time is served, in chronyd's order.
func appendTarget(b []byte, critical bool, server string, port uint16) []byte {
	if port != 0 {
		body := binary.BigEndian.AppendUint16(nil, port)
		b = Record{Critical: critical, Type: ServerPort, Body: body}.AppendTo(b)
	}
	if server != "" {
		b = Record{Critical: critical, Type: ServerName, Body: []byte(server)}.AppendTo(b)
	}
	return b
}
