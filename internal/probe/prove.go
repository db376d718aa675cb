package probe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// Sealer makes the cookies that a time server should be able to open: a key of its ring, or the ring's set.
type Sealer interface {
	NonceLen() int
	Seal(dst, nonce []byte, session *cookie.Session) ([]byte, error)
}

// Prove asks the time server at HOST:PORT with cookies that were made for this one question, and so tells whether it knows
// the key of s: nil only if an answer to this very request opened under a session key that nothing but the cookie carried
// there. A kiss code in such an answer (INIT of a server that has just started) proves the key as well, and leaves the
// Exchange unsynchronised. ErrNAK: it does not know the key. ErrNoAnswer: nothing came; syscall.ECONNREFUSED beside it: the
// port is shut. The texts tell what to look at.
func Prove(ctx context.Context, server string, s Sealer, session aead.ID) (Exchange, error) {
	host, number, err := net.SplitHostPort(server)
	if err != nil {
		return Exchange{}, fmt.Errorf("probe: the time server must be HOST:PORT: %w", err)
	}
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return Exchange{}, fmt.Errorf("probe: the time server must be HOST:PORT, not %q", server)
	}
	addr, err := resolve(ctx, host, uint16(port))
	if err != nil {
		return Exchange{}, fmt.Errorf("probe: the name of the time server: %w", err)
	}
	own, err := mint(s, session)
	if err != nil {
		return Exchange{}, err
	}
	conn, done, err := dialTime(ctx, addr)
	if err != nil {
		return Exchange{}, explain(err)
	}
	defer done()
	e, err := exchange(ctx, conn, own, 0)
	e.Cookie = "minted"
	if e.Authenticated && errors.Is(err, ErrKiss) {
		return e, nil
	}
	return e, explain(err)
}

// mint makes a session of random keys, with a cookie for each attempt.
func mint(s Sealer, id aead.ID) (*session, error) {
	if !id.Known() {
		return nil, fmt.Errorf("probe: no cookie for a session of %v", id)
	}
	var keys [2 * aead.MaxKeyLen]byte
	defer clear(keys[:])
	rand.Read(keys[:])
	c2s, s2c := keys[:id.KeyLen()], keys[aead.MaxKeyLen:][:id.KeyLen()]
	var inside cookie.Session
	defer inside.Zero()
	err := inside.Set(id, c2s, s2c)
	if err != nil {
		return nil, err
	}
	own := &session{}
	if own.c2s, err = aead.New(id, c2s); err != nil {
		return nil, err
	}
	if own.s2c, err = aead.New(id, s2c); err != nil {
		return nil, err
	}
	nonce := make([]byte, s.NonceLen())
	for range attempts {
		rand.Read(nonce)
		c, err := s.Seal(nil, nonce, &inside)
		if err != nil {
			return nil, fmt.Errorf("probe: no cookie for a session of %v: %w", id, err)
		}
		own.initial = append(own.initial, c)
	}
	return own, nil
}

// unproved is why a key was not proved, in words for whoever runs the time server.
type unproved struct {
	error // what to branch on
	text  string
}

func (u unproved) Error() string { return u.text }
func (u unproved) Unwrap() error { return u.error }

func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNAK):
		return unproved{err, "probe: the time server does not know the key (NTS NAK): has it read its key file since that was written, and is it the file that we write?"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return unproved{err, "probe: connection refused: nothing serves time on that port: " +
			"chronyd opens it only with a line such as \"allow 127.0.0.1\" and a port that is not 0; does the daemon run?"}
	case errors.Is(err, ErrNoAnswer):
		return unproved{err, "probe: no answer: the time server must let us in (allow of chronyd, restrict of ntpd, firewall) " +
			"and have NTS switched on; NTPsec is silent, too, when it does not know the key"}
	}
	return unproved{err, fmt.Sprintf("probe: the time server cannot be asked: %v; look at routes and firewall", err)}
}
