package keyexchange

import (
	"fmt"
	"io"
	"net/netip"
	"slices"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/ntptsd/ntptsd/protocol/ntske"
)

const (
	cookies     = 8    // RFC 8915 section 4.1.6; old NTPsec clients reject a ninth
	maxResponse = 2047 // NTPsec's clients read into 2048 octets
)

// question is what comes from one connection.
type question struct {
	request  []byte
	from     netip.Addr
	exporter ntske.Exporter // of the session's keys
	nonces   io.Reader      // of the cookies
}

// answer is what the decision says: the response and how to count it.
type answer struct {
	response []byte
	verdict  Verdict
	aead     aead.ID // Served only, as target
	target   *target
}

func failure(v Verdict, code ntske.ErrorCode) answer {
	return answer{response: ntske.AppendError(nil, code), verdict: v}
}

// answer decides about a whole request: RFC 8915 section 4. The error says why error 2 is the answer.
func (s *settings) answer(q question, b *board, rings Rings) (answer, error) {
	r, err := ntske.ParseRequest(q.request)
	if code, bad := err.(ntske.ErrorCode); bad {
		return failure(verdictOf(code), code), nil
	}
	if !slices.Contains(r.Protocols, ntske.NTPv4) {
		return answer{response: (&ntske.Response{}).AppendTo(nil), verdict: NoProtocol}, nil
	}
	response := ntske.Response{Protocols: []uint16{ntske.NTPv4}}
	c, err := b.choose(&r, q.from, rings, s.legacyGCMSIV)
	switch err {
	case nil:
	case errNoAEAD:
		return answer{response: response.AppendTo(nil), verdict: NoAEAD}, nil
	case errNoneFit:
		return failure(NoneFit, ntske.ErrorInternal), err
	default:
		return failure(InternalError, ntske.ErrorInternal), err
	}
	response.AEADs = []aead.ID{c.aead}
	response.Compliant = r.Compliant && c.aead == aead.AES128GCMSIV
	response.Server, response.Port = c.target.server, c.target.port
	response.Cookies, err = mint(q, c, r.Compliant)
	if err != nil {
		return failure(InternalError, ntske.ErrorInternal), err
	}
	m := response.AppendTo(nil)
	if len(m) > maxResponse {
		return failure(InternalError, ntske.ErrorInternal),
			fmt.Errorf("keyexchange: a response of %d octets; shorten the name of the time server", len(m))
	}
	return answer{response: m, verdict: Served, aead: c.aead, target: c.target}, nil
}

// mint exports the session's keys and seals them into cookies of one length, each with a nonce of its own.
func mint(q question, c choice, compliant bool) ([][]byte, error) {
	c2s, s2c, err := ntske.ExportKeys(q.exporter, c.aead, compliant)
	if err != nil {
		return nil, err
	}
	defer clear(c2s)
	defer clear(s2c)
	var session cookie.Session
	defer session.Zero()
	if err := session.Set(c.aead, c2s, s2c); err != nil {
		return nil, err
	}
	nonce := make([]byte, c.keys.NonceLen())
	all := make([][]byte, cookies)
	sealed := make([]byte, 0, cookies*c.keys.CookieLen(c.aead))
	for i := range all {
		if _, err := io.ReadFull(q.nonces, nonce); err != nil {
			return nil, fmt.Errorf("keyexchange: nonce: %w", err)
		}
		from := len(sealed)
		if sealed, err = c.keys.Seal(sealed, nonce, &session); err != nil {
			return nil, err
		}
		all[i] = sealed[from:]
	}
	return all, nil
}
