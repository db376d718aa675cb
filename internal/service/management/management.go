// Package management answers the commands that change something: rotate keys, drain targets, reload, let somebody in once. Each is typed and does
// one thing; it checks what the parts cannot know and leaves the doing to them. Who may call is the table's business.
package management

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/keyring"
)

// Rings are the rings of cookie keys. Safe for concurrent use.
type Rings interface {
	Rotate(ctx context.Context, ring string) error
	View() []api.Ring
}

// Targets are the time servers of the key exchange. Safe for concurrent use. An error of Drain has its api.Kind.
type Targets interface {
	Drain(id string, drain bool) error
	Targets() []api.Target
}

// Logins makes ways in that work once. Safe for concurrent use. Its errors have an api.Kind.
type Logins interface {
	Link(who api.Caller, role api.Role) (token string, until time.Time, err error)
}

// Parts are what the commands change. Nil parts are not there.
type Parts struct {
	Rings   Rings
	Targets Targets
	Logins  Logins
	Reload  func() error    // reads the configuration again, all or nothing
	Check   func() error    // reads it, and tells what a reload would say, as far as that can be known without one
	Pages   func() []string // the addresses of the dashboard
	Ledger  Ledger
	Stores  []Store // what changes save writes to
	Audit   Audit
	Own
	Neighbour Neighbour
}

// Service changes.
type Service struct {
	Parts
	tokens tokens
}

// New makes the service.
func New(p Parts) *Service { return &Service{Parts: p} }

// Bindings are the planners of all commands that change something, and what reads for them.
func (s *Service) Bindings() []api.Binding {
	return slices.Concat([]api.Binding{
		api.BindChange(api.RotateKeys, s.rotate),
		api.BindChange(api.DrainTarget, func(_ context.Context, _ api.Caller, a api.TargetArg) (api.Change[api.Targets], error) {
			return s.drain(a, true)
		}),
		api.BindChange(api.UndrainTarget, func(_ context.Context, _ api.Caller, a api.TargetArg) (api.Change[api.Targets], error) {
			return s.drain(a, false)
		}),
		api.BindChange(api.Login, s.login),
		api.BindChange(api.Reload, s.reload),
	}, s.neighbourBindings(), s.ownBindings(), s.changesBindings(), s.auditBindings())
}

func (s *Service) reload(context.Context, api.Caller, api.None) (c api.Change[api.None], err error) {
	if err := s.Check(); err != nil {
		return c, api.Fail(api.Conflict, err)
	}
	c.Summary = "read the configuration again"
	c.Do = func(context.Context) (api.None, error) { return api.None{}, api.Fail(api.Conflict, s.Reload()) }
	return c, nil
}

// login gives a link of at most the caller's own role.
func (s *Service) login(_ context.Context, who api.Caller, a api.LoginArg) (c api.Change[api.Link], err error) {
	role := api.Monitor
	if a.Role != "" {
		var ok bool
		if role, ok = api.ParseRole(a.Role); !ok || role == api.Anonymous {
			return c, api.Failf(api.BadArgument, "role %.64q: must be monitor, operator or admin", a.Role)
		}
	}
	pages := s.Pages()
	if len(pages) == 0 {
		return c, api.Failf(api.Conflict, "there is no dashboard: give the configuration a section [monitoring] and restart ntptsd")
	}
	if role > who.Role {
		return c, api.Failf(api.Denied, "your own role, %s, cannot give %s", who.Role, role)
	}
	c.Summary = fmt.Sprintf("make a link that opens the dashboard once, with the role %s", role)
	c.Do = func(context.Context) (api.Link, error) { return s.link(who, role, pages) }
	return c, nil
}

func (s *Service) link(who api.Caller, role api.Role, pages []string) (api.Link, error) {
	token, until, err := s.Logins.Link(who, role)
	if err != nil {
		return api.Link{}, err
	}
	l := api.Link{Token: token, Role: role.String(), Until: until.UTC()}
	for _, p := range pages {
		l.URLs = append(l.URLs, p+"#token="+token)
	}
	return l, nil
}

func (s *Service) rotate(_ context.Context, _ api.Caller, a api.RingArg) (c api.Change[api.Keys], err error) {
	if a.Ring == "" {
		a.Ring = config.DefaultRing
	}
	view := s.Rings.View()
	i := slices.IndexFunc(view, func(r api.Ring) bool { return r.Name == a.Ring })
	if i < 0 {
		return c, api.Failf(api.NotFound, "there is no ring %.64q; keys lists them", a.Ring)
	}
	c.Summary = fmt.Sprintf("make the next key of ring %s the current one", a.Ring)
	c.Before, c.After = keyOf(view[i], api.KeyCurrent), keyOf(view[i], api.KeyNext)
	c.Do = func(ctx context.Context) (api.Keys, error) {
		if err := s.Rings.Rotate(ctx, a.Ring); err != nil {
			return api.Keys{}, ofRing(kindOf(err), err)
		}
		return api.Keys{Rings: s.Rings.View()}, nil
	}
	return c, nil
}

// keyOf names the key in that state.
func keyOf(r api.Ring, state string) string {
	for _, k := range r.Keys {
		if k.State == state {
			return "key " + k.ID
		}
	}
	return ""
}

// ofRing is an error of a ring as people are told it: which package says so is none of their business.
func ofRing(kind api.Kind, err error) error {
	if err == nil {
		return nil
	}
	return api.Failf(kind, "%s", strings.TrimPrefix(err.Error(), "keyring: "))
}

// kindOf sorts the errors of a rotation.
func kindOf(err error) api.Kind {
	switch {
	case errors.Is(err, keyring.ErrUnknownRing):
		return api.NotFound
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return api.Unavailable
	case errors.Is(err, keyring.ErrUnsynchronised), errors.Is(err, keyring.ErrUnpublished), errors.Is(err, keyring.ErrFollowed),
		errors.Is(err, keyring.ErrPromised), errors.Is(err, keyring.ErrFrozen):
		return api.Conflict
	}
	return api.Internal // a disk that fails, which the log tells of
}

func (s *Service) drain(a api.TargetArg, drain bool) (c api.Change[api.Targets], err error) {
	if a.Target == "" {
		return c, api.Failf(api.BadArgument, "name a target, as targets shows it")
	}
	all := s.Targets.Targets()
	i := slices.IndexFunc(all, func(t api.Target) bool { return t.ID == a.Target })
	if i < 0 {
		return c, unknownTarget(a.Target, all)
	}
	c.Undo = api.StepOf(api.UndrainTarget, a)
	c.Summary = "send no more clients to target " + a.Target
	if !drain {
		c.Undo = api.StepOf(api.DrainTarget, a)
		c.Summary = "send clients to target " + a.Target + " again"
	}
	c.Before, c.After = drained(all[i].Draining), drained(drain)
	c.Result.Targets = all
	if all[i].Draining != drain {
		c.Do = func(context.Context) (api.Targets, error) {
			if err := s.Targets.Drain(a.Target, drain); err != nil {
				return api.Targets{}, err
			}
			return api.Targets{Targets: s.Targets.Targets()}, nil
		}
	}
	return c, nil
}

func unknownTarget(name string, all []api.Target) error {
	var known []string
	for _, t := range all {
		known = append(known, t.ID)
	}
	if len(known) == 0 {
		return api.Failf(api.Conflict, "there are no targets; add them to the configuration as [[keyexchange.server]], or take this host itself out by drain")
	}
	return api.Failf(api.NotFound, "there is no target %.64q; known are %s", name, strings.Join(known, ", "))
}

func drained(yes bool) string {
	if yes {
		return "drained"
	}
	return "serving"
}
