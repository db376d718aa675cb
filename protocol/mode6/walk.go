package mode6

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// Bounds of a walk.
const (
	MaxClients = 1 << 16 // held by any walk: some 10 MB

	maxPoints = 16 // resume points that a daemon reads
	maxTrail  = 1024
	maxFrags  = 32 // datagrams of one answer: what an ordinary socket buffer holds
	minFrags  = 2  // 1 brings no entry
	nonceLife = 10 * time.Second

	maxLosses     = 5  // answers lost in a row: enough to come down to minFrags
	maxStalled    = 16 // answers in a row that bring nothing new
	clientsARound = 4  // the fewest that minFrags brings, on average
	spareRounds   = 64
)

var (
	// ErrTooManyClients tells that the daemon has more clients than were to be listed; the oldest were.
	ErrTooManyClients = errors.New("mode6: the daemon has more clients than the limit")
	// ErrNoHeadway tells that answers bring nothing new any more, or that there is no end of them.
	ErrNoHeadway = errors.New("mode6: the list of clients makes no headway")
	// ErrNoNonce tells that the daemon answered without the nonce that it demands itself.
	ErrNoNonce = errors.New("mode6: the daemon gave no nonce")
	errPlace   = errors.New("the daemon has lost our place in it, again and again")
	errRepeats = errors.New("answers repeat")
	errRounds  = errors.New("it does not end")
)

// Walk reads a daemon's MRU list, which takes many requests: a nonce against forged sources, then the list from the oldest
// entry on, each request naming the newest entries that we have. A client that is active meanwhile moves to the end of the list,
// and is met again. Whatever the answers are, a walk ends, and holds no more than its limit of clients.
type Walk struct {
	limit   int
	clients []Client
	index   map[netip.Addr]int32 // of clients; daemons tell them apart without the port
	room    []Client             // for the entries of one answer

	trail  []point // the newest entries met, newest last: where to resume
	stride int     // between the points that we name: more than 1 while the daemon does not know our place
	oldest int     // in trail: from there on what has been tried with the points named
	named  []ntp.Timestamp

	op      Opcode
	asked   time.Time
	nonce   string
	nonceAt time.Time
	frags   int
	newest  ntp.Timestamp

	rounds, losses, stalled, lost int

	done bool
	now  ntp.Timestamp
	err  error
}

// point is an entry as it was when we met it.
type point struct {
	address netip.AddrPort
	last    ntp.Timestamp
}

// NewWalk starts a walk that lists at most limit clients; 0 stands for MaxClients, which no limit exceeds.
func NewWalk(limit int) *Walk {
	if limit <= 0 || limit > MaxClients {
		limit = MaxClients
	}
	return &Walk{limit: limit, index: make(map[netip.Addr]int32), stride: 1, frags: maxFrags}
}

// Next gives the next request, without its sequence; false when the walk is over. All requests of a walk go through one
// socket, since the nonce is bound to its port. The time tells how old the nonce is, and may be of any clock.
func (w *Walk) Next(now time.Time) (Request, bool) {
	if w.rounds++; !w.done && w.rounds > spareRounds+w.limit/clientsARound {
		w.end(fmt.Errorf("%w: %w", ErrNoHeadway, errRounds))
	}
	if w.done {
		return Request{}, false
	}
	w.asked, w.named = now, w.named[:0]
	if w.nonce == "" || now.Sub(w.nonceAt) > nonceLife { // a stale one is met with silence
		w.op = OpRequestNonce
		return Request{Op: w.op}, true
	}
	w.op = OpReadMRU
	return Request{Op: w.op, Data: w.question()}, true
}

// question names what daemons know from ntpq: the nonce and frags first, since they stop at what they do not understand.
func (w *Walk) question() []byte {
	b := append(append([]byte("nonce="), w.nonce...), ", frags="...)
	b = strconv.AppendInt(b, int64(w.frags), 10)
	for i := len(w.trail) - 1; i >= 0 && len(w.named) < maxPoints; {
		p := w.trail[i]
		if c := w.clients[w.index[p.address.Addr()]]; c.Last != p.last {
			i-- // it was active since, and stands elsewhere
			continue
		}
		n := len(w.named)
		longer := fmt.Appendf(b, ", addr.%d=%v, last.%d=0x%08x.%08x", n, p.address, n, uint32(p.last>>32), uint32(p.last))
		if len(longer) > MaxData {
			break
		}
		b, w.named = longer, append(w.named, p.last)
		i -= w.stride
		w.oldest = max(i+1, 0)
	}
	if len(w.named) == 0 {
		w.newest = 0 // the list starts again: all of it is news
	}
	return b
}

// Answer takes what came of the request that Next gave last: its data, or why there is none. An ErrorCode is the daemon's
// word; any other error, as of a timeout, is taken for datagrams lost, and the walk goes on more slowly.
func (w *Walk) Answer(data []byte, err error) {
	code, refused := errors.AsType[ErrorCode](err)
	switch {
	case w.done:
	case refused && code == CodeVariable && len(w.named) > 0:
		w.lostPlace()
	case refused:
		w.end(err)
	case err != nil:
		w.lostAnswer(err)
	default:
		w.take(data)
	}
}

func (w *Walk) take(data []byte) {
	l, err := parseList(w.room, data)
	if err != nil {
		w.lostAnswer(err)
		return
	}
	w.room = l.clients
	w.nonce, w.nonceAt = l.nonce, w.asked
	if w.op == OpRequestNonce {
		if w.nonce == "" {
			w.end(ErrNoNonce)
		}
		return
	}
	w.losses, w.frags = 0, min(w.frags+1, maxFrags)
	// NTPsec resumes at an entry that was active since: near the end of the list, with all that we miss before it.
	if l.resumed && !slices.Contains(w.named, l.older) {
		w.lostPlace()
		return
	}
	switch news := w.merge(l.clients); {
	case w.done:
	case l.ended:
		w.now = l.now
		w.end(nil)
	case news:
		w.stalled, w.stride = 0, 1
	default:
		w.stall(errRepeats)
	}
}

// merge keeps what an answer lists, and tells whether any of it is new. Clients met again are replaced where they are.
func (w *Walk) merge(clients []Client) (news bool) {
	for _, c := range clients {
		if !c.Address.IsValid() || c.Last == 0 {
			continue
		}
		i, known := w.index[c.Address.Addr()]
		switch {
		case known:
			w.clients[i] = c
		case len(w.clients) == w.limit:
			w.end(ErrTooManyClients)
			return true
		default:
			w.index[c.Address.Addr()] = int32(len(w.clients))
			w.clients = append(w.clients, c)
			news = true
		}
		if w.newest == 0 || int64(c.Last-w.newest) > 0 {
			w.newest, news = c.Last, true
		}
		w.trail = append(w.trail, point{c.Address, c.Last})
	}
	if len(w.trail) > 2*maxTrail {
		w.trail = slices.Delete(w.trail, 0, len(w.trail)-maxTrail)
	}
	return news
}

// lostPlace backs up: all points that we named have moved or gone. It names older ones, ever farther apart, at last none:
// then the list is read from its start again.
func (w *Walk) lostPlace() {
	w.lost++
	if len(w.named) > 0 {
		w.trail = w.trail[:w.oldest]
		w.stride = min(4*w.stride, maxTrail)
	}
	w.stall(errPlace)
}

// lostAnswer asks for less at once. The nonce may be what the daemon did not like.
func (w *Walk) lostAnswer(cause error) {
	w.nonce, w.frags = "", max(w.frags/2, minFrags)
	if w.losses++; w.losses > maxLosses {
		w.end(cause)
	}
}

func (w *Walk) stall(cause error) {
	if w.stalled++; w.stalled > maxStalled {
		w.end(fmt.Errorf("%w: %w", ErrNoHeadway, cause))
	}
}

func (w *Walk) end(err error) { w.done, w.err = true, err }

// Clients are those listed so far, in no order. They are the walk's own.
func (w *Walk) Clients() []Client { return w.clients }

// Now is the daemon's clock at the end of the list, 0 if the walk did not come there: it makes ages of a client's times.
func (w *Walk) Now() ntp.Timestamp { return w.now }

// Err tells why the walk ended before the list did; nil otherwise. Clients are good as far as they go.
func (w *Walk) Err() error { return w.err }

// Lost counts how often the daemon did not know our place in its list any more, and we had to go back.
func (w *Walk) Lost() int { return w.lost }
