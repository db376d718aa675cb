package management

import (
	"context"
	"fmt"
	"slices"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Ledger has the changes that undo themselves unless they are confirmed. Safe for concurrent use. Its errors have an
// api.Kind.
type Ledger interface {
	Pending() []api.Unconfirmed
	Confirm(id uint64) error
	UndoNow(ctx context.Context, id uint64) error
}

func (s *Service) changesBindings() []api.Binding {
	return []api.Binding{
		api.Bind(api.GetChanges, func(context.Context, api.Caller, api.None) (api.Changes, error) {
			return api.Changes{Changes: s.Ledger.Pending()}, nil
		}),
		api.BindChange(api.ConfirmChange, func(_ context.Context, who api.Caller, a api.ChangeArg) (api.Change[api.Changes], error) {
			return s.settle(who, a, "let change %d stay: %s", func(_ context.Context, id uint64) error { return s.Ledger.Confirm(id) })
		}),
		api.BindChange(api.UndoChange, func(_ context.Context, who api.Caller, a api.ChangeArg) (api.Change[api.Changes], error) {
			return s.settle(who, a, "undo change %d: %s", s.Ledger.UndoNow)
		}),
		api.BindChange(api.SaveChanges, s.save),
	}
}

// settle plans the end of a change that waits. Who could not have made it cannot decide about it.
func (s *Service) settle(who api.Caller, a api.ChangeArg, summary string, do func(context.Context, uint64) error) (c api.Change[api.Changes], err error) {
	all := s.Ledger.Pending()
	i := slices.IndexFunc(all, func(u api.Unconfirmed) bool { return u.ID == uint64(a.Change) })
	if a.Change <= 0 {
		return c, api.Failf(api.BadArgument, "say which change, by the number that changes shows")
	}
	if i < 0 {
		return c, api.Failf(api.NotFound, "no change %d waits to be confirmed; changes lists those that do", a.Change)
	}
	role, _ := api.ParseRole(all[i].Role)
	if err := (api.Declaration{Name: all[i].Command, Role: role}).Permit(who); err != nil {
		return c, api.Failf(api.Denied, "change %d: %w", a.Change, err)
	}
	c.Summary, c.Before, c.After = fmt.Sprintf(summary, a.Change, all[i].Summary), all[i].Before, all[i].After
	c.Do = func(ctx context.Context) (api.Changes, error) {
		if err := do(ctx, all[i].ID); err != nil {
			return api.Changes{}, err
		}
		return api.Changes{Changes: s.Ledger.Pending()}, nil
	}
	return c, nil
}
