package crash

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/audit"
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
	heads   map[uint64]string // of the audit log, by sequence
	tokens  map[string]token  // by name
	counts  map[string]int    // what was done, for the one who reads the test's output
}

type token struct {
	secret  string
	revoked bool
	unsure  bool // it was asked to be revoked, and nobody answered
}

func newPromises() *promises {
	return &promises{heads: make(map[uint64]string), tokens: make(map[string]token), counts: make(map[string]int)}
}

// act asks the daemon for one thing or the other. An error is of one that was killed meanwhile.
func (p *promises) act(s *server, n int) error {
	switch n % 8 {
	case 0, 1:
		return p.exchange(s)
	case 2:
		return p.change(s, "keys rotate", nil, nil)
	case 3:
		return p.issue(s)
	case 4:
		return p.revoke(s)
	case 5:
		network := fmt.Sprintf("192.0.2.%d/32", rand.IntN(8))
		if err := p.change(s, "bans add", map[string]any{"network": network, "reason": "test"}, nil); !errors.Is(err, errRefused) {
			return err
		}
		return p.change(s, "bans remove", map[string]any{"network": network}, nil)
	case 6:
		if err := p.change(s, "targets drain", map[string]any{"target": "127.0.0.1:" + strconv.Itoa(s.ntp), "confirm_within_seconds": 60}, nil); err != nil {
			return err
		}
		return p.settle(s)
	}
	return errors.Join(p.change(s, "changes save", nil, nil), p.change(s, "reload", nil, nil))
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

// settle confirms or undoes what waits.
func (p *promises) settle(s *server) error {
	var c struct {
		Changes []struct {
			Change uint64 `json:"change"`
		} `json:"changes"`
	}
	if err := s.read("changes", &c); err != nil || len(c.Changes) == 0 {
		return err
	}
	word := []string{"changes confirm", "changes undo"}[rand.IntN(2)]
	err := p.change(s, word, map[string]any{"change": c.Changes[0].Change}, nil)
	if err == nil {
		err = p.change(s, "targets undrain", map[string]any{"target": "127.0.0.1:" + strconv.Itoa(s.ntp)}, nil)
	}
	return err
}

// hold fails the test if the daemon, which was started again, does not keep one of them.
func (p *promises) hold(t *testing.T, s *server) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cookiesHold(t, s)
	p.tokensHold(t, s)
	p.auditHolds(t, s)
}

func (p *promises) cookiesHold(t *testing.T, s *server) {
	t.Helper()
	conn, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", s.ntp))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, a := range p.cookies {
		if err := client.Ask(conn, a); err != nil {
			t.Fatalf("a cookie that is promised to be good: %v", err)
		}
	}
}

func (p *promises) tokensHold(t *testing.T, s *server) {
	t.Helper()
	checked := 0
	for name, token := range p.tokens {
		if token.unsure {
			delete(p.tokens, name)
			continue
		}
		status, err := s.whoami(token.secret)
		want := http.StatusOK
		if token.revoked {
			want = http.StatusUnauthorized
		}
		if err != nil || status != want {
			t.Fatalf("token %s, revoked %v: %d, %v", name, token.revoked, status, err)
		}
		if token.revoked {
			delete(p.tokens, name)
		}
		if checked++; checked == 3 { // failures are paced by network
			return
		}
	}
}

// auditHolds verifies the log, and that each head which was answered is in it.
func (p *promises) auditHolds(t *testing.T, s *server) {
	t.Helper()
	files, err := filepath.Glob(s.path("state/audit/*.log"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no audit log: %v", err)
	}
	slices.SortFunc(files, func(a, b string) int { // the current one is the last
		return compareLogs(filepath.Base(a), filepath.Base(b))
	})
	left := maps.Clone(p.heads)
	var v audit.Verifier
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		err = v.Read(name, f, func(r audit.Record, _ []byte) error {
			if hash, promised := left[r.Sequence]; promised {
				if hash != r.Hash {
					return fmt.Errorf("record %d has the hash %s, and %s was answered", r.Sequence, r.Hash, hash)
				}
				delete(left, r.Sequence)
			}
			return nil
		})
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Finish(); err != nil {
		t.Fatal(err)
	}
	for sequence := range left {
		if sequence >= v.First() { // older ones may be rotated away
			t.Fatalf("record %d was answered, and is not in the log, whose last is %d", sequence, v.Last().Sequence)
		}
	}
}

func compareLogs(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == "current.log":
		return 1
	case b == "current.log" || a < b:
		return -1
	}
	return 1
}
