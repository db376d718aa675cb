package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/audit"
)

// What is remembered of idempotency keys: enough for whoever lost an answer and asks again.
const (
	maxReplays = 1024
	replayTime = 24 * time.Hour
)

// replay is what became of a change that was asked for with a key.
type replay struct {
	asked   asked
	login   string        // of who asked: others may be called the same, as all who came by links of one
	done    chan struct{} // closed when outcome and err are there
	outcome outcome
	err     error
	until   time.Time
}

// replays are the keys of each caller. Over a restart the audit log remembers them.
type replays struct {
	mu    sync.Mutex
	known map[string]*replay // guarded by mu
	order []string           // guarded by mu; oldest first
}

// replayKey keeps the keys of callers apart: nobody learns what another one did.
func replayKey(who api.Caller, key string) string { return who.Name + "\x00" + key }

// asked is all that must be the same for a key to stand for the same change.
type asked struct {
	written string            // what the audit log has of it, without secrets and long arguments
	args    [sha256.Size]byte // of those, too; zero over a restart
}

func request(d api.Declaration, args []byte, how api.How) asked {
	all := make(map[string]json.RawMessage) // no arguments are none, too
	_ = json.Unmarshal(args, &all)          // bad ones are refused when they are used
	same, _ := json.Marshal(all)            // however they were written
	return asked{written(d.Name, d.Redact(args), how.ConfirmWithin), sha256.Sum256(same)}
}

func written(command string, args json.RawMessage, confirmWithin time.Duration) string {
	return fmt.Sprintf("%s\x00%s\x00%v", command, args, confirmWithin)
}

func (a asked) is(other asked) bool {
	return a.written == other.written && (a.args == other.args || a.args == [sha256.Size]byte{})
}

// once does f, unless the key is known: then its answer is given again, with the result to the same log-in alone, since secrets may
// be in it.
func (r *replays) once(ctx context.Context, key string, request asked, login string, f func() (outcome, error)) (outcome, error) {
	p, first := r.find(key, request, login)
	if first {
		finished := false
		defer func() {
			switch {
			case !finished: // a panic
				p.err = api.Failf(api.Internal, "it failed while it was made, and nobody knows how far it came: look whether it was made, and take another key")
			case p.err != nil && p.outcome.Change == 0: // nothing was attempted: the next one may be
				r.forget(key, p)
			}
			close(p.done)
		}()
		p.outcome, p.err = f()
		finished = true
		return p.outcome, p.err
	}
	if !p.asked.is(request) {
		return outcome{}, api.Failf(api.Conflict, "this idempotency key was used for another change; take a new one for each")
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return outcome{}, api.Failf(api.Unavailable, "the same change is being made still; ask again with the same key")
	}
	o := p.outcome
	o.Replayed = true
	if p.login != login {
		o.Result = nil
	}
	return o, p.err
}

func (r *replays) find(key string, request asked, login string) (p *replay, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if p := r.known[key]; p != nil && now.Before(p.until) {
		return p, false
	}
	p = &replay{asked: request, login: login, done: make(chan struct{}), until: now.Add(replayTime)}
	r.put(key, p)
	return p, true
}

// put remembers, and if there are too many forgets the oldest that is not being made any more. The lock is held.
func (r *replays) put(key string, p *replay) {
	if r.known == nil {
		r.known = make(map[string]*replay)
	}
	if r.known[key] == nil {
		r.order = append(r.order, key)
	}
	r.known[key] = p
	if len(r.order) <= maxReplays {
		return
	}
	if i := slices.IndexFunc(r.order, func(key string) bool { return r.known[key].over() }); i >= 0 {
		delete(r.known, r.order[i])
		r.order = slices.Delete(r.order, i, i+1)
	}
}

// over tells whether it is not being made any more.
func (p *replay) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (r *replays) forget(key string, p *replay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[key] == p {
		delete(r.known, key)
		r.order = slices.DeleteFunc(r.order, func(k string) bool { return k == key })
	}
}

// recall reads what the audit log knows of keys. Results are not in there; what was done is.
func (r *replays) recall(records []audit.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	attempts := make(map[uint64]*replay)
	for _, a := range records {
		switch {
		case a.Kind == audit.Attempt && a.Key != "" && a.Time.Add(replayTime).After(now):
			p := &replay{done: make(chan struct{}), until: now.Add(replayTime),
				asked: asked{written: written(a.Command, a.Args, time.Duration(a.Confirm*float64(time.Second)))}}
			close(p.done)
			p.outcome.Change, p.outcome.Plan = a.Sequence, api.Plan{Summary: a.Summary, Before: a.Before, After: a.After}
			p.err = api.Failf(api.Conflict, "ntptsd ended while this change was made (record %d of the audit log): look whether it was, and take another key", a.Sequence)
			attempts[a.Sequence] = p
			r.put(replayKey(api.Caller{Name: a.Caller}, a.Key), p)
		case a.Kind == audit.Outcome && attempts[a.Of] != nil:
			p := attempts[a.Of]
			if p.err = nil; a.Error != "" {
				p.err = api.Failf(api.Kind(a.Result), "%s", a.Error)
			}
		}
	}
}
