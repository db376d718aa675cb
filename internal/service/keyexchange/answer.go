package keyexchange

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/ntptsd/ntptsd/protocol/ntske"
)

const (
	cookies     = 8    // RFC 8915 section 4.1.6; old NTPsec clients reject a ninth
	maxResponse = 2047 // NTPsec's clients read into 2048 octets
)

// answer is what the decision says: the response and how to count it.
type answer struct {
	response []byte
	verdict  Verdict
	aead     aead.ID // Served only
}

func failure(v Verdict, code ntske.ErrorCode) answer {
	return answer{response: ntske.AppendError(nil, code), verdict: v}
}

// answer decides about a whole request: RFC 8915 section 4. The session's keys come from exporter, the nonces of the
// cookies from nonces; keys may be nil. The error says why an InternalError is one.
func (s *settings) answer(request []byte, exporter ntske.Exporter, keys *keyring.KeySet, nonces io.Reader) (answer, error) {
	r, err := ntske.ParseRequest(request)
	if code, bad := err.(ntske.ErrorCode); bad {
		return failure(verdictOf(code), code), nil
	}
	if !slices.Contains(r.Protocols, ntske.NTPv4) {
		return answer{response: (&ntske.Response{}).AppendTo(nil), verdict: NoProtocol}, nil
	}
	response := ntske.Response{Protocols: []uint16{ntske.NTPv4}}
	id, ok := r.Choose(s.offered(keys), s.legacyGCMSIV)
	if !ok && keys != nil {
		return answer{response: response.AppendTo(nil), verdict: NoAEAD}, nil
	}
	response.AEADs = []aead.ID{id}
	response.Compliant = r.Compliant && id == aead.AES128GCMSIV
	response.Server, response.Port = s.server, s.port
	response.Cookies, err = mint(exporter, keys, nonces, id, r.Compliant)
	if err != nil {
		return failure(InternalError, ntske.ErrorInternal), err
	}
	b := response.AppendTo(nil)
	if len(b) > maxResponse {
		return failure(InternalError, ntske.ErrorInternal), fmt.Errorf("keyexchange: a response of %d octets; shorten keyexchange.ntp-server", len(b))
	}
	return answer{response: b, verdict: Served, aead: id}, nil
}

// offered are the AEADs whose sessions the ring's cookies can carry.
func (s *settings) offered(keys *keyring.KeySet) []aead.ID {
	if keys == nil {
		return nil
	}
	offered := make([]aead.ID, 0, len(everyAEAD))
	for _, id := range s.aeads {
		if keys.Carries(id) {
			offered = append(offered, id)
		}
	}
	return offered
}

// mint exports the session's keys and seals them into cookies of one length, each with a nonce of its own.
func mint(exporter ntske.Exporter, keys *keyring.KeySet, nonces io.Reader, id aead.ID, compliant bool) ([][]byte, error) {
	if keys == nil {
		return nil, errors.New("keyexchange: there is no cookie key")
	}
	c2s, s2c, err := ntske.ExportKeys(exporter, id, compliant)
	if err != nil {
		return nil, err
	}
	defer clear(c2s)
	defer clear(s2c)
	var session cookie.Session
	defer session.Zero()
	if err := session.Set(id, c2s, s2c); err != nil {
		return nil, err
	}
	nonce := make([]byte, keys.NonceLen())
	all := make([][]byte, cookies)
	sealed := make([]byte, 0, cookies*keys.CookieLen(id))
	for i := range all {
		if _, err := io.ReadFull(nonces, nonce); err != nil {
			return nil, fmt.Errorf("keyexchange: nonce: %w", err)
		}
		from := len(sealed)
		if sealed, err = keys.Seal(sealed, nonce, &session); err != nil {
			return nil, err
		}
		all[i] = sealed[from:]
	}
	return all, nil
}
