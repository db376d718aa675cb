package neighbour

import (
	"slices"
	"strings"
	"sync"

	"github.com/ntptsd/ntptsd/internal/api"
)

// maxRemembered bounds the sources that are remembered, as the list of a daemon's sources is.
const maxRemembered = maxSources

// memory is what was done to a daemon here. Daemons do not tell with which options they follow a source, nor which ones are
// offline: what was before is known only as far as it is remembered. It ends with us, as what was done ends with the daemon.
type memory struct {
	mu      sync.Mutex // guards what follows
	daemon  string     // which run of the daemon what follows is of
	added   []NewSource
	deleted []string
	offline map[string]bool // by the daemon's address of the source
	polls   map[pollOf]int  // log2 s
}

// pollOf is a bound of a source, by the daemon's address of it.
type pollOf struct {
	at  string
	max bool
}

// Remembered implements Changer.
func (m *memory) Remembered() (added []NewSource, deleted []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.added), slices.Clone(m.deleted)
}

// of forgets what was done to another run of the daemon, but not what somebody wanted to be followed.
func (m *memory) of(daemon string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.daemon != daemon {
		m.daemon, m.offline, m.polls = daemon, nil, nil
	}
}

// find is how a source was added here, by the name that it was given.
func (m *memory) find(name string) (s NewSource, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.index(name); i >= 0 {
		return m.added[i], true
	}
	return s, false
}

func (m *memory) index(name string) int {
	return slices.IndexFunc(m.added, func(s NewSource) bool { return strings.EqualFold(s.Name, name) })
}

// add remembers the newest.
func (m *memory) add(s NewSource) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.index(s.Name); i >= 0 {
		m.added = slices.Delete(m.added, i, i+1)
	}
	if len(m.added) == maxRemembered {
		m.added = slices.Delete(m.added, 0, 1)
	}
	m.added = append(m.added, s)
	m.deleted = without(m.deleted, s.Name)
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// remove forgets sources that were deleted, and what was done to them: some of all that there were, known to the daemon by these
// addresses. A name counts as deleted if none of its sources is left.
func (m *memory) remove(all, some []api.Source, at ...string) {
	of := func(s api.Source) api.Source { return s }
	for _, s := range some {
		for _, name := range []string{s.Name, s.Address} {
			if len(chosen(all, of, name)) == len(chosen(some, of, name)) {
				m.forgetName(name)
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range at {
		delete(m.offline, a)
		delete(m.polls, pollOf{a, false})
		delete(m.polls, pollOf{a, true})
	}
}

func (m *memory) forgetName(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.index(name); i >= 0 {
		m.added = slices.Delete(m.added, i, i+1)
	}
	if m.deleted = without(m.deleted, name); name != "" && len(m.deleted) < 2*maxRemembered {
		m.deleted = append(m.deleted, name)
	}
}

// setOnline remembers which sources are offline.
func (m *memory) setOnline(at []string, online bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range at {
		if online {
			delete(m.offline, a)
			continue
		}
		if m.offline == nil {
			m.offline = make(map[string]bool)
		}
		if len(m.offline) < maxRemembered {
			m.offline[a] = true
		}
	}
}

// offlineOf are those of the sources that were set offline here.
func (m *memory) offlineOf(at []string) map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	off := make(map[string]bool)
	for _, a := range at {
		if m.offline[a] {
			off[a] = true
		}
	}
	return off
}

// poll is a bound of a source, if it was set here.
func (m *memory) poll(name, at string, max bool) (n int, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n, known = m.polls[pollOf{at, max}]; known {
		return n, true
	}
	i := m.index(name)
	if i < 0 {
		return 0, false
	}
	low, high := m.added[i].polls()
	if max {
		return high, true
	}
	return low, true
}

// setPoll remembers a bound, and changes how a source was added.
func (m *memory) setPoll(name, at string, max bool, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.index(name); i >= 0 {
		if max {
			m.added[i].MaxPoll = Log2(n)
		} else {
			m.added[i].MinPoll = Log2(n)
		}
	}
	if m.polls == nil {
		m.polls = make(map[pollOf]int)
	}
	if _, known := m.polls[pollOf{at, max}]; known || len(m.polls) < 2*maxRemembered {
		m.polls[pollOf{at, max}] = n
	}
}

// whole is how the sources of a list were added here, if they are all of that list that go back to one addition.
func (m *memory) whole(all, some []api.Source) (s NewSource, ok bool) {
	for _, one := range some {
		for _, name := range []string{one.Name, one.Address} {
			found, known := m.find(name)
			if !known {
				continue
			}
			if ok && found != s {
				return s, false
			}
			s, ok = found, true
		}
	}
	of := func(s api.Source) api.Source { return s }
	return s, ok && len(chosen(all, of, s.Name)) == len(some)
}
