package keyexchange

import (
	"cmp"
	"errors"
	"math/bits"
	"net/netip"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/ntske"
)

// Why a client is sent nowhere.
var (
	errNoKey   = errors.New("keyexchange: there is no cookie key")
	errNoAEAD  = errors.New("keyexchange: no AEAD in common")
	errNoneFit = errors.New("keyexchange: no target is fit")
)

// board is every target and what is known of its health at one moment. Immutable.
type board struct {
	places []place
	strict bool // nobody is sent to a target that is known not to be fit

	probeEvery  time.Duration
	maxDistance time.Duration

	drained bool // this host is: its targets drain as if each were drained
}

// place is one target on the board.
type place struct {
	*target
	health
}

func newBoard(k *config.KeyExchange, targets []*target, old *board) *board {
	b := &board{
		strict:      k.WhenNoneFit == "error",
		probeEvery:  time.Duration(k.ProbeEvery),
		maxDistance: time.Duration(k.MaxRootDistance),
	}
	if old != nil {
		b.drained = old.drained
	}
	for _, t := range targets {
		p := place{target: t, health: health{class: unknown, reason: "not probed yet"}}
		if before := old.find(t.id); before != nil {
			t.served = before.served
			if t.takesOver(before.target) {
				p.health = before.health
			}
			p.draining = before.draining
		}
		b.places = append(b.places, p)
	}
	return b
}

// find returns the place of a target, nil if there is none.
func (b *board) find(id string) *place {
	if b == nil {
		return nil
	}
	for i := range b.places {
		if b.places[i].id == id {
			return &b.places[i]
		}
	}
	return nil
}

// choice is where a client is sent, and what for.
type choice struct {
	target *target
	keys   *keyring.KeySet
	aead   aead.ID
}

// choose finds the best target among those that the client can use: RFC 8915 lets us tell it of one. Errors: errNoKey,
// errNoAEAD, errNoneFit.
func (b *board) choose(r *ntske.Request, from netip.Addr, rings Rings, legacyGCMSIV bool) (choice, error) {
	var best choice
	var bestRank rank
	why := errNoAEAD
	network := networkOf(from)
	for i := range b.places {
		p := &b.places[i]
		keys := rings.KeySet(p.Ring)
		if keys == nil {
			if why == errNoAEAD {
				why = errNoKey
			}
			continue
		}
		id, ok := p.agree(r, keys, legacyGCMSIV)
		if !ok {
			continue
		}
		if b.strict && p.class > unknown {
			why = errNoneFit
			continue
		}
		rank := p.rank(from)
		if !p.draining && p.drainsToo(b.drained) {
			rank.use++
		}
		if len(b.places) > 1 {
			rank.score = p.score(network)
		}
		if best.target == nil || rank.compare(bestRank) < 0 {
			best, bestRank = choice{p.target, keys, id}, rank
		}
	}
	if best.target == nil {
		return choice{}, why
	}
	return best, nil
}

// rank orders the targets for one client, by the first field that differs; the least is the best.
type rank struct {
	unreached int // 1: of the other address family, which a client may have all the same
	use       int // 0: usable, 1: usable and drains, 2: silent or without the key, 3: that and drains
	class     class
	off       int // of clocks that are not fit: how far, in steps
	score     float64
}

func (p *place) rank(from netip.Addr) rank {
	r := rank{class: p.class}
	if !p.reaches(from) {
		r.unreached = 1
	}
	if p.class > unsynchronised {
		r.use = 2
	}
	if p.draining {
		r.use++
	}
	if p.class == distant || p.class == unsynchronised {
		r.off = steps(p.distance())
	}
	return r
}

// steps is the binary order of magnitude in milliseconds: what is about the same must not send a client to and fro, or the
// whole of them to one server.
func steps(distance time.Duration) int { return bits.Len64(uint64(max(distance.Milliseconds(), 0))) }

// compare is negative if r is better than o. In the end it is the client's own order, by the greater score.
func (r rank) compare(o rank) int {
	return cmp.Or(cmp.Compare(r.unreached, o.unreached), cmp.Compare(r.use, o.use), cmp.Compare(r.class, o.class),
		cmp.Compare(r.off, o.off), cmp.Compare(o.score, r.score))
}
