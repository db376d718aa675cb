package neighbour

import (
	"cmp"
	"slices"

	"github.com/ntptsd/ntptsd/internal/api"
)

// population is all that a daemon remembers of its clients, as far as we keep it.
type population struct {
	known int // how many it remembers
	kept  []api.Client
	cut   bool // it remembers more, which were not read
}

// busiest collects the busiest clients in bounded memory.
type busiest struct{ population }

// add takes one more. Those that cannot be among the api.MaxClients busiest are forgotten when twice as many are there.
func (b *busiest) add(c api.Client) {
	b.known++
	b.kept = append(b.kept, c)
	if len(b.kept) >= 2*api.MaxClients {
		b.shorten()
	}
}

func (b *busiest) shorten() {
	slices.SortFunc(b.kept, func(x, y api.Client) int {
		return cmp.Or(cmp.Compare(y.Requests, x.Requests), cmp.Compare(x.Address, y.Address))
	})
	b.kept = b.kept[:min(len(b.kept), api.MaxClients)]
}

// all is what was collected, sorted.
func (b *busiest) all() population {
	b.shorten()
	return b.population
}

// first are at most limit of them.
func (p population) first(limit int) api.Clients {
	return api.Clients{Known: p.known, More: p.cut, Clients: append([]api.Client{}, p.kept[:max(0, min(limit, len(p.kept)))]...)}
}
