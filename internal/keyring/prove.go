package keyring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// Who reads the neighbour's file is told to, and proves by an answer to a cookie that it knows the next key; the answer to
// the telling says nothing, since chronyd's is the same whether or not it could load the file. Until then, and for an
// interval after it, the next key does not mint. It proves so again at each look, for it may have started anew without the
// file. Who fails is asked about the current key, too: not to know that one is what clients feel. The lock is not held while
// anybody is waited for.

// How long an answer is waited for.
const (
	rekeyWithin = 3 * time.Second
	proveWithin = 5 * time.Second
)

// errWaits is why who reads its file by itself has proved nothing before anybody asked.
var errWaits = errors.New("nobody has asked it yet")

// proof is how far the neighbour is with the newest key of its file.
type proof struct {
	done    bool
	failed  int           // attempts
	next    time.Duration // running time of the next attempt
	patient bool          // it reads its file when it likes, and may log each cookie that it cannot open
}

// question is what the neighbour is asked.
type question struct {
	newest  *cookie.Key // of its file
	current *cookie.Key // nil: there is no time for it
	again   bool        // it has proved to know newest
	patient bool        // as it was
}

// asks tells whether a proof is to be had.
func (r *Ring) asks(p *policy) bool {
	return r.reader != nil && p.neighbour != nil && !p.follow && p.proves()
}

// knows tells whether all keys are known next door, as far as that can be found out.
func (r *Ring) knows(p *policy) bool { return r.proof.done || !r.asks(p) }

// unprove begins anew: there is another newest key, or another file.
func (r *Ring) unprove() {
	p := r.policy.Load()
	r.proof = proof{patient: r.proof.patient}
	if r.proof.patient {
		_, running := r.now()
		r.proof.next = running + lookEvery
	}
	switch {
	case !r.asks(p):
	case p.dialect == cookie.NTPsec:
		r.states.unproved.set(r.log, slog.LevelWarn, errWaits, unrestarted)
	case r.proof.patient:
		r.states.unproved.set(r.log, slog.LevelInfo, errWaits, unasked)
	}
}

// toAsk is what to ask the neighbour now, else nil and when to look again. Who is impatient does not wait for the next
// attempt, unless the neighbour would log it, nor for more than one answer.
func (r *Ring) toAsk(impatient bool) (q *question, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.policy.Load()
	if r.frozen || r.reader == nil || p.neighbour == nil || p.follow || r.states.neighbour.on() || r.proof.done && (impatient || !r.asks(p)) {
		return nil, lookEvery
	}
	_, running := r.now()
	if wait = r.proof.next - running; wait > 0 && (!impatient || r.proof.patient) {
		return nil, wait
	}
	set := r.set.Load()
	q = &question{newest: set.newest().sealer, again: r.proof.done, patient: r.proof.patient}
	if !impatient {
		q.current = set.current().sealer
	}
	return q, 0
}

// ask asks the neighbour, and takes what it answers before ctx is done.
func (r *Ring) ask(ctx context.Context, q *question) {
	p := r.policy.Load()
	patient, message, err := r.answer(ctx, p, q)
	if ctx.Err() == nil {
		r.conclude(p, q, patient, err, message)
	}
}

// answer tells the neighbour to read its file, unless it still knows what it knew, and asks it. message is for an error.
func (r *Ring) answer(ctx context.Context, p *policy, q *question) (patient bool, message string, err error) {
	if q.again && r.prove(ctx, q.newest) == nil {
		return q.patient, "", nil
	}
	told := within(ctx, rekeyWithin, r.reader.Rekey)
	patient = errors.Is(told, errors.ErrUnsupported)
	if patient {
		told = nil
	}
	if !r.asks(p) {
		return patient, untold, told
	}
	message = unproved
	if patient && p.dialect == cookie.NTPsec {
		message = unrestarted
	}
	err = r.prove(ctx, q.newest)
	if err != nil && q.current != nil {
		if closed := r.prove(ctx, q.current); closed != nil {
			message, err = refused, closed
		}
	}
	switch {
	case err != nil && told != nil:
		err = fmt.Errorf("%w; %w", told, err)
	case message == refused && p.dialect == cookie.NTPsec:
		err = fmt.Errorf("%w; restart ntpd: it reads its key file at its start only", err)
	case err != nil && patient && p.dialect == cookie.Chrony:
		err = fmt.Errorf("%w; run chronyc rekey on its host", err)
	}
	return patient, message, err
}

func (r *Ring) prove(ctx context.Context, k *cookie.Key) error {
	return within(ctx, proveWithin, func(ctx context.Context) error { return r.reader.Prove(ctx, k) })
}

func within(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return f(ctx)
}

// conclude takes the answer of the neighbour, unless its file has another newest key meanwhile.
func (r *Ring) conclude(p *policy, q *question, patient bool, err error, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.observe()
	if r.set.Load().newest().sealer != q.newest {
		return
	}
	r.states.unproved.set(r.log, slog.LevelWarn, err, message)
	if r.asks(p) {
		r.metrics.proof(err)
	}
	r.proof.patient, r.proof.done = patient, err == nil
	wait := lookEvery
	switch {
	case err == nil:
		r.proof.failed = 0
	case !patient && r.proof.failed < 6: // 1 s, 2 s, 4 s ...
		wait = min(wait, time.Second<<r.proof.failed)
		r.proof.failed++
	}
	_, running := r.now()
	r.proof.next = running + wait
}
