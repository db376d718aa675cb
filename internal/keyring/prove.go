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
// interval after it, the next key does not mint. The lock is not held while anybody is waited for.

// How long an answer is waited for.
const (
	rekeyWithin = 3 * time.Second
	proveWithin = 5 * time.Second
)

// errWaits is why ntpd has proved nothing before anybody asked.
var errWaits = errors.New("nobody has asked it yet")

// proof is how far the neighbour is with the next key of the set.
type proof struct {
	done    bool
	failed  int           // attempts
	next    time.Duration // running time of the next attempt
	patient bool          // it reads its file at its start only, and may log each cookie that it cannot open
}

// asks tells whether a proof is to be had.
func (r *Ring) asks(p *policy) bool {
	return r.reader != nil && p.neighbour != nil && !p.follow && p.proves()
}

// knows tells whether all keys are known next door, as far as that can be found out.
func (r *Ring) knows(p *policy) bool { return r.proof.done || !r.asks(p) }

// unprove begins anew: there is another next key.
func (r *Ring) unprove() {
	r.proof = proof{patient: r.proof.patient}
	if r.proof.patient {
		_, running := r.now()
		r.proof.next = running + lookEvery
	}
}

// announce says what somebody else has to do now that there is another file.
func (r *Ring) announce() {
	p := r.policy.Load()
	if p.dialect != cookie.NTPsec {
		return
	}
	if r.asks(p) {
		r.states.unproved.set(r.log, slog.LevelWarn, errWaits, unrestarted)
	} else {
		r.log.Warn("restart ntpd when you can: it reads its key file at its start only")
	}
}

// toAsk is the key to ask the neighbour about now, else nil and when to look again. Who is impatient does not wait for the
// next attempt, unless the neighbour would log it.
func (r *Ring) toAsk(impatient bool) (k *cookie.Key, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.policy.Load()
	if r.reader == nil || p.neighbour == nil || p.follow || r.proof.done || r.states.neighbour.on() {
		return nil, lookEvery
	}
	_, running := r.now()
	if wait = r.proof.next - running; wait > 0 && (!impatient || r.proof.patient) {
		return nil, wait
	}
	return r.set.Load().next().sealer, 0
}

// ask tells the neighbour to read its file, and asks it for an answer under k.
func (r *Ring) ask(ctx context.Context, k *cookie.Key) {
	p := r.policy.Load()
	told := within(ctx, rekeyWithin, r.reader.Rekey)
	patient := errors.Is(told, errors.ErrUnsupported)
	if patient {
		told = nil
	}
	proved := told
	if r.asks(p) {
		proved = within(ctx, proveWithin, func(ctx context.Context) error { return r.reader.Prove(ctx, k) })
		switch {
		case proved != nil && told != nil:
			proved = fmt.Errorf("%w; %w", told, proved)
		case proved != nil && patient && p.dialect == cookie.Chrony:
			proved = fmt.Errorf("%w; run chronyc rekey on its host", proved)
		}
	}
	if ctx.Err() == nil {
		r.conclude(p, k, patient, proved)
	}
}

func within(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return f(ctx)
}

// conclude takes the answer of the neighbour, unless there is another next key meanwhile.
func (r *Ring) conclude(p *policy, k *cookie.Key, patient bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.observe()
	if r.set.Load().next().sealer != k {
		return
	}
	message := unproved
	switch {
	case !r.asks(p):
		message = untold
	case patient && p.dialect == cookie.NTPsec:
		message = unrestarted
	}
	r.states.unproved.set(r.log, slog.LevelWarn, err, message)
	r.proof.patient, r.proof.done = patient, err == nil
	if r.asks(p) {
		r.metrics.proof(err)
	}
	if err == nil {
		return
	}
	_, running := r.now()
	wait := lookEvery
	if !patient && r.proof.failed < 6 { // 1 s, 2 s, 4 s ...
		wait = min(wait, time.Second<<r.proof.failed)
	}
	r.proof.failed++
	r.proof.next = running + wait
}
