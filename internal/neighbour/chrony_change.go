package neighbour

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

// chronyLimits are those of chrony.conf.
const (
	chronyMinPoll = -7
	chronyMaxPoll = 24
)

// Change implements Changer. It is asked once, on the command socket alone: a second request might do it twice.
func (c *Chrony) Change(ctx context.Context, change Change) error {
	c.memory.of(c.run())
	defer c.forget()
	err := c.ask(ctx, false, func(s *session) error { return c.make(ctx, s, change) })
	return refused(err)
}

// forget lets everybody ask chronyd anew.
func (c *Chrony) forget() {
	c.tracking.forget()
	c.sources.forget()
}

// run tells one run of chronyd from the next: each makes its socket.
func (c *Chrony) run() string {
	info, err := os.Stat(c.socket)
	if err != nil {
		return ""
	}
	return info.ModTime().String()
}

func (c *Chrony) make(ctx context.Context, s *session, change Change) error {
	var q cmdmon.Command
	var body cmdmon.Body
	switch change := change.(type) {
	case Add:
		return c.add(ctx, s, change.NewSource)
	case Delete:
		return c.delete(ctx, s, change)
	case SetOnline:
		return c.setOnline(ctx, s, change)
	case Burst:
		return s.each(ctx, change.Source, func(to cmdmon.Subnet) error {
			_, err := s.command(ctx, cmdmon.Burst, cmdmon.Measurements{Of: to, Good: int32(change.Good), Total: int32(change.Total)})
			return err
		})
	case SetPoll:
		return c.setPoll(ctx, s, change)
	case SetTime:
		t := change.Time
		if !change.Since.IsZero() {
			t = t.Add(time.Since(change.Since))
		}
		q, body = cmdmon.SetTime, cmdmon.Moment(t)
	case Refresh:
		q = cmdmon.Refresh
	case ReloadSources:
		q = cmdmon.ReloadSources
	case Rekey:
		q = cmdmon.Rekey
	case Dump:
		q, body = cmdmon.Dump, cmdmon.Zero{}
	case CycleLogs:
		q = cmdmon.CycleLogs
	case Step:
		q = cmdmon.MakeStep
	default:
		return fmt.Errorf("neighbour: chronyd cannot be told to %s", change.what())
	}
	_, err := s.command(ctx, q, body)
	return err
}

func (c *Chrony) add(ctx context.Context, s *session, n NewSource) error {
	body, err := chronySource(n)
	if err != nil {
		return err
	}
	if _, err := s.command(ctx, cmdmon.AddSource, body); err != nil {
		return err
	}
	c.memory.add(n)
	return nil
}

// chronySource is what chronyc would send for it.
func chronySource(n NewSource) (cmdmon.NewSource, error) {
	if err := n.check(limits{chronyMinPoll, chronyMaxPoll}); err != nil {
		return cmdmon.NewSource{}, err
	}
	kind := map[string]uint32{KindServer: cmdmon.Server, KindPeer: cmdmon.Peer, KindPool: cmdmon.Pool}[n.Kind]
	s, err := cmdmon.DefaultSource(kind, n.Name)
	if err != nil {
		return s, api.Fail(api.BadArgument, err)
	}
	low, high := n.polls()
	s.MinPoll, s.MaxPoll = int32(low), int32(high)
	s.Version, s.AuthKey = uint32(n.Version), uint32(n.Key)
	for _, f := range []struct {
		given int
		field *uint32
	}{{n.Port, &s.Port}, {n.NTSPort, &s.NTSPort}, {n.MaxSources, &s.MaxSources}} {
		if f.given != 0 {
			*f.field = uint32(f.given)
		}
	}
	for _, f := range []struct {
		given bool
		flag  uint32
	}{{n.IBurst, cmdmon.SourceIBurst}, {n.NTS, cmdmon.SourceNTS}, {n.Prefer, cmdmon.SourcePrefer}, {n.NoSelect, cmdmon.SourceNoSelect},
		{n.Trust, cmdmon.SourceTrust}, {n.Require, cmdmon.SourceRequire}, {n.Interleaved, cmdmon.SourceInterleaved}} {
		if f.given {
			s.Flags |= f.flag
		}
	}
	return s, nil
}

// delete deletes all sources of that name: those of a pool are many, and some of them have no address yet.
func (c *Chrony) delete(ctx context.Context, s *session, d Delete) error {
	all, some, err := s.choose(ctx, d.Source)
	if err != nil {
		return err
	}
	for _, f := range some {
		if _, err := s.command(ctx, cmdmon.DelSource, cmdmon.Of(f.at)); err != nil && !errors.Is(err, cmdmon.NoSuchSource) {
			return err
		}
	}
	c.memory.remove(sourcesOf(all), sourcesOf(some), addresses(some)...)
	return nil
}

func (c *Chrony) setOnline(ctx context.Context, s *session, o SetOnline) error {
	q := cmdmon.Offline
	if o.Online {
		q = cmdmon.Online
	}
	err := s.each(ctx, o.Source, func(to cmdmon.Subnet) error {
		_, err := s.command(ctx, q, to)
		return err
	})
	if err != nil {
		return err
	}
	all, err := s.walk(ctx)
	if err != nil {
		return err
	}
	if o.Source != "" {
		all = chosen(all, found.source, o.Source)
	}
	c.memory.setOnline(addresses(all), o.Online)
	return nil
}

func (c *Chrony) setPoll(ctx context.Context, s *session, p SetPoll) error {
	_, some, err := s.choose(ctx, p.Source)
	if err != nil {
		return err
	}
	q := cmdmon.ModifyMinPoll
	if p.Max {
		q = cmdmon.ModifyMaxPoll
	}
	for _, f := range some {
		if _, err := s.command(ctx, q, cmdmon.Poll{Of: f.at, Poll: int32(p.Poll)}); err != nil {
			return err
		}
		c.memory.setPoll(f.Name, f.at.String(), p.Max, p.Poll)
	}
	return nil
}

// each does something to the sources of a name, or to all at once.
func (s *session) each(ctx context.Context, name string, do func(cmdmon.Subnet) error) error {
	if name == "" {
		return do(cmdmon.Subnet{})
	}
	_, some, err := s.choose(ctx, name)
	if err != nil {
		return err
	}
	done := false
	for _, f := range some {
		if !f.at.IP.IsValid() {
			continue
		}
		if err := do(cmdmon.Subnet(netip.PrefixFrom(f.at.IP, f.at.IP.BitLen()))); err != nil {
			return err
		}
		done = true
	}
	if !done {
		return unresolved(name)
	}
	return nil
}

func unresolved(name string) error {
	return api.Failf(api.Conflict, "chronyd has found no address of %s yet: sources refresh lets it try again", shown(name))
}

// choose are all sources, and those of a name or address, at least one.
func (s *session) choose(ctx context.Context, name string) (all, some []found, err error) {
	if all, err = s.walk(ctx); err != nil {
		return nil, nil, err
	}
	some = chosen(all, found.source, name)
	if len(some) == 0 {
		return nil, nil, api.Failf(api.NotFound, "chronyd has no source %s; sources lists them", shown(name))
	}
	for _, f := range some {
		if f.Kind == "refclock" {
			return nil, nil, api.Failf(api.Conflict, "%s is a reference clock of chronyd's: those are changed in its configuration alone", shown(name))
		}
	}
	return all, some, nil
}

func (f found) source() api.Source { return f.Source }

func sourcesOf(all []found) []api.Source {
	s := make([]api.Source, 0, len(all))
	for _, f := range all {
		s = append(s, f.Source)
	}
	return s
}

func addresses(all []found) []string {
	s := make([]string, 0, len(all))
	for _, f := range all {
		s = append(s, f.at.String())
	}
	return s
}

// refused sorts what chronyd says to a change. Who does not answer may have made it all the same.
func refused(err error) error {
	if err == nil {
		return nil
	}
	if sorted, ok := errors.AsType[*api.Error](err); ok {
		return sorted
	}
	status, ok := errors.AsType[cmdmon.Status](err)
	if !ok {
		return api.Fail(api.Unavailable, err)
	}
	switch status {
	case cmdmon.NoSuchSource:
		return api.Fail(api.NotFound, err)
	case cmdmon.BadName, cmdmon.BadFamily:
		return api.Fail(api.BadArgument, err)
	}
	return api.Fail(api.Conflict, err)
}
