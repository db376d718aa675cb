package management

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/neighbour"
)

// Neighbour is the time daemon next door. Safe for concurrent use. Errors of Plan and Change have an api.Kind.
type Neighbour interface {
	Name() string // empty: none
	Via() string  // how it was asked last
	Sources(ctx context.Context) ([]api.Source, error)
	// Plan says what a change would do, and all that can be said against it.
	Plan(ctx context.Context, c neighbour.Change) (neighbour.Outlook, error)
	Change(ctx context.Context, c neighbour.Change) error
	// Persistable are the sources that were added here and not deleted since, as lines of its configuration.
	Persistable() []string
}

func (s *Service) neighbourBindings() []api.Binding {
	return []api.Binding{
		api.Bind(api.GetNextDoor, func(context.Context, api.Caller, api.None) (api.NextDoor, error) {
			return api.NextDoor{Daemon: s.Neighbour.Name(), Via: s.Neighbour.Via(), Added: s.Neighbour.Persistable()}, nil
		}),
		bindSources(s, api.AddSource, addition),
		bindSources(s, api.DeleteSource, func(a api.KnownSourceArg) (neighbour.Change, error) {
			return neighbour.Delete{Source: a.Source}, named(a.Source)
		}),
		bindSources(s, api.SourceOnline, func(a api.SomeSourceArg) (neighbour.Change, error) {
			return neighbour.SetOnline{Source: a.Source, Online: true}, nil
		}),
		bindSources(s, api.SourceOffline, func(a api.SomeSourceArg) (neighbour.Change, error) {
			return neighbour.SetOnline{Source: a.Source}, nil
		}),
		bindSources(s, api.SourceBurst, burst),
		bindSources(s, api.SourceMinPoll, func(a api.PollArg) (neighbour.Change, error) { return poll(a, false) }),
		bindSources(s, api.SourceMaxPoll, func(a api.PollArg) (neighbour.Change, error) { return poll(a, true) }),
		bindSources(s, api.RefreshNames, func(api.None) (neighbour.Change, error) { return neighbour.Refresh{}, nil }),
		bindSources(s, api.ReloadSources, func(api.None) (neighbour.Change, error) { return neighbour.ReloadSources{}, nil }),
		bindTold(s, api.RekeyNeighbour, neighbour.Rekey{}),
		bindTold(s, api.DumpNeighbour, neighbour.Dump{}),
		bindTold(s, api.CycleLogs, neighbour.CycleLogs{}),
		api.BindChange(api.StepClock, s.step),
		api.BindChange(api.SetTime, s.setTime),
	}
}

// bindSources binds a command that changes the sources, and answers with all of them.
func bindSources[A any](s *Service, cmd api.Command[A, api.Sources], of func(A) (neighbour.Change, error)) api.Binding {
	return api.BindChange(cmd, func(ctx context.Context, _ api.Caller, a A) (c api.Change[api.Sources], err error) {
		change, err := of(a)
		if err != nil {
			return c, err
		}
		return planned(ctx, s, change, s.sources)
	})
}

// bindTold binds a command that the daemon answers with no more than that it was told.
func bindTold(s *Service, cmd api.Command[api.None, api.Told], change neighbour.Change) api.Binding {
	return api.BindChange(cmd, func(ctx context.Context, _ api.Caller, _ api.None) (api.Change[api.Told], error) {
		return planned(ctx, s, change, func(context.Context) (api.Told, error) { return api.Told{Daemon: s.Neighbour.Name()}, nil })
	})
}

// planned plans a change of the daemon, behind which answer tells how it is.
func planned[R any](ctx context.Context, s *Service, change neighbour.Change, answer func(context.Context) (R, error)) (c api.Change[R], err error) {
	o, err := s.Neighbour.Plan(ctx, change)
	if err != nil {
		return c, err
	}
	c.Plan = api.Plan{Summary: o.Summary, Before: o.Before, After: o.After}
	if o.Done {
		c.Result, err = answer(ctx)
		return c, err
	}
	c.Undo = undo(o.Undo)
	c.Do = func(ctx context.Context) (r R, err error) {
		if err := s.Neighbour.Change(ctx, change); err != nil {
			return r, err
		}
		return answer(ctx)
	}
	return c, nil
}

func (s *Service) sources(ctx context.Context) (api.Sources, error) {
	all, err := s.Neighbour.Sources(ctx)
	if _, sorted := errors.AsType[*api.Error](err); !sorted {
		err = api.Fail(api.Unavailable, err)
	}
	return api.Sources{Sources: all}, err
}

// undo is the command that makes a change.
func undo(c neighbour.Change) *api.Step {
	switch c := c.(type) {
	case neighbour.Add:
		return api.StepOf(api.AddSource, argument(c.NewSource))
	case neighbour.Delete:
		return api.StepOf(api.DeleteSource, api.KnownSourceArg{Source: c.Source})
	case neighbour.SetOnline:
		if c.Online {
			return api.StepOf(api.SourceOnline, api.SomeSourceArg{Source: c.Source})
		}
		return api.StepOf(api.SourceOffline, api.SomeSourceArg{Source: c.Source})
	case neighbour.SetPoll:
		cmd := api.SourceMinPoll
		if c.Max {
			cmd = api.SourceMaxPoll
		}
		return api.StepOf(cmd, api.PollArg{Source: c.Source, Poll: strconv.Itoa(c.Poll)})
	}
	return nil
}

func named(source string) error {
	if source == "" {
		return api.Failf(api.BadArgument, "name a source, as sources shows it")
	}
	return nil
}

// addition reads the arguments of a new source. What they mean together, the daemon's client judges.
func addition(a api.NewSourceArg) (neighbour.Change, error) {
	n := neighbour.NewSource{Name: a.Source, Kind: strings.ToLower(a.Kind), Port: a.Port, NTSPort: a.NTSPort, Key: a.KeyID, Version: a.Version,
		MaxSources: a.MaxSources, NTS: a.NTS, IBurst: a.IBurst, Prefer: a.Prefer, NoSelect: a.NoSelect, Trust: a.Trust, Require: a.Require,
		Interleaved: a.XLeave}
	if a.Source == "" {
		return nil, api.Failf(api.BadArgument, "name the source: a host name or an address")
	}
	if n.Kind == "" {
		n.Kind = neighbour.KindServer
	}
	var err error
	if n.MinPoll, err = exponent("minpoll", a.MinPoll); err != nil {
		return nil, err
	}
	n.MaxPoll, err = exponent("maxpoll", a.MaxPoll)
	return neighbour.Add{NewSource: n}, err
}

// argument is what addition reads.
func argument(n neighbour.NewSource) api.NewSourceArg {
	a := api.NewSourceArg{Source: n.Name, Kind: n.Kind, Port: n.Port, NTSPort: n.NTSPort, KeyID: n.Key, Version: n.Version, MaxSources: n.MaxSources,
		NTS: n.NTS, IBurst: n.IBurst, Prefer: n.Prefer, NoSelect: n.NoSelect, Trust: n.Trust, Require: n.Require, XLeave: n.Interleaved}
	if n.MinPoll.Given {
		a.MinPoll = strconv.Itoa(n.MinPoll.Log2)
	}
	if n.MaxPoll.Given {
		a.MaxPoll = strconv.Itoa(n.MaxPoll.Log2)
	}
	return a
}

func exponent(name, text string) (e neighbour.Exponent, err error) {
	if text == "" {
		return e, nil
	}
	const digits = 3 // and a sign: more is no interval
	n, err := strconv.Atoi(text)
	if err != nil || len(text) > digits+1 {
		return e, api.Failf(api.BadArgument, "%s %.64q: must be a whole number: the log2 of seconds, 6 for 64 s", name, text)
	}
	return neighbour.Log2(n), nil
}

func poll(a api.PollArg, max bool) (neighbour.Change, error) {
	if err := named(a.Source); err != nil {
		return nil, err
	}
	e, err := exponent("poll", a.Poll)
	if err == nil && !e.Given {
		err = api.Failf(api.BadArgument, "say how long: poll is the log2 of seconds, 6 for 64 s")
	}
	return neighbour.SetPoll{Source: a.Source, Max: max, Poll: e.Log2}, err
}

func burst(a api.BurstArg) (neighbour.Change, error) {
	if a.Good == 0 {
		a.Good = 4
	}
	if a.Total == 0 {
		a.Total = 2 * a.Good
	}
	return neighbour.Burst{Source: a.Source, Good: a.Good, Total: a.Total}, nil
}
