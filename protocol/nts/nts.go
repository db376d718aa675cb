// Package nts reads and writes the NTS part of an NTP packet: unique identifier, cookie, placeholders and the
// authenticator with its encrypted fields (RFC 8915 section 5). What a cookie holds, which key it yields and
// whether to answer are left to others: a cookie is opaque here.
package nts

import (
	"errors"

	"github.com/ntptsd/ntptsd/protocol/ntp"
	"golang.org/x/crypto/cryptobyte"
)

// Types of extension fields, RFC 8915 section 7.
const (
	TypeUniqueID      = 0x0104
	TypeCookie        = 0x0204
	TypePlaceholder   = 0x0304
	TypeAuthenticator = 0x0404
)

const (
	// MaxCookies bounds what one request can make us seal, and a response make us keep: RFC 8915 section 5.7
	// advises clients to hold eight.
	MaxCookies = 8

	// UniqueIDLen is what a client sends, RFC 8915 section 5.3. Servers take 16 too, as chrony and NTPsec do.
	UniqueIDLen    = 32
	MinUniqueIDLen = 16
	MaxUniqueIDLen = 1024 // bounds what is copied for a stranger whose cookie was not looked at
)

// One error for each rule broken, so that they can be counted by reason. Errors of framing are package ntp's.
var (
	ErrNoNTS              = errors.New("nts: packet without NTS fields")
	ErrVersion            = errors.New("nts: packet is not version 4")
	ErrMode               = errors.New("nts: packet of the wrong mode")
	ErrMAC                = errors.New("nts: packet with a symmetric-key MAC")
	ErrRepeated           = errors.New("nts: field that may occur once occurs again")
	ErrNoUniqueID         = errors.New("nts: no unique identifier")
	ErrUniqueIDLen        = errors.New("nts: unique identifier too short or too long")
	ErrNoCookie           = errors.New("nts: no cookie")
	ErrPlaceholderLen     = errors.New("nts: placeholder not as long as the cookie")
	ErrNoAuthenticator    = errors.New("nts: no authenticator")
	ErrAuthenticator      = errors.New("nts: nonce and ciphertext do not fit into the authenticator")
	ErrNoNonce            = errors.New("nts: empty nonce")
	ErrNonceRoom          = errors.New("nts: no room for the server's nonce")
	ErrAfterAuthenticator = errors.New("nts: field after the authenticator")
	ErrOpen               = errors.New("nts: authenticator does not open with this key")
	ErrPlaintext          = errors.New("nts: encrypted octets are not extension fields")
)

// fields are the NTS fields of a packet of either direction: syntax only. They alias the packet.
type fields struct {
	uniqueID, cookie []byte
	placeholder      []byte // one of them; all have its length
	placeholders     int
	authenticator
}

// scan cuts a whole packet. Fields it does not know are passed over, unless they stand where nothing may.
func scan(packet []byte, mode ntp.Mode) (fields, error) {
	p, err := ntp.Parse(packet)
	switch {
	case err != nil:
		return fields{}, err
	case p.Version != 4:
		return fields{}, ErrVersion
	case p.Mode != mode:
		return fields{}, ErrMode
	case len(p.MAC) != 0:
		return fields{}, ErrMAC
	}
	var s fields
	for rest := p.Fields; len(rest) > 0; {
		before := packet[:len(packet)-len(rest)]
		var f ntp.Field
		if f, rest, err = ntp.NextField(rest); err != nil {
			return fields{}, err
		}
		if err := s.take(f, before); err != nil {
			return fields{}, err
		}
	}
	return s, nil
}

// take files one field; before is the packet up to it. Octets after the authenticator are not authenticated:
// RFC 8915 section 5.6 would have us process the packet without them, but no client sends any, and
// chrony and NTPsec drop the packet too.
func (s *fields) take(f ntp.Field, before []byte) error {
	if s.signed != nil {
		return ErrAfterAuthenticator
	}
	switch f.Type {
	case TypeUniqueID:
		if len(f.Body) < MinUniqueIDLen || len(f.Body) > MaxUniqueIDLen {
			return ErrUniqueIDLen
		}
		return once(&s.uniqueID, f.Body)
	case TypeCookie:
		return once(&s.cookie, f.Body)
	case TypePlaceholder:
		if s.placeholder != nil && len(f.Body) != len(s.placeholder) {
			return ErrPlaceholderLen
		}
		s.placeholder = f.Body
		s.placeholders++
	case TypeAuthenticator:
		s.signed = before
		return s.read(f.Body)
	}
	return nil
}

func once(field *[]byte, body []byte) error {
	if *field != nil {
		return ErrRepeated
	}
	*field = body
	return nil
}

// authenticator is field 0x0404, RFC 8915 section 5.6:
//
//	0  length of nonce | length of ciphertext, both without padding
//	4  nonce, ciphertext, each zero-padded to a multiple of 4
//	   additional padding
type authenticator struct {
	nonce, ciphertext []byte
	room              int    // octets a server's nonce may take: padded nonce and additional padding
	signed            []byte // the packet up to this field: the associated data
}

// read takes the body of the field. Padding is not authenticated, so what it holds is not looked at.
func (a *authenticator) read(body cryptobyte.String) error {
	var nonceLen, ciphertextLen uint16
	if !body.ReadUint16(&nonceLen) || !body.ReadUint16(&ciphertextLen) ||
		!readPadded(&body, &a.nonce, int(nonceLen)) || !readPadded(&body, &a.ciphertext, int(ciphertextLen)) {
		return ErrAuthenticator
	}
	if nonceLen == 0 {
		return ErrNoNonce
	}
	a.room = padded(int(nonceLen)) + len(body)
	return nil
}

func readPadded(s *cryptobyte.String, out *[]byte, n int) bool {
	if !s.ReadBytes(out, padded(n)) {
		return false
	}
	*out = (*out)[:n:n]
	return true
}

// padded rounds n up to a multiple of 4.
func padded(n int) int { return (n + 3) &^ 3 }
