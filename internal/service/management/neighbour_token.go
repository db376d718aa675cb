package management

import (
	"crypto/rand"
	"crypto/subtle"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// The bounds of tokens that confirm.
const (
	// tokenLives is long enough to read what would happen and to say yes.
	tokenLives = time.Minute
	// maxTokens is how many wait; who has the role admin asks for one at a time.
	maxTokens = 16
)

// request is who asks for what: a token is good for nothing else.
type request struct {
	who     api.Caller
	command string
	args    string
}

func (r request) same(q request) bool {
	return r.who.Name == q.who.Name && r.who.Login == q.who.Login && r.command == q.command && r.args == q.args
}

// tokens are those that wait to come back. The zero one is empty.
type tokens struct {
	mu  sync.Mutex // guards all
	all []token
}

type token struct {
	request
	secret string
	given  time.Time // by the monotonic clock: it is the other one that is to be changed
}

// give makes a token, and ends one that was given for the same before.
func (t *tokens) give(q request, would string, first time.Time) (api.Confirmation, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = slices.DeleteFunc(t.all, func(one token) bool { return one.request.same(q) || time.Since(one.given) >= tokenLives })
	if len(t.all) >= maxTokens {
		return api.Confirmation{}, api.Failf(api.TooMany, "%d tokens wait to be used already: try again in a minute", maxTokens)
	}
	one := token{q, rand.Text(), first}
	t.all = append(t.all, one)
	return api.Confirmation{Command: strings.TrimSpace(q.command + " " + q.args), Would: would, Token: one.secret, Until: new(first.Add(tokenLives).UTC())}, nil
}

// check tells when the token was given, or that it is not one.
func (t *tokens) check(q request, secret string) (given time.Time, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := t.find(q, secret); i >= 0 {
		return t.all[i].given, nil
	}
	return given, noToken(q)
}

// take ends it.
func (t *tokens) take(q request, secret string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.find(q, secret)
	if i < 0 {
		return noToken(q)
	}
	t.all = slices.Delete(t.all, i, i+1)
	return nil
}

func noToken(q request) error {
	return api.Failf(api.Conflict, "this token does not confirm it: one works once, within a minute, for who asked for it and with the same arguments; "+
		"call %s without a token for another", q.command)
}

// find looks at all of them, so that how long it takes tells nothing.
func (t *tokens) find(q request, secret string) int {
	at := -1
	for i, one := range t.all {
		if subtle.ConstantTimeCompare([]byte(one.secret), []byte(secret)) == 1 && one.request.same(q) && time.Since(one.given) < tokenLives {
			at = i
		}
	}
	return at
}
