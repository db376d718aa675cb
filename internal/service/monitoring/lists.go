package monitoring

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

func (s *Service) listSources(ctx context.Context, _ api.Caller, _ api.None) (api.Sources, error) {
	all, err := s.Neighbour.Sources(ctx)
	if err != nil {
		return api.Sources{}, failed(err)
	}
	return api.Sources{Sources: all}, nil
}

func (s *Service) source(ctx context.Context, _ api.Caller, a api.SourceArg) (api.Source, error) {
	if a.Source == "" {
		return api.Source{}, api.Failf(api.BadArgument, "name a source, as sources shows it")
	}
	all, err := s.Neighbour.Sources(ctx)
	if err != nil {
		return api.Source{}, failed(err)
	}
	for _, one := range all {
		if one.Name == a.Source || one.Address == a.Source {
			return one, nil
		}
	}
	return api.Source{}, api.Failf(api.NotFound, "there is no source %.64q; sources lists them", a.Source)
}

// place is a client's in the list: by its requests, the most first, then by its address.
type place struct {
	requests uint64
	address  string
}

func placeOf(c api.Client) place { return place{c.Requests, c.Address} }

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(q.requests, p.requests), cmp.Compare(p.address, q.address))
}

func (p place) String() string { return fmt.Sprintf("%d-%s", p.requests, p.address) }

func parsePlace(s string) (p place, err error) {
	requests, address, ok := strings.Cut(s, "-")
	if p.requests, err = strconv.ParseUint(requests, 10, 64); err != nil || !ok {
		return place{}, api.Failf(api.BadArgument, "after %.64q: must be what next was in the list before", s)
	}
	p.address = address
	return p, nil
}

// clients pages through the list by the place of the last client shown: the list changes while it is read, but nobody who
// stays where he is gets lost or told twice.
func (s *Service) clients(ctx context.Context, _ api.Caller, a api.ClientsArg) (api.Clients, error) {
	limit, err := bounded(a.Limit, api.DefaultClients, api.MaxClients)
	if err != nil {
		return api.Clients{}, err
	}
	var after *place
	if a.After != "" {
		p, err := parsePlace(a.After)
		if err != nil {
			return api.Clients{}, err
		}
		after = &p
	}
	all, err := s.Neighbour.Clients(ctx, api.MaxClients)
	if err != nil {
		return api.Clients{}, failed(err)
	}
	if after != nil {
		first := slices.IndexFunc(all.Clients, func(c api.Client) bool { return placeOf(c).compare(*after) > 0 })
		if first < 0 {
			first = len(all.Clients)
		}
		all.Clients = all.Clients[first:]
	}
	if len(all.Clients) > limit {
		all.Clients = all.Clients[:limit]
		all.Next = placeOf(all.Clients[limit-1]).String()
	}
	return all, nil
}

// networksEvery is how old the list of networks may be: to make it, the tables of all workers are merged, which costs
// milliseconds.
const networksEvery = 2 * time.Second

// networkList is the newest one, for all who ask. Safe for concurrent use.
type networkList struct {
	mu   sync.Mutex
	made time.Time // guarded by mu, as below; zero: never
	list api.Networks
}

func (s *Service) networks(_ context.Context, _ api.Caller, a api.NetworksArg) (api.Networks, error) {
	limit, err := bounded(a.Limit, api.DefaultNetworks, api.MaxNetworks)
	if err != nil {
		return api.Networks{}, err
	}
	l := &s.asked
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made.IsZero() || time.Since(l.made) > networksEvery {
		l.list, l.made = s.Networks(api.MaxNetworks), time.Now()
	}
	list := l.list
	list.Networks = list.Networks[:min(limit, len(list.Networks))]
	return list, nil
}
