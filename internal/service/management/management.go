// Package management answers the commands that change something: rotate keys, drain targets, reload, let somebody in once. Each is typed and does
// one thing; it checks what the parts cannot know and leaves the doing to them. Who may call is the table's business.
package management

import (
	"context"
	"errors"
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

// Service changes.
type Service struct {
	rings   Rings
	targets Targets
	logins  Logins
	reload  func() error
	pages   func() []string
}

// New makes the service. reload reads the configuration again, all or nothing; pages are the addresses of the dashboard.
func New(r Rings, t Targets, l Logins, reload func() error, pages func() []string) *Service {
	return &Service{r, t, l, reload, pages}
}

// Bindings are the handlers of all commands that change something.
func (s *Service) Bindings() []api.Binding {
	return []api.Binding{
		api.Bind(api.RotateKeys, s.rotate),
		api.Bind(api.DrainTarget, func(_ context.Context, _ api.Caller, a api.TargetArg) (api.Targets, error) { return s.drain(a, true) }),
		api.Bind(api.UndrainTarget, func(_ context.Context, _ api.Caller, a api.TargetArg) (api.Targets, error) { return s.drain(a, false) }),
		api.Bind(api.Login, s.login),
		api.Bind(api.Reload, func(context.Context, api.Caller, api.None) (api.None, error) {
			return api.None{}, api.Fail(api.Conflict, s.reload())
		}),
	}
}

// login gives a link of at most the caller's own role.
func (s *Service) login(_ context.Context, who api.Caller, a api.LoginArg) (api.Link, error) {
	role := api.Monitor
	if a.Role != "" {
		var ok bool
		if role, ok = api.ParseRole(a.Role); !ok || role == api.Anonymous {
			return api.Link{}, api.Failf(api.BadArgument, "role %.64q: must be monitor, operator or admin", a.Role)
		}
	}
	pages := s.pages()
	if len(pages) == 0 {
		return api.Link{}, api.Failf(api.Conflict, "there is no dashboard: give the configuration a section [monitoring] and restart ntptsd")
	}
	token, until, err := s.logins.Link(who, role)
	if err != nil {
		return api.Link{}, err
	}
	l := api.Link{Token: token, Role: role.String(), Until: until.UTC()}
	for _, p := range pages {
		l.URLs = append(l.URLs, p+"#token="+token)
	}
	return l, nil
}

func (s *Service) rotate(ctx context.Context, _ api.Caller, a api.RingArg) (api.Keys, error) {
	if a.Ring == "" {
		a.Ring = config.DefaultRing
	}
	if err := s.rings.Rotate(ctx, a.Ring); err != nil {
		return api.Keys{}, api.Fail(kindOf(err), err)
	}
	return api.Keys{Rings: s.rings.View()}, nil
}

// kindOf sorts the errors of a rotation.
func kindOf(err error) api.Kind {
	switch {
	case errors.Is(err, keyring.ErrUnknownRing):
		return api.NotFound
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return api.Unavailable
	case errors.Is(err, keyring.ErrUnsynchronised), errors.Is(err, keyring.ErrUnpublished), errors.Is(err, keyring.ErrFollowed),
		errors.Is(err, keyring.ErrPromised):
		return api.Conflict
	}
	return api.Internal // a disk that fails, which the log tells of
}

func (s *Service) drain(a api.TargetArg, drain bool) (api.Targets, error) {
	if a.Target == "" {
		return api.Targets{}, api.Failf(api.BadArgument, "name a target, as targets shows it")
	}
	if err := s.targets.Drain(a.Target, drain); err != nil {
		return api.Targets{}, err
	}
	return api.Targets{Targets: s.targets.Targets()}, nil
}
