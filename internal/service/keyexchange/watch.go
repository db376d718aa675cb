package keyexchange

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ntptsd/ntptsd/internal/probe"
	"github.com/ntptsd/ntptsd/protocol/aead"
)

// probeTime bounds one probe, the resolution of the name included.
const probeTime = 5 * time.Second

// prover asks a time server with cookies of its own making, as probe.Prove does.
type prover func(ctx context.Context, server string, s probe.Sealer, session aead.ID) (probe.Exchange, error)

// watch keeps the health of all targets up to date until ctx is done. A reload makes it begin anew.
func (s *Server) watch(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-s.reloaded: // what it told of is loaded below
		default:
		}
		round, end := context.WithCancel(ctx)
		var probers sync.WaitGroup
		b := s.board.Load()
		for _, p := range b.places {
			if p.Probe != "" {
				probers.Go(func() { s.follow(round, p, b) })
			}
		}
		select {
		case <-ctx.Done():
		case <-s.reloaded:
		}
		end()
		probers.Wait()
	}
}

// follow probes one target again and again, not in step with the others.
func (s *Server) follow(ctx context.Context, p place, b *board) {
	for ctx.Err() == nil {
		asking, done := context.WithTimeout(ctx, probeTime)
		e, err := s.ask(asking, p)
		done()
		if ctx.Err() != nil {
			return // that we end says nothing of the target
		}
		p.health = s.learn(p.target, e, err, b.maxDistance)
		pause(ctx, b.probeEvery-b.probeEvery/8+rand.N(b.probeEvery/4))
	}
}

// ask makes one probe, with the AEAD whose turn it is.
func (s *Server) ask(ctx context.Context, p place) (probe.Exchange, error) {
	keys := s.rings.KeySet(p.Ring)
	if keys == nil {
		return probe.Exchange{}, errNoKey
	}
	var room [maxAEADs]aead.ID
	offered := p.offered(keys, &room)
	if len(offered) == 0 {
		return probe.Exchange{}, fmt.Errorf("cookies of ring %s carry none of its AEADs; change keyexchange.aeads", p.Ring)
	}
	server, err := p.where(ctx)
	if err != nil {
		return probe.Exchange{}, err
	}
	session := offered[p.turn%len(offered)]
	e, err := s.prove(ctx, server, keys, session)
	if err != nil && len(offered) > 1 {
		err = fmt.Errorf("%w (asked with %v; if it has not got that, leave it out of the target's aeads)", err, session)
	}
	return e, err
}

// where is whom to probe. Of a target that has clients of one family it is an address of that: a name may stand for both.
func (t *target) where(ctx context.Context) (string, error) {
	network, one := map[string]string{"ipv4": "ip4", "ipv6": "ip6"}[t.Family]
	if _, err := netip.ParseAddrPort(t.Probe); !one || err == nil {
		return t.Probe, nil
	}
	host, port, err := net.SplitHostPort(t.Probe)
	if err != nil {
		return "", err
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, network, host)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(addrs[0].Unmap().String(), port), nil
}

// learn takes the outcome of a probe onto the board, unless a reload has made it that of a stranger.
func (s *Server) learn(t *target, e probe.Exchange, err error, limit time.Duration) (after health) {
	before, after, ok := s.change(func(p *place) bool { return p.target == t }, func(h health) health {
		return h.after(e, err, limit, time.Now())
	})
	switch {
	case !ok:
	case after.class == fit && before.class != fit:
		s.log.Info("target is fit", "target", t.id, "stratum", after.answer.Stratum, "root_distance", after.distance())
	case after.class > unknown && before.class <= unknown:
		s.log.Warn("target is not fit", "target", t.id, "reason", after.reason)
	}
	return after
}

// change replaces the health of one target; the board that others hold stays as it was.
func (s *Server) change(which func(*place) bool, next func(health) health) (before, after health, ok bool) {
	s.writing.Lock()
	defer s.writing.Unlock()
	b := *s.board.Load()
	b.places = slices.Clone(b.places)
	for i := range b.places {
		if p := &b.places[i]; which(p) {
			before = p.health
			p.health = next(before)
			s.board.Store(&b)
			return before, p.health, true
		}
	}
	return before, after, false
}
