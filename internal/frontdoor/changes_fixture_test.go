package frontdoor

import (
	"context"
	"sync"

	"github.com/ntptsd/ntptsd/internal/api"
)

// plainly carries changes out as the ledger does, without writing anything down.
type plainly struct {
	table *api.Table

	mu      sync.Mutex
	hows    []api.How // of what was carried out
	refused []string  // commands
}

func (p *plainly) Change(ctx context.Context, who api.Caller, d api.Declaration, args []byte, how api.How) (any, error) {
	p.mu.Lock()
	p.hows = append(p.hows, how)
	p.mu.Unlock()
	plan, err := p.table.Plan(ctx, who, d.Name, args)
	if err != nil {
		return nil, err
	}
	o := api.Outcome[any]{Plan: plan.Plan, DryRun: how.DryRun}
	if !how.DryRun {
		result, err := plan.Do(ctx)
		if err != nil {
			return nil, err
		}
		o.Result = &result
	}
	return p.table.Outcome(d.Name, o), nil
}

func (p *plainly) Refused(_ api.Caller, d api.Declaration, _ []byte, _ api.How, _ error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = append(p.refused, d.Name)
}

// doing is the plan of what a handler does.
func doing[A, R any](handle func(context.Context, api.Caller, A) (R, error)) func(context.Context, api.Caller, A) (api.Change[R], error) {
	return func(_ context.Context, who api.Caller, a A) (api.Change[R], error) {
		return api.Change[R]{Plan: api.Plan{Summary: "do it"}, Do: func(ctx context.Context) (R, error) { return handle(ctx, who, a) }}, nil
	}
}
