// Package management answers the commands that change something: rotate keys, drain targets, reload. Each is typed and does
// one thing; it checks what the parts cannot know and leaves the doing to them. Who may call is the table's business.
package management

import (
	"context"
	"errors"

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

// Service changes.
type Service struct {
	rings   Rings
	targets Targets
	reload  func() error
}

// New makes the service. reload reads the configuration again, all or nothing.
func New(r Rings, t Targets, reload func() error) *Service { return &Service{r, t, reload} }

// Bindings are the handlers of all commands that change something.
func (s *Service) Bindings() []api.Binding {
	return []api.Binding{
		api.Bind(api.RotateKeys, s.rotate),
		api.Bind(api.DrainTarget, func(_ context.Context, _ api.Caller, a api.TargetArg) (api.Targets, error) { return s.drain(a, true) }),
		api.Bind(api.UndrainTarget, func(_ context.Context, _ api.Caller, a api.TargetArg) (api.Targets, error) { return s.drain(a, false) }),
		api.Bind(api.Reload, func(context.Context, api.Caller, api.None) (api.None, error) {
			return api.None{}, api.Fail(api.Conflict, s.reload())
		}),
	}
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
