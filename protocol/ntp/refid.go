package ntp

import (
	"bytes"
	"net/netip"
)

// ReferenceID is four octets: ASCII at stratum 0 (kiss code) and 1, an address from 2 on (RFC 5905 section 7.3).
type ReferenceID [4]byte

// Text shows what r says at this stratum. What is not ASCII where it should be is shown as an address.
func (r ReferenceID) Text(stratum uint8) string {
	if stratum <= 1 {
		if code := r.ascii(); code != "" {
			return code
		}
	}
	return netip.AddrFrom4(r).String()
}

// ascii gives the code without its zero filling, or "" if any octet could upset a terminal.
func (r ReferenceID) ascii() string {
	code := bytes.TrimRight(r[:], "\x00")
	for _, c := range code {
		if c < ' ' || c > '~' {
			return ""
		}
	}
	return string(code)
}

// Kiss is the code of a kiss-o'-death, RFC 5905 section 7.4: the reference id of an answer at stratum 0.
type Kiss string

const (
	KissDeny Kiss = "DENY" // access refused: stop asking
	KissRstr Kiss = "RSTR" // access refused by policy: stop asking
	KissRate Kiss = "RATE" // asked too often
	KissInit Kiss = "INIT" // not synchronised since the start
	KissStep Kiss = "STEP" // the clock was stepped and is not yet synchronised again
	KissNTSN Kiss = "NTSN" // NTS NAK: the cookie was of no use, RFC 8915 section 5.7
)

// Kiss gives the kiss code of h: "" if its stratum is not 0 or the reference id is no code.
func (h Header) Kiss() Kiss {
	if h.Stratum != 0 {
		return ""
	}
	return Kiss(h.ReferenceID.ascii())
}

// SetKiss turns an answer's header into a kiss. The rest stays as in any answer, the timestamps too.
func (h *Header) SetKiss(k Kiss) {
	h.Leap, h.Stratum, h.ReferenceID = LeapUnknown, 0, ReferenceID{}
	copy(h.ReferenceID[:], k)
}
