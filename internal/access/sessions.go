package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// How tokens begin: a leaked one is known for what it is.
const (
	tokenPrefix   = "ntptsd_"
	sessionPrefix = "ntptsds_"
	oncePrefix    = "ntptsd1_"

	tokenOctets = 32 // random ones
)

const (
	linkLife    = 5 * time.Minute
	sessionLife = 12 * time.Hour
	// Only who is logged in makes links, and links sessions: these bound what a script in a loop may cost. The oldest of the same
	// maker goes, if there is one, so that no script logs others out.
	maxLinks    = 64
	maxSessions = 256
)

// NewToken makes a token, and the hash that a configuration has of it.
func NewToken() (token, hash string) {
	token = random(tokenPrefix)
	sum := sha256.Sum256([]byte(token))
	return token, hex.EncodeToString(sum[:])
}

func random(prefix string) string {
	var b [tokenOctets]byte
	rand.Read(b[:]) // never fails
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// sessions are in memory: a restart ends them all.
type sessions struct {
	mu    sync.Mutex
	links []session // oldest first; guarded by mu, as below
	open  []session
}

// session is a link that was not followed yet, or what it became.
type session struct {
	hash  [sha256.Size]byte
	who   api.Caller
	of    api.Caller // who made the link, with a log-in that is no session
	until time.Time
}

func newSessions() *sessions { return &sessions{} }

// add keeps the newest.
func add(list []session, s session, most int) []session {
	now := time.Now()
	list = slices.DeleteFunc(list, func(s session) bool { return now.After(s.until) })
	if len(list) >= most {
		i := max(0, slices.IndexFunc(list, func(o session) bool { return o.of.Name == s.of.Name }))
		list = slices.Delete(list, i, i+1)
	}
	return append(list, s)
}

// find compares hashes of secrets: nobody learns from the time it takes what they begin with.
func find(list []session, secret string) int {
	hash := sha256.Sum256([]byte(secret[:min(len(secret), maxToken)]))
	now := time.Now()
	return slices.IndexFunc(list, func(s session) bool { return s.hash == hash && now.Before(s.until) })
}

// Link makes a token that lets somebody in once, with at most the role of who makes it, and confined as he is.
func (a *Access) Link(who api.Caller, role api.Role) (token string, until time.Time, err error) {
	if role > who.Role {
		return "", time.Time{}, api.Failf(api.Denied, "%s has the role %s and cannot give %s", who.Name, who.Role, role)
	}
	of := who
	if parent, ok := a.sessions.origin(who.Login); ok { // links of links are its own, and end with who makes them
		of, of.Until = parent, who.Until
	}
	token, until = random(oncePrefix), time.Now().Add(linkLife)
	s := session{hash: sha256.Sum256([]byte(token)), of: of, until: until,
		who: api.Caller{Role: role, Name: "link of " + of.Name, Only: who.Only}}
	a.sessions.mu.Lock()
	defer a.sessions.mu.Unlock()
	a.sessions.links = add(a.sessions.links, s, maxLinks)
	return token, until, nil
}

// Redeem exchanges it for the token of a session.
func (a *Access) Redeem(remote netip.Addr, once string) (api.Session, error) {
	s, err := a.redeem(remote, once)
	return s, a.judged(byLink, remote, err)
}

func (a *Access) redeem(remote netip.Addr, once string) (api.Session, error) {
	a.sessions.mu.Lock()
	i := find(a.sessions.links, once)
	if i < 0 {
		a.sessions.mu.Unlock()
		return api.Session{}, api.Failf(api.Unknown, "this link was used already, or is older than %v: ntptsctl login makes another one", linkLife)
	}
	s := a.sessions.links[i]
	a.sessions.links = slices.Delete(a.sessions.links, i, i+1)
	a.sessions.mu.Unlock()
	if !a.Still(s.of) {
		return api.Session{}, api.Failf(api.Unknown, "who made this link may not do so any more")
	}
	if err := a.policy.Load().from(s.of.Login, remote); err != nil {
		return api.Session{}, err
	}
	token := random(sessionPrefix)
	s.hash = sha256.Sum256([]byte(token))
	if s.until = time.Now().Add(sessionLife); !s.of.Until.IsZero() && s.of.Until.Before(s.until) {
		s.until = s.of.Until
	}
	s.who.Login, s.who.Until = "session/"+hex.EncodeToString(s.hash[:]), s.until
	a.sessions.mu.Lock()
	defer a.sessions.mu.Unlock()
	a.sessions.open = add(a.sessions.open, s, maxSessions)
	return api.Session{Token: token, Name: s.who.Name, Role: s.who.Role.String(), Until: s.until.UTC()}, nil
}

// session is who shows a session's token.
func (a *Access) session(remote netip.Addr, token string) (api.Caller, error) {
	a.sessions.mu.Lock()
	i := find(a.sessions.open, token)
	var s session
	if i >= 0 {
		s = a.sessions.open[i]
	}
	a.sessions.mu.Unlock()
	if i < 0 || !a.Still(s.of) {
		return api.Caller{}, api.Failf(api.Unknown, "your session has ended, or ntptsd was started anew: log in again")
	}
	if err := a.policy.Load().from(s.of.Login, remote); err != nil {
		return api.Caller{}, err
	}
	return s.who, nil
}

// origin is who made the link of a session that is open.
func (s *sessions) origin(login string) (of api.Caller, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.open {
		if one.who.Login == login {
			return one.of, true
		}
	}
	return api.Caller{}, false
}

func (s *sessions) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	n := 0
	for _, one := range s.open {
		if now.Before(one.until) {
			n++
		}
	}
	return n
}

// Leave ends the session that the caller came by; others end by themselves.
func (a *Access) Leave(who api.Caller) {
	a.sessions.mu.Lock()
	defer a.sessions.mu.Unlock()
	a.sessions.open = slices.DeleteFunc(a.sessions.open, func(s session) bool { return s.who.Login == who.Login })
}
