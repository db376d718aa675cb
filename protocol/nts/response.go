package nts

import (
	"encoding/binary"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// authenticatorHeaderLen counts the field's header and the two lengths.
const authenticatorHeaderLen = ntp.FieldHeaderLen + 4

// AppendUniqueID appends a client's unique identifier, to the answer too, even if that is a NAK.
func AppendUniqueID(b, id []byte) []byte {
	return ntp.AppendField(b, TypeUniqueID, id)
}

// AppendNAK appends a whole packet that tells the client to fetch new cookies: the header of its ordinary answer
// made a kiss, and its unique identifier. RFC 8915 section 5.7; not authenticated, as there is no key.
func AppendNAK(b []byte, answer ntp.Header, id []byte) []byte {
	answer.SetKiss(ntp.KissNTSN)
	return AppendUniqueID(answer.AppendTo(b), id)
}

// AppendAuthenticator appends the authenticator over all of packet, which begins with the header, and the sealed
// plaintext. A result shorter than padTo, rounded down to a multiple of 4, is padded to it: both directions then
// take equally long. One that is longer stays so, and the sender has to refuse it.
func AppendAuthenticator(packet []byte, key *aead.AEAD, nonce, plaintext []byte, padTo int) []byte {
	start := len(packet)
	packet = binary.BigEndian.AppendUint16(packet, TypeAuthenticator)
	packet = append(packet, 0, 0) // length: known at the end
	packet = binary.BigEndian.AppendUint16(packet, uint16(len(nonce)))
	packet = append(packet, 0, 0) // length of the ciphertext
	packet = append(packet, nonce...)
	packet = appendZeros(packet, padded(len(nonce))-len(nonce))

	before := len(packet)
	packet = key.Seal(packet, nonce, plaintext, packet[:start])
	sealed := len(packet) - before
	binary.BigEndian.PutUint16(packet[start+6:], uint16(sealed))
	packet = appendZeros(packet, padded(sealed)-sealed)

	packet = appendZeros(packet, padTo&^3-len(packet))
	binary.BigEndian.PutUint16(packet[start+2:], uint16(len(packet)-start))
	return packet
}

// appendZeros appends n zeros, none if n is negative.
func appendZeros(b []byte, n int) []byte {
	return append(b, make([]byte, max(n, 0))...)
}

// Response is the NTS part of a server's packet.
type Response struct {
	UniqueID []byte   // aliases the packet. The caller compares it with the one it sent
	Cookies  [][]byte // at most MaxCookies
	NAK      bool     // kiss code NTSN: the cookie was of no use. Not authenticated
}

// ParseResponse reads a whole packet of a server and opens its authenticator under the server's key. Unless NAK is
// set, a response without error is authentic. Cookies outside the ciphertext do not count: RFC 8915 section 5.7.
func ParseResponse(packet []byte, s2c *aead.AEAD) (Response, error) {
	s, err := scan(packet, ntp.ModeServer)
	if err != nil {
		return Response{}, err
	}
	if s.uniqueID == nil {
		return Response{}, ErrNoUniqueID
	}
	if s.signed == nil {
		return parseNAK(packet, s.uniqueID)
	}
	plaintext, err := s2c.Open(nil, s.nonce, s.ciphertext, s.signed)
	if err != nil {
		return Response{}, ErrOpen
	}
	r := Response{UniqueID: s.uniqueID}
	for len(plaintext) > 0 {
		var f ntp.Field
		if f, plaintext, err = ntp.NextField(plaintext); err != nil {
			return Response{}, ErrPlaintext
		}
		if f.Type == TypeCookie && len(r.Cookies) < MaxCookies {
			r.Cookies = append(r.Cookies, f.Body)
		}
	}
	return r, nil
}

// parseNAK reads an answer without an authenticator, of which there is one legal kind.
func parseNAK(packet, id []byte) (Response, error) {
	h, err := ntp.ParseHeader(packet)
	if err != nil {
		return Response{}, err
	}
	if h.Kiss() != ntp.KissNTSN {
		return Response{}, ErrNoAuthenticator
	}
	return Response{UniqueID: id, NAK: true}, nil
}
