package crash

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/ntptsd/ntptsd/test/client"
)

const (
	maxAssociations = 24 // whose cookies are kept, and so the oldest of them
	maxTokens       = 12
)

// promises are what the daemon has answered, and so must keep over a crash. What it has not answered may be so or not.
type promises struct {
	mu      sync.Mutex
	cookies []*client.Association
	revoked *client.Association // whose key is; nil: none
	heads   map[uint64]string   // of the audit log, by sequence
	tokens  map[string]token    // by name
	waiting uint64              // a change that waits to be confirmed, and does so over a restart; 0: none
	counts  map[string]int      // what was done, for the one who reads the test's output
}

type token struct {
	secret  string
	revoked bool
	unsure  bool // it was asked to be revoked, and nobody answered
}

func newPromises() *promises {
	return &promises{heads: make(map[uint64]string), tokens: make(map[string]token), counts: make(map[string]int)}
}

// kinds are how many things there are to ask for.
const kinds = 10

// act asks the daemon for one thing or the other. An error is of one that was killed meanwhile.
func (p *promises) act(s *server, n int) error {
	switch n % kinds {
	case 0, 1:
		return p.exchange(s)
	case 2:
		return p.change(s, "keys rotate", nil, nil)
	case 3:
		return p.issue(s)
	case 4:
		return p.revoke(s)
	case 5:
		return p.banOrNot(s, rand.IntN(8))
	case 6:
		if err := p.change(s, "targets drain", map[string]any{"target": "127.0.0.1:" + strconv.Itoa(s.ntp), "confirm_within_seconds": 60}, nil); err != nil {
			return err
		}
		return p.settle(s)
	case 7:
		return p.revokeKey(s)
	case 8: // before anything waits to be confirmed, which is not saved
		return errors.Join(p.change(s, "changes save", nil, nil), p.change(s, "reload", nil, nil))
	}
	return p.wait(s)
}

// renew gets another certificate, which takes seconds.
func (p *promises) renew(s *server) error {
	return p.change(s, "certs renew", map[string]any{"name": "authority"}, nil)
}

// banOrNot bans one of a few networks, or ends that.
func (p *promises) banOrNot(s *server, n int) error {
	err := p.change(s, "bans add", map[string]any{"network": network(n), "reason": "test"}, nil)
	if errors.Is(err, errRefused) {
		err = p.change(s, "bans remove", map[string]any{"network": network(n)}, nil)
	}
	return err
}

func network(n int) string { return fmt.Sprintf("192.0.2.%d/32", n%8) }

// ban makes two changes that fill the audit log.
func (p *promises) ban(s *server, n int) error {
	err := p.change(s, "bans add", map[string]any{"network": network(n), "reason": strings.Repeat("test ", 20)}, nil)
	if err == nil || errors.Is(err, errRefused) {
		err = p.change(s, "bans remove", map[string]any{"network": network(n)}, nil)
	}
	return err
}

// revokeKey ends the oldest key. Its cookies are promised no more, whether it is answered or not.
func (p *promises) revokeKey(s *server) error {
	var k struct {
		Rings []struct {
			Name string `json:"name"`
			Keys []struct {
				ID    string `json:"id"`
				State string `json:"state"`
			} `json:"keys"`
		} `json:"rings"`
	}
	if err := s.read("keys", &k); err != nil || len(k.Rings) == 0 || len(k.Rings[0].Keys) < 3 || k.Rings[0].Keys[0].State != "old" {
		return err
	}
	oldest := k.Rings[0].Keys[0].ID
	id, err := strconv.ParseUint(oldest, 16, 32)
	if err != nil {
		return err
	}
	p.mu.Lock()
	var only *client.Association // that has nothing but such cookies
	p.cookies = slices.DeleteFunc(p.cookies, func(a *client.Association) bool {
		keys := a.Keys()
		if !slices.Contains(keys, uint32(id)) {
			return false
		}
		if len(keys) == 1 {
			only = a
		}
		return true
	})
	p.mu.Unlock()
	if err := p.change(s, "keys revoke", map[string]any{"ring": k.Rings[0].Name, "key": oldest}, nil); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revoked = only
	return nil
}

// wait leaves a change to be confirmed, or settles the one that waits.
func (p *promises) wait(s *server) error {
	p.mu.Lock()
	p.waiting = 0 // whoever is not answered knows nothing
	p.mu.Unlock()
	before, err := s.waits("log level")
	if err != nil {
		return err
	}
	if before != 0 {
		return p.change(s, []string{"changes confirm", "changes undo"}[rand.IntN(2)], map[string]any{"change": before}, nil)
	}
	var l struct {
		Level string `json:"level"`
	}
	if err := s.read("log", &l); err != nil {
		return err
	}
	level := "debug"
	if l.Level == level {
		level = "info"
	}
	if err := p.change(s, "log level", map[string]any{"level": level, "confirm_within_seconds": 3600}, nil); err != nil {
		return err
	}
	after, err := s.waits("log level")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = after
	return err
}

// change makes one, and remembers the head that came with the answer.
func (p *promises) change(s *server, name string, args map[string]any, result any) error {
	head, err := s.do(name, args, result)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[name]++
	sequence, err := strconv.ParseUint(head[0], 10, 64)
	if err != nil {
		return err
	}
	p.heads[sequence] = head[1]
	return nil
}

func (p *promises) exchange(s *server) error {
	a, err := client.Exchange(fmt.Sprintf("127.0.0.1:%d", s.ke), s.roots)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts["key exchange"]++
	if p.cookies = append(p.cookies, a); len(p.cookies) > maxAssociations {
		i := rand.IntN(len(p.cookies) - 1)
		p.cookies = slices.Delete(p.cookies, i, i+1)
	}
	return nil
}

func (p *promises) issue(s *server) error {
	var answer struct {
		Token string `json:"token"`
	}
	name := fmt.Sprintf("t%d", rand.Uint32())
	if err := p.change(s, "access token", map[string]any{"name": name, "role": "monitor"}, &answer); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens[name] = token{secret: answer.Token}
	return nil
}

func (p *promises) revoke(s *server) error {
	p.mu.Lock()
	names := slices.Collect(maps.Keys(p.tokens))
	if len(names) < maxTokens {
		p.mu.Unlock()
		return nil
	}
	name := names[rand.IntN(len(names))]
	t := p.tokens[name]
	t.unsure = true
	p.tokens[name] = t
	p.mu.Unlock()
	err := p.change(s, "access revoke", map[string]any{"name": name}, nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.tokens[name]; err == nil {
		t.revoked, t.unsure = true, false
		p.tokens[name] = t
	}
	return err
}

// settle confirms or undoes that of a target.
func (p *promises) settle(s *server) error {
	drain, err := s.waits("targets drain")
	if err != nil {
		return err
	}
	if drain != 0 {
		word := []string{"changes confirm", "changes undo"}[rand.IntN(2)]
		if err := p.change(s, word, map[string]any{"change": drain}, nil); err != nil {
			return err
		}
	}
	return p.change(s, "targets undrain", map[string]any{"target": "127.0.0.1:" + strconv.Itoa(s.ntp)}, nil)
}
