package access

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

// clock is what a clockstate.LastGood says.
type clock struct {
	now  time.Time
	sure bool
}

func (c *clock) Judge() (time.Time, bool) { return c.now, c.sure }

// A clock that may be too early lets in whom something was given that has not begun by it, and nobody whose time is over.
func TestLogInsByAWrongClock(t *testing.T) {
	now := time.Now()
	ours := newAuthority(t)
	leaf, _ := ours.issue(t, func(c *x509.Certificate) {
		c.DNSNames, c.NotBefore, c.NotAfter = []string{"alice.example"}, now.Add(-time.Minute), now.Add(time.Hour)
	})
	token, hash := NewToken()
	a := open(t, config.Access{ClientCA: ours.file(t),
		Certificates: map[string]config.CertificateLogin{"alice": {SAN: "alice.example", Role: "operator"}},
		Tokens:       map[string]config.TokenLogin{"prober": {Hash: hash, Role: "monitor", Expires: config.Time(now.Add(time.Hour))}}})
	c := &clock{}
	a.UseClock(c)
	for _, m := range []struct {
		name               string
		at                 time.Time
		sure               bool
		certificate, token bool
	}{
		{"right", now, true, true, true},
		{"ended", now.Add(2 * time.Hour), true, false, false},
		{"not begun", now.Add(-time.Hour), true, false, true},
		{"1970, unsynchronised", time.Unix(0, 0), false, true, true},
		{"a little early, unsynchronised", now.Add(-time.Hour), false, true, true},
		{"the last good time is behind their end, unsynchronised", now.Add(2 * time.Hour), false, false, false},
	} {
		c.now, c.sure = m.at, m.sure
		who, err := a.Connection(far, shown(leaf))
		if (err == nil && who.Role == api.Operator) != m.certificate {
			t.Errorf("%s: certificate: %+v, %v", m.name, who, err)
		}
		if err == nil && !a.Still(who) {
			t.Errorf("%s: the certificate counts no more at once", m.name)
		}
		a.failures = NewLimiter(failEvery, failBurst, failEntries)
		if who, err := a.Token(far, token); (err == nil && who.Role == api.Monitor) != m.token {
			t.Errorf("%s: token: %+v, %v", m.name, who, err)
		}
	}
}
