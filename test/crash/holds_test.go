package crash

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/audit"
	"github.com/ntptsd/ntptsd/test/client"
)

// hold fails the test if the daemon, which was started again, does not keep one of them.
func (p *promises) hold(t *testing.T, s *server) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := client.Exchange(fmt.Sprintf("127.0.0.1:%d", s.ke), s.roots); err != nil {
		t.Fatalf("it has no certificate that counts, or no keys: %v", err)
	}
	p.cookiesHold(t, s)
	p.tokensHold(t, s)
	p.changesHold(t, s)
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
	if p.revoked != nil {
		if err := client.Ask(conn, p.revoked); !errors.Is(err, client.ErrNAK) {
			t.Fatalf("a cookie under a key that was revoked: %v", err)
		}
		p.revoked = nil
	}
}

// changesHold: what waits to be confirmed waits still.
func (p *promises) changesHold(t *testing.T, s *server) {
	t.Helper()
	all, err := s.changes()
	if err != nil {
		t.Fatal(err)
	}
	if p.waiting != 0 && !slices.ContainsFunc(all, func(c waiting) bool { return c.Change == p.waiting }) {
		t.Fatalf("change %d waits to be confirmed no more: %+v", p.waiting, all)
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
