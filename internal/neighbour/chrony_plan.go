package neighbour

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

// Plan implements Changer. It asks on the command socket, too, so that who may not use that learns it before.
func (c *Chrony) Plan(ctx context.Context, change Change) (o Outlook, err error) {
	c.memory.of(c.run())
	o = begin(change, "chronyd")
	if add, ok := change.(Add); ok {
		if _, err := chronySource(add.NewSource); err != nil {
			return o, err
		}
	}
	err = c.ask(ctx, false, func(s *session) error { return c.look(ctx, s, change, &o) })
	return o, refused(err)
}

func (c *Chrony) look(ctx context.Context, s *session, change Change, o *Outlook) error {
	switch change := change.(type) {
	case Add:
		return c.lookAdd(ctx, s, change, o)
	case Delete:
		return c.lookDelete(ctx, s, change, o)
	case SetOnline:
		return c.lookOnline(ctx, s, change, o)
	case Burst:
		return s.lookBurst(ctx, change)
	case SetPoll:
		return c.lookPoll(ctx, s, change, o)
	case Step, SetTime:
		return s.lookTime(ctx, change, o)
	}
	_, err := s.command(ctx, cmdmon.NSources, nil) // whether it is there
	return err
}

func (c *Chrony) lookAdd(ctx context.Context, s *session, add Add, o *Outlook) error {
	all, err := s.walk(ctx)
	if err != nil {
		return err
	}
	return c.memory.lookAdd("chronyd", sourcesOf(all), add, o)
}

// lookAdd is the same for all daemons.
func (m *memory) lookAdd(daemon string, all []api.Source, add Add, o *Outlook) error {
	o.After = add.Line()
	some := chosen(all, func(s api.Source) api.Source { return s }, add.Name)
	if len(some) == 0 {
		o.Undo = Delete{add.Name}
		return nil
	}
	o.Before = described(some[0])
	if old, ok := m.find(add.Name); ok && old == add.NewSource {
		o.Before, o.Done = o.After, true
		return nil
	}
	return api.Failf(api.Conflict, "%s follows this already: %s; to have it with other options, delete it first (sources delete)", daemon, o.Before)
}

func (c *Chrony) lookDelete(ctx context.Context, s *session, d Delete, o *Outlook) error {
	all, some, err := s.choose(ctx, d.Source)
	if err != nil {
		return err
	}
	c.memory.lookDelete(sourcesOf(all), sourcesOf(some), o)
	return nil
}

// lookDelete is the same for all daemons. It is undone only if it is known how the sources were added.
func (m *memory) lookDelete(all, some []api.Source, o *Outlook) {
	if added, ok := m.whole(all, some); ok {
		o.Before, o.Undo = added.Line(), Add{added}
		return
	}
	var texts []string
	for _, one := range some[:min(len(some), maxDescribed)] {
		texts = append(texts, described(one))
	}
	o.Before = strings.Join(texts, "; ")
	if more := len(some) - len(texts); more > 0 {
		o.Before += fmt.Sprintf("; and %d more", more)
	}
	o.Summary += "; not to be undone, since it was not added here and its options are not known"
}

// maxDescribed bounds the sources that a plan describes.
const maxDescribed = 8

func (c *Chrony) lookOnline(ctx context.Context, s *session, want SetOnline, o *Outlook) error {
	all, err := s.walk(ctx)
	some := all
	if err == nil && want.Source != "" {
		all, some, err = s.choose(ctx, want.Source)
	}
	if err != nil {
		return err
	}
	var of []string
	for _, f := range some {
		if f.at.IP.IsValid() && f.Kind != "refclock" {
			of = append(of, f.at.String())
		}
	}
	switch {
	case len(of) == 0 && want.Source == "":
		return api.Failf(api.NotFound, "chronyd has no source with an address yet; sources lists them")
	case len(of) == 0:
		return unresolved(want.Source)
	}
	reply, err := s.command(ctx, cmdmon.ActivityCommand, nil)
	if err != nil {
		return err
	}
	a, err := cmdmon.ParseActivity(reply)
	if err != nil {
		return err
	}
	on, off := int(a.Online+a.BurstOnline), int(a.Offline+a.BurstOffline)
	o.After = words(want.Online)
	was, known := c.online(addresses(all), of, on, off)
	switch {
	case !known:
		o.Before = fmt.Sprintf("of all sources %d are online and %d offline, and chronyd does not tell which", on, off)
	case was == want.Online:
		o.Before, o.Done = words(was), true
	default:
		o.Before, o.Undo = words(was), SetOnline{want.Source, was}
	}
	return nil
}

// online tells whether some sources are online, or that it is not known, or not the same of all: chronyd tells only how many
// there are of each, so that what is known of them is what was done here.
func (c *Chrony) online(all, some []string, on, off int) (yes, known bool) {
	switch {
	case off == 0:
		return true, true
	case on == 0:
		return false, true
	}
	offline := c.memory.offlineOf(all)
	if len(offline) != off {
		return false, false
	}
	n := 0
	for _, at := range some {
		if offline[at] {
			n++
		}
	}
	return n == 0, n == 0 || n == len(some)
}

func words(online bool) string {
	if online {
		return "online"
	}
	return "offline"
}

func (s *session) lookBurst(ctx context.Context, b Burst) error {
	if b.Good < 1 || b.Good > MaxGood || b.Total < b.Good || b.Total > MaxTotal {
		return api.Failf(api.BadArgument, "%d measurements of %d tries: must be 1 to %d, of at least as many tries and at most %d", b.Good, b.Total, MaxGood, MaxTotal)
	}
	if b.Source == "" {
		_, err := s.command(ctx, cmdmon.NSources, nil)
		return err
	}
	return s.each(ctx, b.Source, func(cmdmon.Subnet) error { return nil })
}

func (c *Chrony) lookPoll(ctx context.Context, s *session, p SetPoll, o *Outlook) error {
	if p.Poll < chronyMinPoll || p.Poll > chronyMaxPoll {
		return api.Failf(api.BadArgument, "poll %d: must be from %d to %d: it is the log2 of seconds", p.Poll, chronyMinPoll, chronyMaxPoll)
	}
	_, some, err := s.choose(ctx, p.Source)
	if err != nil {
		return err
	}
	same := true
	old, known := c.memory.poll(some[0].Name, some[0].at.String(), p.Max)
	for _, f := range some {
		n, ok := c.memory.poll(f.Name, f.at.String(), p.Max)
		same = same && ok == known && n == old
		other, ok := c.memory.poll(f.Name, f.at.String(), !p.Max)
		switch {
		case ok && p.Max && p.Poll < other:
			return api.Failf(api.Conflict, "maxpoll %d is below minpoll, which is %d: lower that first (sources minpoll)", p.Poll, other)
		case ok && !p.Max && p.Poll > other:
			return api.Failf(api.Conflict, "minpoll %d is beyond maxpoll, which is %d: raise that first (sources maxpoll)", p.Poll, other)
		}
	}
	o.After = boundOf(p.Poll)
	switch {
	case !known || !same:
		o.Before = "not known: chronyd does not tell it"
	case old == p.Poll:
		o.Before, o.Done = boundOf(old), true
	default:
		o.Before, o.Undo = boundOf(old), SetPoll{p.Source, p.Max, old}
	}
	return nil
}

func boundOf(poll int) string { return fmt.Sprintf("%v (2^%d s)", duration(interval(poll)), poll) }

func (s *session) lookTime(ctx context.Context, change Change, o *Outlook) error {
	reply, err := s.command(ctx, cmdmon.TrackingCommand, nil)
	if err != nil {
		return err
	}
	t, err := cmdmon.ParseTracking(reply)
	if err != nil {
		return err
	}
	if set, ok := change.(SetTime); ok {
		if year := set.Time.Year(); year < 1970 || year > 2200 {
			return api.Failf(api.BadArgument, "the year %d is not one in which this runs", year)
		}
		o.Before, o.After = time.Now().UTC().Format(time.RFC3339Nano), set.Time.UTC().Format(time.RFC3339Nano)
		return nil
	}
	o.Before = fmt.Sprintf("the clock is to be moved by %+.9f s, bit by bit", t.CurrentCorrection)
	o.After = "moved by that at once, for everything that runs on this host"
	return nil
}

var errNoStep = errors.New("the clock is neither stepped nor set from here: whoever owns this host may allow it with allow-step = true under [management] in the configuration, and a reload")
