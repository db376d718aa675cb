package management

import (
	"context"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/neighbour"
)

func (s *Service) step(ctx context.Context, who api.Caller, a api.StepArg) (api.Change[api.Confirmation], error) {
	return s.twice(ctx, request{who, api.StepClock.Name, ""}, a.Token, func(time.Time) neighbour.Change { return neighbour.Step{} })
}

// setTime reads the time of the first call. What passes until the second one, whoever tells chronyd adds.
func (s *Service) setTime(ctx context.Context, who api.Caller, a api.SetTimeArg) (c api.Change[api.Confirmation], err error) {
	t, err := time.Parse(time.RFC3339Nano, a.Time)
	if err != nil {
		return c, api.Failf(api.BadArgument, "time %.64q: must be as 2027-01-31T12:00:00Z", a.Time)
	}
	return s.twice(ctx, request{who, api.SetTime.Name, a.Time}, a.Token, func(first time.Time) neighbour.Change {
		return neighbour.SetTime{Time: t, Since: first}
	})
}

// twice plans a command that is called twice: without a token it gives one, and with that one it does it.
func (s *Service) twice(ctx context.Context, q request, token string, of func(first time.Time) neighbour.Change) (c api.Change[api.Confirmation], err error) {
	first := time.Now()
	if token != "" {
		if first, err = s.tokens.check(q, token); err != nil {
			return c, err
		}
	}
	change := of(first)
	o, err := s.Neighbour.Plan(ctx, change)
	if err != nil {
		return c, err
	}
	if token == "" {
		c.Summary = "give a token for a second call, which would: " + o.Summary
		c.Do = func(context.Context) (api.Confirmation, error) { return s.tokens.give(q, o.Summary, first) }
		return c, nil
	}
	c.Plan = api.Plan{Summary: o.Summary, Before: o.Before, After: o.After}
	c.Do = func(ctx context.Context) (api.Confirmation, error) {
		if err := s.tokens.take(q, token); err != nil { // somebody else's call was faster
			return api.Confirmation{}, err
		}
		return api.Confirmation{Done: true, Command: q.command}, s.Neighbour.Change(ctx, change)
	}
	return c, nil
}
