package chronyc

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// What askers may cost chronyd and us.
const (
	// askEvery is how old an answer may be before chronyd is asked again, a refusal too.
	askEvery = time.Second
	// maxAnswers bounds what is remembered, and so the questions under way.
	maxAnswers = 64
	// maxTalks is how many questions chronyd is asked at the same time: it answers one after the other.
	maxTalks = 4
	// talkTimeout is for all that one word asks.
	talkTimeout = 8 * time.Second
)

// memo is the newest answers, each to a word with its arguments.
type memo struct {
	turn chan struct{} // holds an element for each talk

	mu      sync.Mutex // guards what follows, and until of all answers
	answers map[string]*answer
	silence silence
}

// silence is that of a chronyd that did not answer just now: it is asked nothing else meanwhile.
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

func newMemo() *memo {
	return &memo{turn: make(chan struct{}, maxTalks), answers: make(map[string]*answer)}
}

// get asks, unless there is an answer of this second. Who comes first asks, on its own goroutine; all who come meanwhile have
// the same answer. Its end does not end the question, since that is everybody's: talkTimeout does.
func (m *memo) get(ctx context.Context, key string, ask func(context.Context) (string, error)) (string, error) {
	a, first := m.find(key)
	switch {
	case a == nil:
		return "", api.Failf(api.TooMany, "%d questions wait for chronyd already: try again in a moment", maxAnswers)
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
func (m *memo) find(key string) (a *answer, first bool) {
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

func (m *memo) fill(ctx context.Context, a *answer, ask func(context.Context) (string, error)) {
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
		a.err = api.Failf(api.Unavailable, "%w: it takes too long over what others ask", errSilent)
		return
	}
	if a.err = m.silent(); a.err != nil {
		return
	}
	began = time.Now()
	if a.text, a.err = ask(ctx); errors.Is(a.err, errSilent) {
		m.mu.Lock()
		m.silence = silence{a.err, rest(began)}
		m.mu.Unlock()
	}
}

// rest is when what began then may be asked again: a chronyd that needs long for an answer has as long a rest.
func rest(began time.Time) time.Time {
	now := time.Now()
	took := now.Sub(began)
	return now.Add(max(askEvery-took, took))
}

// silent is the error of a silence that lasts.
func (m *memo) silent() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Now().Before(m.silence.until) {
		return m.silence.err
	}
	return nil
}
