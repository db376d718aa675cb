package nts

import (
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// Request is the NTS part of a client's packet: syntax only. It aliases the packet.
// If Cookie is nil, UniqueID is all there is: a plain request whose answer echoes it (RFC 8915 section 5.3).
type Request struct {
	UniqueID     []byte
	Cookie       []byte
	Placeholders int // outside the ciphertext, all as long as Cookie
	Nonce        []byte
	Ciphertext   []byte

	auth authenticator
}

// ParseRequest reads a whole version 4 packet of a client, RFC 8915 section 5.7. ErrNoNTS: no NTS field at all,
// and no MAC either.
func ParseRequest(packet []byte) (Request, error) {
	s, err := scan(packet, ntp.ModeClient)
	if err != nil {
		return Request{}, err
	}
	plain := s.cookie == nil && s.placeholder == nil && s.signed == nil
	switch {
	case plain && s.uniqueID == nil:
		return Request{}, ErrNoNTS
	case s.uniqueID == nil:
		return Request{}, ErrNoUniqueID
	case plain:
		return Request{UniqueID: s.uniqueID}, nil
	case s.cookie == nil:
		return Request{}, ErrNoCookie
	case s.placeholder != nil && len(s.placeholder) != len(s.cookie):
		return Request{}, ErrPlaceholderLen
	case s.signed == nil:
		return Request{}, ErrNoAuthenticator
	}
	return Request{
		UniqueID:     s.uniqueID,
		Cookie:       s.cookie,
		Placeholders: s.placeholders,
		Nonce:        s.nonce,
		Ciphertext:   s.ciphertext,
		auth:         s.authenticator,
	}, nil
}

// Verify opens the authenticator under the client's key, and returns how many cookies to give: one, and one for
// each placeholder outside and inside the ciphertext, at most MaxCookies. Only ErrOpen deserves a NAK. It allocates
// no more than c2s.Open if scratch, which it overwrites, has room for the plaintext: ntp.MaxPacket octets do.
func (r *Request) Verify(c2s *aead.AEAD, scratch []byte) (cookies int, err error) {
	if r.auth.room < padded(c2s.NonceSize()) {
		return 0, ErrNonceRoom
	}
	plaintext, err := c2s.Open(scratch[:0], r.Nonce, r.Ciphertext, r.auth.signed)
	if err != nil {
		return 0, ErrOpen
	}
	cookies = 1 + r.Placeholders
	for len(plaintext) > 0 {
		var f ntp.Field
		if f, plaintext, err = ntp.NextField(plaintext); err != nil {
			return 0, ErrPlaintext
		}
		if f.Type != TypePlaceholder {
			continue
		}
		if len(f.Body) != len(r.Cookie) {
			return 0, ErrPlaceholderLen
		}
		cookies++
	}
	return min(cookies, MaxCookies), nil
}

// AppendRequest appends to a client's header what asks for 1 + placeholders cookies. The result is a whole packet.
// The cookie has a multiple of 4 octets: a field cannot tell a cookie from its padding.
func AppendRequest(header []byte, uniqueID, cookie []byte, placeholders int, c2s *aead.AEAD, nonce []byte) []byte {
	packet := AppendUniqueID(header, uniqueID)
	packet = ntp.AppendField(packet, TypeCookie, cookie)
	for range placeholders {
		packet = ntp.AppendField(packet, TypePlaceholder, make([]byte, len(cookie)))
	}
	// A nonce shorter than the server's own is made up for, or the answer would not fit: RFC 8915 section 5.6.
	whole := len(packet) + authenticatorHeaderLen + padded(c2s.NonceSize()) + padded(c2s.Overhead())
	return AppendAuthenticator(packet, c2s, nonce, nil, whole)
}
