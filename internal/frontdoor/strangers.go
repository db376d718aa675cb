package frontdoor

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// What those may hold who have shown nothing yet: anybody can be one of them, as often as he likes, so they must lock out
// neither who logs in nor each other.
const (
	shareOfStrangers       = 3  // one in so many places of a protocol, for all of them
	strangersOfNetwork     = 8  // for lines and frames
	strangersOfNetworkHTTP = 64 // health checks and browsers behind one address

	// moment is how long over HTTP more of a network are let in than that: the dashboards behind one address come back all at once
	// after a restart, and log in as soon as they are heard. All networks together stay within the third meanwhile.
	moment = time.Second

	// strangerLife is for a log-in, from the first octet to the last. Protocols end sooner by themselves, with a word.
	strangerLife     = 20 * time.Second
	strangerLifeHTTP = 2 * time.Minute
	// strangerWarned is when HTTP begins to end a stranger's connection with an answer, so that no check meets a closed one.
	strangerWarned = time.Minute
)

// strangers counts their connections by protocol. Guarded by Port.mu.
type strangers [protocols]struct {
	open      int
	byNetwork map[netip.Prefix]int
}

// add is a connection more, or less.
func (s *strangers) add(of protocol, network netip.Prefix, n int) {
	one := &s[of]
	if one.byNetwork == nil {
		one.byNetwork = make(map[netip.Prefix]int)
	}
	one.open += n
	if one.byNetwork[network] += n; one.byNetwork[network] == 0 {
		delete(one.byNetwork, network)
	}
}

// room tells where there is none for one more: in the network, or in all.
func (p *Port) room(of protocol, network netip.Prefix) (networkFull, full bool) {
	most := strangersOfNetwork
	if of == ofHTTP {
		most = strangersOfNetworkHTTP
	}
	all := max(1, int(p.budgets[of].most.Load())/shareOfStrangers)
	return p.strangers[of].byNetwork[network] >= most, p.strangers[of].open >= all
}

// belongs gives the connection to a protocol, if that has room. Over HTTP the stranger who has done nothing for longest makes
// room for who comes: whoever holds connections must not keep health checks and log-ins away.
func (c *conn) belongs(to protocol, stranger bool) bool {
	for {
		rival, ok := c.settle(to, stranger)
		if ok || rival == nil {
			return ok
		}
		c.port.metrics.strangersCut.Add(1)
		_ = rival.Close() // which gives its places back, or waits for who closes it
	}
}

// settle finds a place, or whose place could be had.
func (c *conn) settle(to protocol, stranger bool) (rival *conn, ok bool) {
	p, network := c.port, networkOf(c.remote)
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, open := p.open[c]; !open {
		return nil, false
	}
	now := time.Now()
	if stranger {
		networkFull, full := p.room(to, network)
		if networkFull {
			if rival = p.idlest(to, network, true, now.Add(-moment)); rival != nil || to != ofHTTP {
				return rival, false
			}
		}
		if full {
			return p.idlest(to, network, networkFull, now), false
		}
	}
	if !p.budgets.acquire(to) {
		return p.idlest(to, network, false, now), false
	}
	c.protocol, c.since = to, now
	if stranger {
		life := strangerLife
		if to == ofHTTP {
			life = strangerLifeHTTP
		}
		c.stranger, c.warned = true, c.since.Add(strangerWarned)
		c.life = time.AfterFunc(life, func() { _ = c.Close() })
		p.strangers.add(to, network, 1)
	}
	return nil, true
}

// idlest is the stranger who has asked nothing for longest, since then at the latest, of one network or of all; if all ask, the one
// who does for longest. Lines and frames have none: who is about to log in would be sent away by who only connects.
func (p *Port) idlest(of protocol, network netip.Prefix, within bool, then time.Time) (found *conn) {
	if of != ofHTTP {
		return nil
	}
	for c := range p.open {
		if !c.stranger || c.protocol != of || c.since.After(then) || within && networkOf(c.remote) != network {
			continue
		}
		if found == nil || !c.asking && found.asking || c.asking == found.asking && c.since.Before(found.since) {
			found = c
		}
	}
	return found
}

// loggedIn makes the connection one of those who are known, for good. The nil one is none of ours.
func (c *conn) loggedIn() {
	if c == nil {
		return
	}
	c.port.mu.Lock()
	defer c.port.mu.Unlock()
	c.unstrange()
}

// unstrange gives a stranger's place back. port.mu is held.
func (c *conn) unstrange() {
	if c.stranger {
		c.stranger = false
		c.life.Stop()
		c.port.strangers.add(c.protocol, networkOf(c.remote), -1)
	}
}

// lingers tells of a stranger whose connection should end with the next answer.
func (c *conn) lingers() bool {
	if c == nil {
		return false
	}
	c.port.mu.Lock()
	defer c.port.mu.Unlock()
	return c.stranger && !time.Now().Before(c.warned)
}

// turned is told by net/http when a request begins and when none is left.
func turned(c net.Conn, state http.ConnState) {
	of := under(c)
	if of == nil || state != http.StateActive && state != http.StateIdle {
		return
	}
	of.port.mu.Lock()
	defer of.port.mu.Unlock()
	of.asking, of.since = state == http.StateActive, time.Now()
}

// guest is a stranger's connection of lines or frames.
type guest struct {
	net.Conn
	of *conn
}

// LoggedIn is called by who serves it.
func (g *guest) LoggedIn() { g.of.loggedIn() }

// asker is who asks, found out once for each request.
type asker struct {
	who api.Caller
	err error
}

// askerKey is where a request's context keeps it.
type askerKey struct{}

// asks finds out who asks.
func (c *contents) asks(r *http.Request) (api.Caller, error) {
	if a, ok := r.Context().Value(askerKey{}).(asker); ok {
		return a.who, a.err
	}
	return c.who(r)
}

// paced answers those who show nothing, or nothing that counts, so often and no more.
func (c *contents) paced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if routeOf(r) == toSession && r.Method == http.MethodPost { // what it shows is for once: session judges it
			next.ServeHTTP(w, r)
			return
		}
		who, err := c.who(r)
		if err != nil || who.Role == api.Anonymous {
			if c.door.tooFast(w, r) {
				return
			}
			if connOf(r).lingers() {
				w.Header().Set("Connection", "close")
			}
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), askerKey{}, asker{who, err})))
	})
}

// tooFast sends away who asks in vain too often: the next connection costs him a handshake, of which there are few.
func (d *door) tooFast(w http.ResponseWriter, r *http.Request) bool {
	if d.strangers == nil || d.strangers(remoteAddr(r), time.Now()) {
		return false
	}
	w.Header().Set("Connection", "close")
	write(w, http.StatusTooManyRequests, api.TooMany, "too many requests of your network without a log-in; wait a while")
	return true
}
