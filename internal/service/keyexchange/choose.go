package keyexchange

import (
	"cmp"
	"errors"
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
	errNoneFor = errors.New("keyexchange: no target for this address family")
	errNoneFit = errors.New("keyexchange: no target is fit")
)

// board is every target and what is known of its health at one moment. Immutable.
type board struct {
	places []place
	strict bool // nobody is sent to a target that is known not to be fit

	probeEvery  time.Duration
	maxDistance time.Duration
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
// errNoAEAD, errNoneFor, errNoneFit.
func (b *board) choose(r *ntske.Request, from netip.Addr, rings Rings, legacyGCMSIV bool) (choice, error) {
	var best choice
	var bestRank rank
	why := errNoneFor
	network := networkOf(from)
	for i := range b.places {
		p := &b.places[i]
		if !p.reaches(from) {
			continue
		}
		keys := rings.KeySet(p.Ring)
		if keys == nil {
			why = errNoKey
			continue
		}
		id, ok := p.agree(r, keys, legacyGCMSIV)
		if !ok {
			if why != errNoKey {
				why = errNoAEAD
			}
			continue
		}
		rank := p.rank()
		if len(b.places) > 1 {
			rank.score = p.score(network)
		}
		if best.target == nil || rank.compare(bestRank) < 0 {
			best, bestRank = choice{p.target, keys, id}, rank
		}
	}
	switch {
	case best.target == nil:
		return choice{}, why
	case b.strict && bestRank.class > unknown:
		return choice{}, errNoneFit
	}
	return best, nil
}

// rank orders the targets for one client.
type rank struct {
	draining bool
	class    class
	distance time.Duration // of clocks that are not fit
	score    float64
}

func (p *place) rank() rank {
	r := rank{draining: p.draining, class: p.class}
	if p.class == distant || p.class == unsynchronised {
		r.distance = p.distance()
	}
	return r
}

// compare is negative if r is better than o: whatever drains comes last, then the class decides, among clocks that are not
// fit the smaller error, and else the client's own order.
func (r rank) compare(o rank) int {
	switch {
	case r.draining != o.draining && r.draining:
		return 1
	case r.draining != o.draining:
		return -1
	}
	return cmp.Or(cmp.Compare(r.class, o.class), cmp.Compare(r.distance, o.distance), cmp.Compare(o.score, r.score))
}
