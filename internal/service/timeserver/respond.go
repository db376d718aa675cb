package timeserver

import (
	crypto "crypto/rand"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/clockstate"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/ntptsd/ntptsd/protocol/ntp"
	"github.com/ntptsd/ntptsd/protocol/nts"
)

const (
	ntpPort = 123

	// poolLen is how many random octets are fetched at once: 28 answers with one cookie each have to pay for it together.
	poolLen = 1024
	// maxFuzz bounds the random bits below the precision to a microsecond, however coarse the clock.
	maxFuzz = 12
)

// Responder decides what to answer. It holds the scratch memory of one worker, and so serves one goroutine.
type Responder struct {
	rings    []Keys // the one with the most cookies first
	clock    Clock
	settings *atomic.Pointer[settings]
	bans     *access.Bans // nil: nobody is
	now      func() time.Time

	session  cookie.Session
	c2s, s2c aead.AEAD
	opened   [ntp.MaxPacket]byte // the plaintext of a request
	sealed   [ntp.MaxPacket]byte // one cookie; its length is the key ring's matter
	fields   [ntp.MaxPacket]byte // the cookies of an answer
	pool     [poolLen]byte       // random octets, of which left are unused
	left     int
	cookies  uint64       // given out
	ages     [ages]uint64 // of the keys of cookies that came in
}

// NewResponder makes a responder without sockets.
func NewResponder(c *config.TimeServer, rings []Keys, clock Clock) *Responder {
	s := &atomic.Pointer[settings]{}
	s.Store(newSettings(c, nil))
	return newResponder(s, rings, clock)
}

func newResponder(s *atomic.Pointer[settings], rings []Keys, clock Clock) *Responder {
	return &Responder{rings: rings, clock: clock, settings: s, now: time.Now}
}

// question is a request on its way to an answer.
type question struct {
	ntp.Header
	packet   []byte
	received time.Time
	state    *clockstate.State
	kiss     ntp.Kiss // to answer instead, if the request is plain
	poll     int8     // told with it
	excess   bool     // one of those that leak through the rate limit
}

// Respond writes the answer over reply, and returns it: empty if there is none. It never is longer than the request.
// received is when the request came in.
func (r *Responder) Respond(reply, request []byte, from netip.AddrPort, received time.Time) ([]byte, Verdict) {
	answer, v := r.respond(reply[:0], request, from, received)
	return bounded(answer, request, v)
}

// bounded is the one place that keeps the promise never to amplify.
func bounded(answer, request []byte, v Verdict) ([]byte, Verdict) {
	if len(answer) > len(request) {
		return answer[:0], TooLong
	}
	return answer, v
}

// respond judges what is cheap to judge first; no cryptography before the rate limit.
func (r *Responder) respond(reply, request []byte, from netip.AddrPort, received time.Time) ([]byte, Verdict) {
	if r.bans.Banned(from.Addr()) {
		return reply, Banned
	}
	q := question{packet: request, received: received}
	if v, ok := q.read(from.Port()); !ok {
		return reply, v
	}
	s := r.settings.Load()
	if !s.prefixes.Allowed(from.Addr()) {
		return reply, Denied
	}
	if s.limiter != nil && !s.limiter.Allow(from.Addr(), r.now()) {
		if rand.Uint32()&s.leakMask != 0 {
			return reply, RateLimited
		}
		q.excess = true
		if s.limit.KoD {
			q.kiss, q.poll = ntp.KissRate, max(q.Poll, s.kissPoll)
		}
	}
	q.state = r.clock.State()
	if len(request) == ntp.HeaderLen {
		return r.answerPlain(reply, &q, s, nil)
	}
	n, err := nts.ParseRequest(request)
	switch {
	case errors.Is(err, nts.ErrNoNTS):
		return r.answerPlain(reply, &q, s, nil)
	case errors.Is(err, nts.ErrMAC):
		return reply, WithMAC
	case err != nil:
		return reply, Malformed
	case n.Cookie == nil:
		return r.answerPlain(reply, &q, s, n.UniqueID)
	}
	return r.answerNTS(reply, &q, &n)
}

// read judges the header. Whatever is itself an answer gets none, or two servers would play ping-pong for ever.
func (q *question) read(port uint16) (v Verdict, ok bool) {
	h, err := ntp.ParseHeader(q.packet)
	if err != nil {
		return Malformed, false
	}
	q.Header = h
	switch {
	case port == 0:
		return WrongSource, false
	case h.Version < 1 || h.Version > 4:
		return WrongVersion, false
	case h.Mode == ntp.ModeClient:
	case h.Mode == ntp.ModeReserved && h.Version == 1 && port != ntpPort:
		// version 1 had no mode field; its servers did not either, and they ask from port 123
	default:
		return WrongMode, false
	}
	if h.Version < 4 && len(q.packet) > ntp.HeaderLen {
		return WithMAC, false
	}
	return 0, true
}

// answerPlain echoes the unique identifier, if there was one, even without NTS: RFC 8915 section 5.3.
func (r *Responder) answerPlain(reply []byte, q *question, s *settings, uniqueID []byte) ([]byte, Verdict) {
	if !s.plain {
		return reply, PlainRefused
	}
	v := AnsweredPlain
	h := r.header(q)
	if q.kiss != "" {
		h.SetKiss(q.kiss)
		h.Poll = q.poll
		v = AnsweredRate
	}
	reply = h.AppendTo(reply)
	if uniqueID != nil {
		reply = nts.AppendUniqueID(reply, uniqueID)
	}
	return reply, v
}

// header makes the header of an answer; the transmit timestamp is now, so what takes long comes before.
func (r *Responder) header(q *question) ntp.Header {
	h := ntp.Header{Version: q.Version, Mode: ntp.ModeServer, Poll: q.Poll, Origin: q.Transmit}
	noise := rand.Uint64()
	now := r.now()
	if q.received.After(now) { // the clock was set back meanwhile: what it showed before was wrong
		q.received = now
	}
	told := q.state.Time(now)
	h.Receive = blur(told.Add(q.received.Sub(now)), noise, q.state.Precision)
	q.state.Fill(&h, now)
	h.Transmit = blur(told, noise>>32, q.state.Precision)
	if int64(h.Transmit-h.Receive) <= 0 { // the noise did it
		h.Transmit = h.Receive + 1
	}
	// Interleaved clients tell the three apart by their values, RFC 9769; 0 would mean "unknown".
	for h.Transmit == 0 || h.Transmit == h.Origin || h.Transmit == h.Receive {
		h.Transmit++
	}
	return h
}

// blur replaces the bits below the precision by noise, so that nobody can guess a timestamp (RFC 5905 section 6).
func blur(t time.Time, noise uint64, precision int8) ntp.Timestamp {
	bits := min(max(32+int(precision), 0), maxFuzz)
	return max(ntp.TimestampOf(t)^ntp.Timestamp(noise&(1<<bits-1)), 1)
}

// random gives n fresh octets, valid until the next call.
func (r *Responder) random(n int) []byte {
	if r.left < n {
		_, _ = crypto.Read(r.pool[:]) // never fails, since Go 1.24
		r.left = poolLen
	}
	b := r.pool[r.left-n : r.left]
	r.left -= n
	return b
}
