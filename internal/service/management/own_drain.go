package management

import (
	"context"
	"fmt"
	"slices"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Host is whether this host takes clients. Safe for concurrent use.
type Host interface {
	DrainHost(drain bool)
	Draining() bool
}

// Listeners are the sockets of a service. Safe for concurrent use.
type Listeners interface {
	Listeners() []api.Listener
	DrainListener(name string, drain bool) (known bool)
}

func (s *Service) serving() api.Serving {
	v := api.Serving{Draining: s.Host.Draining()}
	for _, l := range s.Parts.Listeners {
		v.Listeners = append(v.Listeners, l.Listeners()...)
	}
	return v
}

// drainHost plans that nobody is sent here any more. Listeners stay open, and who comes is served: a load balancer takes its
// clients away when it sees that /readyz says no, and those that it has not moved yet must not lose their time meanwhile.
func (s *Service) drainHost(drain bool) (c api.Change[api.Serving]) {
	c.Summary, c.Undo = "be neither ready nor fit, and send clients to other targets", api.StepOf(api.Undrain, api.None{})
	if !drain {
		c.Summary, c.Undo = "be ready and fit again", api.StepOf(api.Drain, api.None{})
	}
	c.Result = s.serving()
	c.Before, c.After = drained(c.Result.Draining), drained(drain)
	if c.Result.Draining == drain {
		return c
	}
	c.Do = func(context.Context) (api.Serving, error) {
		s.Host.DrainHost(drain)
		return s.serving(), nil
	}
	return c
}

func (s *Service) drainListener(a api.ListenerArg, drain bool) (c api.Change[api.Serving], err error) {
	if a.Listener == "" {
		return c, api.Failf(api.BadArgument, "name a listener, as listeners shows it")
	}
	c.Result = s.serving()
	i := slices.IndexFunc(c.Result.Listeners, func(l api.Listener) bool { return l.Name == a.Listener })
	switch {
	case i < 0:
		return c, api.Failf(api.NotFound, "there is no listener %.64q; listeners lists them", a.Listener)
	case !c.Result.Listeners[i].Drains:
		return c, api.Failf(api.Conflict, "%s is how commands come in, and cannot be drained: to close it, take it out of the configuration and restart ntptsd", a.Listener)
	}
	l := c.Result.Listeners[i]
	c.Undo = api.StepOf(api.UndrainListener, a)
	c.Summary = fmt.Sprintf("take no more clients of %s at %s", l.Service, l.Name)
	if !drain {
		c.Undo = api.StepOf(api.DrainListener, a)
		c.Summary = fmt.Sprintf("take clients of %s at %s again", l.Service, l.Name)
	}
	c.Before, c.After = drained(l.Draining), drained(drain)
	if l.Draining == drain {
		return c, nil
	}
	c.Do = func(context.Context) (api.Serving, error) {
		for _, one := range s.Parts.Listeners {
			if one.DrainListener(l.Name, drain) {
				s.tell(api.EventListener, api.Warning, "listener %s: %s", l.Name, drained(drain))
				return s.serving(), nil
			}
		}
		return api.Serving{}, api.Failf(api.NotFound, "there is no listener %.64q any more", a.Listener)
	}
	return c, nil
}
