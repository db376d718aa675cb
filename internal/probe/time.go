package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/ntptsd/ntptsd/protocol/ntp"
	"github.com/ntptsd/ntptsd/protocol/nts"
)

const (
	uniqueIDLen  = 32   // RFC 8915 section 5.3
	maxDatagram  = 2048 // an answer is no longer than our request, which is far below
	placeholders = 2    // asked for with each request: shows that the refill works, and the packet stays small
)

// exchange does one time exchange, with up to three attempts. The first one spends a cookie of the key exchange,
// later ones those that the time server returned.
func exchange(ctx context.Context, conn *net.UDPConn, s *session, n int) (Exchange, error) {
	var lastErr error
	for attempt := 1; attempt <= attempts; attempt++ {
		e, err := tryExchange(conn, s, n)
		e.Attempts = attempt
		switch {
		case err == nil:
			return e, nil
		case ctx.Err() != nil:
			return e, fmt.Errorf("%w (%w)", ErrNoAnswer, context.Cause(ctx))
		case errors.Is(err, os.ErrDeadlineExceeded):
			lastErr = ErrNoAnswer
		case errors.Is(err, syscall.ECONNREFUSED):
			lastErr = fmt.Errorf("%w (%w)", ErrNoAnswer, syscall.ECONNREFUSED)
		default:
			return e, err
		}
	}
	return Exchange{}, lastErr
}

func tryExchange(conn *net.UDPConn, s *session, n int) (Exchange, error) {
	q, err := newQuery(s, n)
	if err != nil {
		return Exchange{}, err
	}
	sent := time.Now()
	if _, err := conn.Write(q.packet); err != nil {
		return Exchange{}, err
	}
	if err := conn.SetReadDeadline(sent.Add(attemptTimeout)); err != nil {
		return Exchange{}, err
	}
	buf := make([]byte, maxDatagram)
	for {
		size, err := conn.Read(buf)
		if err != nil {
			return Exchange{}, err
		}
		received := sent.Add(time.Since(sent)) // the wall clock may be stepped in between; the monotonic one is not
		e, ok, err := q.answer(buf[:size], s, sent, received)
		if ok || err != nil {
			return e, err
		}
	}
}

// query is a request under way.
type query struct {
	packet   []byte
	transmit ntp.Timestamp // random: our clock is nobody's business
	uniqueID []byte
	asked    int
	source   string
}

func newQuery(s *session, n int) (query, error) {
	var random [8 + uniqueIDLen + 16]byte
	rand.Read(random[:])
	q := query{transmit: ntp.Timestamp(binary.BigEndian.Uint64(random[:8])), uniqueID: slices.Clone(random[8 : 8+uniqueIDLen])}
	header := ntp.Header{Version: 4, Mode: ntp.ModeClient, Transmit: q.transmit}.AppendTo(nil)
	if s == nil {
		q.packet = header
		return q, nil
	}
	cookie, source, err := s.take(n)
	if err != nil {
		return q, err
	}
	q.source, q.asked = source, 1+placeholders
	nonce := random[8+uniqueIDLen:][:s.c2s.NonceSize()]
	q.packet = nts.AppendRequest(header, q.uniqueID, cookie, placeholders, s.c2s, nonce)
	return q, nil
}

// take spends a cookie: never the same one twice, RFC 8915 section 5.7.
func (s *session) take(n int) (cookie []byte, source string, err error) {
	if n > 0 {
		if len(s.returned) == 0 {
			return nil, "", s.outOfCookies()
		}
		cookie, s.returned = s.returned[0], s.returned[1:]
		return cookie, "time server", nil
	}
	if len(s.initial) == 0 {
		return nil, "", ErrNoAnswer
	}
	cookie, s.initial = s.initial[0], s.initial[1:]
	return cookie, "key exchange", nil
}

func (s *session) outOfCookies() error {
	if s.refilled {
		return ErrNoAnswer
	}
	return ErrNoRefill
}

// answer judges one datagram; ok is false for what is not the answer to this query.
func (q *query) answer(b []byte, s *session, sent, received time.Time) (e Exchange, ok bool, err error) {
	h, err := ntp.ParseHeader(b)
	if err != nil || h.Mode != ntp.ModeServer || h.Origin != q.transmit {
		return e, false, nil
	}
	if s != nil {
		resp, err := nts.ParseResponse(b, s.s2c)
		if err != nil || !bytes.Equal(resp.UniqueID, q.uniqueID) {
			return e, false, nil // RFC 8915 section 5.7: as if it had not come
		}
		if resp.NAK {
			return e, false, ErrNAK
		}
		e.Authenticated, e.Cookie, e.Asked, e.Refill = true, q.source, q.asked, len(resp.Cookies)
		for _, c := range resp.Cookies {
			s.returned = append(s.returned, slices.Clone(c))
			s.refilled = true
		}
	}
	e.fill(h, sent, received)
	if kiss := h.Kiss(); kiss != "" {
		return e, false, fmt.Errorf("%w: %s", ErrKiss, kiss)
	}
	return e, true, nil
}

// fill computes offset and delay, RFC 5905 section 8.
func (e *Exchange) fill(h ntp.Header, sent, received time.Time) {
	t2, t3 := h.Receive.Time(sent), h.Transmit.Time(sent)
	offset := (t2.Sub(sent) + t3.Sub(received)) / 2
	delay := max(0, received.Sub(sent)-t3.Sub(t2))
	e.Offset, e.Delay = offset.Seconds(), delay.Seconds()
	e.Stratum, e.Leap = h.Stratum, uint8(h.Leap)
	e.Synchronised = h.Leap != ntp.LeapUnknown && h.Stratum > 0 && h.Stratum < 16
	e.ReferenceID = h.ReferenceID.Text(h.Stratum)
	e.RootDelay, e.RootDispersion = h.RootDelay.Duration().Seconds(), h.RootDispersion.Duration().Seconds()
	e.RootDistance = (e.RootDelay+e.Delay)/2 + e.RootDispersion
}
