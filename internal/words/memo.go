// Package words is for what chronyd and ntpd say in the words of their own clients, which the folders below ask and render. It
// keeps the newest answers, so that a daemon is asked the same thing at most once a second, however many want to know.
package words

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// ErrSilent is of a daemon that does not answer at all, to which other questions are spared then.
var ErrSilent = errors.New("the time daemon does not answer")

// Silent is ErrSilent in the words of a client.
func Silent(text string) error { return silent(text) }

type silent string

func (s silent) Error() string { return string(s) }

func (s silent) Is(target error) bool { return target == ErrSilent }

// What askers may cost the daemon and us.
const (
	// askEvery is how old an answer may be before the daemon is asked again, a refusal too.
	askEvery = time.Second
	// maxAnswers bounds what is remembered, and so the questions under way.
	maxAnswers = 64
	// maxTalks is how many questions the daemon is asked at the same time: it answers one after the other.
	maxTalks = 4
	// talkTimeout is for all that one word asks.
	talkTimeout = 8 * time.Second
)

// Memo is the newest answers, each to a word with its arguments.
type Memo struct {
	turn chan struct{} // holds an element for each talk

	mu      sync.Mutex // guards what follows, and until of all answers
	answers map[string]*answer
	silence silence
}

// silence is that of a daemon that did not answer just now: it is asked nothing else meanwhile.
type silence struct {
	err   error
	until time.Time
}

// answer is a text or an error.
type answer struct {
	done  chan struct{} // closed when text and err are there
	text  string
	err   error
	until time.Time // when it is too old; zero while it is waited for
}

// Now begins the keys of a Memo, if the daemon behind the door is changed here: an answer of before is none to a question of
// after.
func Now(door any) string {
	d, ok := door.(interface{ Changes() uint64 })
	if !ok {
		return ""
	}
	return strconv.FormatUint(d.Changes(), 10) + " "
}

// NewMemo makes one that is empty.
func NewMemo() *Memo {
	return &Memo{turn: make(chan struct{}, maxTalks), answers: make(map[string]*answer)}
}

// Get asks, unless there is an answer of this second. Who comes first asks, on its own goroutine; all who come meanwhile have
// the same answer. Its end does not end the question, since that is everybody's: talkTimeout does.
func (m *Memo) Get(ctx context.Context, key string, ask func(context.Context) (string, error)) (string, error) {
	a, first := m.find(key)
	switch {
	case a == nil:
		return "", api.Failf(api.TooMany, "%d questions wait for the time daemon already: try again in a moment", maxAnswers)
	case first:
		m.fill(context.WithoutCancel(ctx), a, ask)
	}
	select {
	case <-a.done:
		return a.text, a.err
	case <-ctx.Done():
		return "", api.Fail(api.Unavailable, context.Cause(ctx))
	}
}

// find is the answer to wait for, and whether the caller is to give it; nil if there is no room for another.
func (m *Memo) find(key string) (a *answer, first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if a := m.answers[key]; a != nil && (a.until.IsZero() || now.Before(a.until)) {
		return a, false
	}
	var oldest string
	for k, a := range m.answers {
		switch {
		case a.until.IsZero():
		case !now.Before(a.until):
			delete(m.answers, k)
		case oldest == "" || a.until.Before(m.answers[oldest].until):
			oldest = k
		}
	}
	if len(m.answers) >= maxAnswers {
		delete(m.answers, oldest)
	}
	if len(m.answers) >= maxAnswers {
		return nil, false
	}
	a = &answer{done: make(chan struct{})}
	m.answers[key] = a
	return a, true
}

func (m *Memo) fill(ctx context.Context, a *answer, ask func(context.Context) (string, error)) {
	ctx, cancel := context.WithTimeout(ctx, talkTimeout)
	defer cancel()
	began := time.Now()
	defer func() {
		m.mu.Lock()
		a.until = rest(began)
		m.mu.Unlock()
		close(a.done)
	}()
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		a.err = api.Failf(api.Unavailable, "%w: it takes too long over what others ask", ErrSilent)
		return
	}
	if a.err = m.silenced(); a.err != nil {
		return
	}
	began = time.Now()
	if a.text, a.err = ask(ctx); errors.Is(a.err, ErrSilent) {
		m.mu.Lock()
		m.silence = silence{a.err, rest(began)}
		m.mu.Unlock()
	}
}

// rest is when what began then may be asked again: a daemon that needs long for an answer has as long a rest.
func rest(began time.Time) time.Time {
	now := time.Now()
	took := now.Sub(began)
	return now.Add(max(askEvery-took, took))
}

// silenced is the error of a silence that lasts.
func (m *Memo) silenced() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Now().Before(m.silence.until) {
		return m.silence.err
	}
	return nil
}
