package neighbour

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// The polls that daemons take.
const (
	classicMinPoll = 3
	secMinPoll     = 0
	ntpdMaxPoll    = 17
)

// What became of a line is looked for so often and so long: a daemon answers that it understood it, and acts afterwards.
const (
	lookEvery = 50 * time.Millisecond
	lookFor   = time.Second
)

// Plan implements Changer.
func (n *NTPD) Plan(ctx context.Context, change Change) (o Outlook, err error) {
	err = n.ask(func(c *control) error {
		if err := n.identify(ctx, c); err != nil {
			return err
		}
		o = begin(change, n.title())
		if err := n.able(change); err != nil {
			return err
		}
		if _, err := n.control.read(); err != nil {
			return err
		}
		all, err := c.walk(ctx)
		if err != nil {
			return err
		}
		if add, ok := change.(Add); ok {
			return n.memory.lookAdd(n.title(), peersOf(all), add, &o)
		}
		some, err := n.choose(all, change.(Delete).Source)
		if err != nil {
			return err
		}
		n.memory.lookDelete(peersOf(all), peersOf(some), &o)
		return nil
	})
	return o, refusedByNTPD(err)
}

// identify tells NTPsec from classic ntpd.
func (n *NTPD) identify(ctx context.Context, c *control) error {
	v, err := c.variables(ctx, 0, "version")
	if err == nil {
		n.sec.Store(isNTPsec(v))
	}
	return err
}

// title is what people call it.
func (n *NTPD) title() string {
	if n.sec.Load() {
		return "NTPsec's ntpd"
	}
	return "ntpd"
}

// able says by name what it cannot do.
func (n *NTPD) able(change Change) error {
	cannot := func(what, instead string) error {
		return api.Failf(api.Conflict, "%s cannot %s: %s", n.title(), what, instead)
	}
	switch change := change.(type) {
	case Add:
		return n.takes(change.NewSource)
	case Delete:
		return nil
	case SetOnline:
		return cannot("stop asking a source for a while", "delete the source (sources delete), and add it again later")
	case Burst:
		return cannot("be told to measure in a burst", "a source that is added with iburst begins with one")
	case SetPoll:
		return cannot("change the poll interval of a source", "delete the source, and add it with another minpoll or maxpoll")
	case Refresh:
		return cannot("resolve names again", "delete the source, and add it again")
	case ReloadSources:
		return cannot("read its sources again", "it reads its configuration at its start; add a source here (sources add), or restart it")
	case Rekey:
		return cannot("read its keys again", "restart it")
	case Dump:
		return cannot("write its measurements into files", "it writes its drift file by itself, every hour")
	case CycleLogs:
		return cannot("be told to open its log files again", "send it SIGHUP if it is NTPsec's, or restart it")
	}
	return cannot(change.what(), "it steps the clock by itself where tinker step and its option -g let it")
}

// takes says what a source that is added cannot have.
func (n *NTPD) takes(s NewSource) error {
	l := limits{classicMinPoll, ntpdMaxPoll}
	if n.sec.Load() {
		l.minPoll = secMinPoll
	}
	if err := s.check(l); err != nil {
		return err
	}
	without := func(option, instead string) error {
		return api.Failf(api.BadArgument, "%s has no %s: %s", n.title(), option, instead)
	}
	addr, _ := netip.ParseAddr(s.Name)
	switch {
	case addr.Is4() && addr.As4()[0] == 127 && addr.As4()[1] == 127:
		return api.Failf(api.BadArgument, "%s is the address of a clock driver, which is not added from here", s.Name)
	case s.Port != 0 && s.Port != 123:
		return without("port of a source but 123", "leave it out")
	case s.NTSPort != 0:
		return without("ntsport", "leave it out")
	case s.MaxSources != 0:
		return without("maxsources", "tos maxclock of its configuration bounds a pool")
	case s.Trust:
		return without("trust", "leave it out")
	case s.Require:
		return without("require", "leave it out")
	case s.Interleaved && n.sec.Load():
		return without("interleaved mode", "leave xleave out")
	case s.Interleaved && s.Kind != KindPeer:
		return without("interleaved mode but between peers", "leave xleave out")
	case s.NTS && !n.sec.Load():
		return without("NTS", "leave it out, or use a key")
	case s.Kind == KindPeer && n.sec.Load():
		return without("peers", "use the kind server")
	}
	return nil
}

// choose are those of a name or address, at least one.
func (n *NTPD) choose(all []peer, name string) ([]peer, error) {
	some := chosen(all, peer.source, name)
	if len(some) == 0 {
		return nil, api.Failf(api.NotFound, "%s has no source %s; sources lists them", n.title(), shown(name))
	}
	for _, p := range some {
		if p.Kind == "refclock" {
			return nil, api.Failf(api.Conflict, "%s is a clock driver of %s: those are changed in its configuration alone", shown(name), n.title())
		}
	}
	return some, nil
}

// Change implements Changer. Lines are made of what able lets pass, and sent once.
func (n *NTPD) Change(ctx context.Context, change Change) error {
	defer n.forget()
	err := n.ask(func(c *control) error {
		if err := n.identify(ctx, c); err != nil {
			return err
		}
		if err := n.able(change); err != nil {
			return err
		}
		k, err := n.control.read()
		if err != nil {
			return err
		}
		if add, ok := change.(Add); ok {
			return n.add(ctx, c, k, add.NewSource)
		}
		return n.delete(ctx, c, k, change.(Delete))
	})
	return refusedByNTPD(err)
}

func (n *NTPD) forget() {
	n.tracking.forget()
	n.sources.forget()
}

func (n *NTPD) add(ctx context.Context, c *control, k *mode6.Key, s NewSource) error {
	if err := c.configure(ctx, k, s.Line()); err != nil {
		return err
	}
	there, err := c.lookUntil(ctx, func(all []peer) bool { return len(chosen(all, peer.source, s.Name)) > 0 })
	if _, numeric := netip.ParseAddr(s.Name); err != nil || there || numeric != nil { // a name may be looked up for longer
		n.memory.add(s)
		return err
	}
	return api.Failf(api.Conflict, "%s understood %q, and does not follow it: its log may say why", n.title(), s.Line())
}

// delete deletes by the numbers of the associations, which are exact.
func (n *NTPD) delete(ctx context.Context, c *control, k *mode6.Key, d Delete) error {
	all, err := c.walk(ctx)
	if err != nil {
		return err
	}
	some, err := n.choose(all, d.Source)
	if err != nil {
		return err
	}
	for _, p := range some {
		if err := c.configure(ctx, k, "unpeer "+strconv.Itoa(int(p.id))); err != nil {
			return err
		}
	}
	gone, err := c.lookUntil(ctx, func(all []peer) bool {
		for _, p := range all {
			for _, q := range some {
				if p.id == q.id {
					return false
				}
			}
		}
		return true
	})
	switch {
	case err != nil:
		return err
	case !gone:
		return api.Failf(api.Conflict, "%s still follows %s: its log may say why", n.title(), shown(d.Source))
	}
	n.memory.remove(peersOf(all), peersOf(some))
	return nil
}

// configure sends one line.
func (c *control) configure(ctx context.Context, k *mode6.Key, line string) error {
	q, err := mode6.Configure(line)
	if err != nil {
		return err
	}
	data, err := c.attemptWith(ctx, q, k, answerTimeout)
	if err != nil {
		return fmt.Errorf("%v: %w", q.Op, err)
	}
	return mode6.ParseVerdict(data)
}

// lookUntil reads the associations until they are as they should be. A daemon that is too busy to tell gets more time.
func (c *control) lookUntil(ctx context.Context, done func([]peer) bool) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	for enough := time.Now().Add(lookFor); ; {
		all, err := c.walk(ctx)
		if err == nil && (done(all) || time.Now().After(enough)) {
			return done(all), nil
		}
		select {
		case <-ctx.Done():
			return false, err
		case <-time.After(lookEvery):
		}
	}
}

// refusedByNTPD sorts what ntpd says to a change. Who does not answer may have made it all the same.
func refusedByNTPD(err error) error {
	if err == nil {
		return nil
	}
	if sorted, ok := errors.AsType[*api.Error](err); ok {
		return sorted
	}
	_, refusal := errors.AsType[mode6.Refusal](err)
	_, code := errors.AsType[mode6.ErrorCode](err)
	if refusal || code || errors.Is(err, mode6.ErrMAC) {
		return api.Fail(api.Conflict, err)
	}
	return api.Fail(api.Unavailable, err)
}
