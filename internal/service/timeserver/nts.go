package timeserver

import (
	"errors"

	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/protocol/ntp"
	"github.com/ntptsd/ntptsd/protocol/nts"
)

// authenticatorLen is what an authenticator needs beside nonce and ciphertext: its header and two lengths, RFC 8915
// section 5.6.
const authenticatorLen = ntp.FieldHeaderLen + 4

// errUnusable is why a client has to fetch new cookies.
var errUnusable = errors.New("timeserver: cookie or authenticator does not open")

// answerNTS answers a request with a cookie. All that takes long is done before the header and its timestamp are made;
// only the authenticator, which covers them, comes after.
func (r *Responder) answerNTS(reply []byte, q *question, n *nts.Request) ([]byte, Verdict) {
	keys, revoked := r.ringOf(n.Cookie)
	cookies, err := r.open(keys, n)
	switch {
	case err == nil:
	case !errors.Is(err, errUnusable):
		return reply, Malformed
	case q.excess: // a limit and a bad cookie together deserve nothing
		return reply, RateLimited
	case revoked != nil && !revoked.Allow(r.now()):
		return reply, NAKWithheld // the client asks again, and finds a share left sooner or later
	default:
		return nts.AppendNAK(reply, r.header(q), n.UniqueID), AnsweredNAK
	}
	if r.s2c.SetKey(r.session.AEAD(), r.session.S2C()) != nil {
		return reply, Malformed // cannot be: open has set the other key
	}
	cookies = min(cookies, r.fitting(keys, q, n))
	// The nonces are taken at once: the answer's, then one for each cookie.
	nonceLen := r.s2c.NonceSize()
	random := r.random(nonceLen + cookies*keys.NonceLen())
	fields := r.mint(keys, random[nonceLen:], cookies)

	reply = r.header(q).AppendTo(reply)
	reply = nts.AppendUniqueID(reply, n.UniqueID)
	return nts.AppendAuthenticator(reply, &r.s2c, random[:nonceLen], fields, len(q.packet)), AnsweredNTS
}

// ringOf opens the cookie with the keys of the ring that knows it, which mint the fresh ones, too; nil if none does, and
// perhaps the revocation of its key. It counts the cookie by the age of the key.
func (r *Responder) ringOf(cookie []byte) (keys *keyring.KeySet, revoked *keyring.Revoked) {
	for _, ring := range r.rings {
		keys := ring.KeySet()
		rotations, err := keys.OpenAged(&r.session, cookie)
		if err == nil {
			r.ages[ageOf(rotations)]++
			return keys, nil
		}
		if k, ok := err.(*keyring.Revoked); ok { // as it is: no time for a search in the hot path
			revoked = k
		}
	}
	if revoked != nil {
		r.ages[ageRevoked]++
	} else {
		r.ages[ageUnknown]++
	}
	return nil, revoked
}

// open opens the authenticator with the key from the cookie; it returns how many cookies are asked for.
func (r *Responder) open(keys *keyring.KeySet, n *nts.Request) (cookies int, err error) {
	if keys == nil || r.c2s.SetKey(r.session.AEAD(), r.session.C2S()) != nil {
		return 0, errUnusable
	}
	cookies, err = n.Verify(&r.c2s, r.opened[:])
	if errors.Is(err, nts.ErrOpen) {
		return 0, errUnusable
	}
	return cookies, err
}

// fitting is how many cookies the answer has room for: as many as were asked for, unless new keys make longer ones.
func (r *Responder) fitting(keys *keyring.KeySet, q *question, n *nts.Request) int {
	each := keys.CookieLen(r.session.AEAD())
	if each == 0 {
		return 0 // the ring has another dialect now, which cannot carry this session
	}
	room := len(q.packet) - ntp.HeaderLen - ntp.FieldHeaderLen - len(n.UniqueID) -
		authenticatorLen - padded(r.s2c.NonceSize()) - padded(r.s2c.Overhead())
	return max(room, 0) / (ntp.FieldHeaderLen + padded(each))
}

// mint makes the fields with fresh cookies, each under its own part of nonces.
func (r *Responder) mint(keys *keyring.KeySet, nonces []byte, cookies int) (fields []byte) {
	fields = r.fields[:0]
	n := keys.NonceLen()
	for i := range cookies {
		sealed, err := keys.Seal(r.sealed[:0], nonces[i*n:(i+1)*n], &r.session)
		if err != nil {
			break // cannot be: CookieLen has told that it works
		}
		fields = ntp.AppendField(fields, nts.TypeCookie, sealed)
		r.cookies++
	}
	return fields
}

// padded rounds n up to a multiple of 4.
func padded(n int) int { return (n + 3) &^ 3 }
