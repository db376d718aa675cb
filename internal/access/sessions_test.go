package access

import (
	"crypto/x509"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

// A session makes links as its maker does: their sessions end with it, and their names do not grow.
func TestLinksOfLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, config.Access{})
		who := api.Caller{Role: api.Admin, Name: "uid 0"}
		for range 5 {
			once, _, err := a.Link(who, api.Operator)
			if err != nil {
				t.Fatal(err)
			}
			s, err := a.Redeem(far, once)
			if err != nil {
				t.Fatal(err)
			}
			if who, err = a.Token(far, s.Token); err != nil || who.Name != "link of uid 0" || !s.Until.Equal(who.Until) {
				t.Fatalf("%+v, %v", who, err)
			}
			time.Sleep(time.Hour)
		}
		if !a.Still(who) {
			t.Error("ended too early")
		}
		time.Sleep(sessionLife - 5*time.Hour)
		if a.Still(who) || a.sessions.count() != 0 {
			t.Error("a session has made itself live longer")
		}
	})
}

// Nobody lives longer by a link than by what he logged in with.
func TestSessionsEndWithTheTokenBehindThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token, hash := NewToken()
		end := time.Now().Add(time.Hour)
		a := open(t, config.Access{Tokens: map[string]config.TokenLogin{"x": {Hash: hash, Role: "operator", Expires: config.Time(end)}}})
		who, err := a.Token(far, follow(t, a, token, api.Monitor))
		if err != nil || !who.Until.Equal(end) {
			t.Fatalf("%+v, %v, want the end %v", who, err, end)
		}
		time.Sleep(time.Hour)
		if a.Still(who) {
			t.Error("lives longer")
		}
	})
}

// Who is somebody only because he comes from this host stops being it when the policy says so.
func TestReloadTakesLoopbackAway(t *testing.T) {
	a := open(t, config.Access{Loopback: "monitor"})
	who, err := a.Connection(here, nil)
	if err != nil || who.Role != api.Monitor || !a.Still(who) {
		t.Fatalf("%+v, %v", who, err)
	}
	commit, err := a.Prepare(&config.Config{Access: config.Access{Loopback: "anonymous"}})
	if err != nil {
		t.Fatal(err)
	}
	commit()
	if a.Still(who) {
		t.Error("still a monitor")
	}
	if who, err := a.Connection(here, nil); err != nil || who.Role != api.Anonymous || !a.Still(who) {
		t.Errorf("%+v, %v", who, err)
	}
}

// A policy that cannot be changes nothing.
func TestReloadIsAllOrNothing(t *testing.T) {
	token, hash := NewToken()
	a := open(t, config.Access{Tokens: map[string]config.TokenLogin{"x": {Hash: hash, Role: "admin", Expires: inAnHour()}}})
	if _, err := a.Prepare(&config.Config{Access: config.Access{ClientCA: "/none/ca.pem"}}); err == nil {
		t.Fatal("taken on without its authorities")
	}
	if _, err := a.Token(far, token); err != nil {
		t.Error(err)
	}
}

// Who leaves ends his own session, and nobody else's.
func TestLeave(t *testing.T) {
	a := open(t, config.Access{})
	root := api.Caller{Role: api.Admin, Name: "uid 0"}
	enter := func() (string, api.Caller) {
		once, _, err := a.Link(root, api.Monitor)
		if err != nil {
			t.Fatal(err)
		}
		s, err := a.Redeem(far, once)
		if err != nil {
			t.Fatal(err)
		}
		who, err := a.Token(far, s.Token)
		if err != nil {
			t.Fatal(err)
		}
		return s.Token, who
	}
	gone, who := enter()
	stays, _ := enter()
	a.Leave(root)
	a.Leave(who)
	if _, err := a.Token(far, gone); err == nil || a.Still(who) {
		t.Errorf("who left is still there: %v", err)
	}
	if _, err := a.Token(far, stays); err != nil {
		t.Errorf("another one was sent away: %v", err)
	}
}

// Two certificates of which one bears a name that is known here get the same answer.
func TestNamesCannotBeGuessed(t *testing.T) {
	ours := newAuthority(t)
	a := open(t, config.Access{ClientCA: ours.file(t), Certificates: map[string]config.CertificateLogin{"x": {SAN: "alice.example", Role: "monitor"}}})
	var texts []string
	for _, name := range []string{"alice.example", "mallory.example"} {
		c, _ := (&authority{}).issue(t, func(c *x509.Certificate) { c.DNSNames = []string{name} })
		_, err := a.Connection(far, shown(c))
		texts = append(texts, strings.ReplaceAll(err.Error(), fingerprint(c), ""))
	}
	if texts[0] != texts[1] {
		t.Errorf("%q", texts)
	}
}
