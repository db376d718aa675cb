package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/durable"
	"github.com/ntptsd/ntptsd/protocol/audit"
)

const (
	pendingFile = "unconfirmed.json"
	// maxPending bounds what waits to be confirmed, and so the file, which is written anew with each.
	maxPending     = 64
	maxPendingFile = 4 << 20
	// undoTimeout is for one attempt; a daemon next door that does not answer is tried again.
	undoTimeout  = 15 * time.Second
	firstRetry   = 5 * time.Second
	slowestRetry = 5 * time.Minute
)

// unconfirmed is a change that undoes itself. It is on disk before it is made.
type unconfirmed struct {
	ID      uint64          `json:"change"`
	Caller  string          `json:"caller"`
	Role    string          `json:"role"` // that the command needs
	Command string          `json:"command"`
	Args    json.RawMessage `json:"args"` // secrets as names
	Plan    api.Plan        `json:"plan"`
	Undo    api.Step        `json:"undo"`
	Made    time.Time       `json:"made"`
	By      time.Time       `json:"confirm_by"`

	due     time.Time // by the monotonic clock
	retry   time.Duration
	problem string // why it could not be undone yet
	told    bool   // that trying to undo it failed
	undone  bool   // it was, and the file still has it
}

// pending are the changes that wait. The file has all of them at any time.
type pending struct {
	path  string
	write func(path string, data []byte, mode fs.FileMode) error
	wake  chan struct{}

	mu  sync.Mutex
	all []*unconfirmed // guarded by mu, as what it points to; the next to be undone is the one that is due first
}

// open reads the file. The wall clock may have been anything meanwhile: nobody gets more time to confirm than was asked for,
// and what is due is undone.
func (p *pending) open(folder string, now time.Time) error {
	p.path, p.write, p.wake = filepath.Join(folder, pendingFile), durable.WriteFile, make(chan struct{}, 1)
	info, err := os.Stat(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxPendingFile) {
		err = fmt.Errorf("must be a file of at most %d octets", maxPendingFile)
	}
	if err == nil {
		err = durable.Foreign(p.path, info)
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(p.path)
	}
	if err == nil {
		p.all, err = parsePending(b)
	}
	if err != nil {
		return fmt.Errorf("%s, the changes that wait to be confirmed: %w; where that does not help, undo them by hand and move the file aside", p.path, err)
	}
	for _, u := range p.all {
		left := min(max(u.By.Sub(now), 0), u.By.Sub(u.Made), api.MaxConfirm)
		u.due, u.By = now.Add(left), now.Add(left).UTC()
		if u.Made.After(now) { // the clock was set back: its end must not come before
			u.Made = now.UTC()
		}
	}
	return nil
}

func parsePending(b []byte) (all []*unconfirmed, err error) {
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, err
	}
	for _, u := range all {
		if u == nil || u.ID == 0 || u.Undo.Command == "" || u.By.Before(u.Made) {
			return nil, errors.New("an entry lacks something")
		}
	}
	if len(all) > maxPending {
		return nil, fmt.Errorf("it has %d entries, at most %d are kept", len(all), maxPending)
	}
	return all, nil
}

// add writes down how to undo a change that is about to be made.
func (p *pending) add(id uint64, plan *api.Planned, r audit.Record, within time.Duration, now time.Time) (*time.Time, error) {
	u := &unconfirmed{ID: id, Caller: r.Caller, Role: plan.Role.String(), Command: plan.Name, Args: r.Args, Plan: plan.Plan, Undo: *plan.Undo,
		Made: now.UTC(), By: now.Add(within).UTC(), due: now.Add(within)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) >= maxPending {
		return nil, fmt.Errorf("%d changes wait to be confirmed already; confirm or undo some: changes lists them", maxPending)
	}
	if err := p.save(append(slices.Clone(p.all), u)); err != nil {
		return nil, err
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return &u.By, nil
}

// save replaces all, on disk first. The lock is held.
func (p *pending) save(all []*unconfirmed) error {
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if err := p.write(p.path, b, 0o600); err != nil {
		return err
	}
	p.all = all
	return nil
}

// remove forgets a change: it stays, or it is undone.
func (p *pending) remove(id uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(p.all), func(u *unconfirmed) bool { return u.ID == id })
	if len(left) == len(p.all) {
		return unknown(id)
	}
	return p.save(left)
}

func unknown(id uint64) error {
	return api.Failf(api.NotFound, "no change %d waits to be confirmed; changes lists them", id)
}

func (p *pending) find(id uint64) (unconfirmed, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.all {
		if u.ID == id {
			return *u, nil
		}
	}
	return unconfirmed{}, unknown(id)
}

// next is what is due first.
func (p *pending) next() (u unconfirmed, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) == 0 {
		return u, false
	}
	return *slices.MinFunc(p.all, func(a, b *unconfirmed) int { return a.due.Compare(b.due) }), true
}

// putOff tries again later. It tells whether it is the first time that undoing was tried, and failed.
func (p *pending) putOff(id uint64, tried bool, why string) (first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.all {
		if u.ID == id {
			first = tried && !u.told
			u.told = u.told || tried
			u.problem = why
			u.retry = min(max(2*u.retry, firstRetry), slowestRetry)
			u.due = time.Now().Add(u.retry)
		}
	}
	return first
}

// markUndone remembers that a change is undone, should the file not take it: to undo it once more would undo what was done since.
func (p *pending) markUndone(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.all {
		if u.ID == id {
			u.undone = true
		}
	}
}

// Pending are the changes that wait to be confirmed, oldest first.
func (l *Ledger) Pending() []api.Unconfirmed {
	l.pending.mu.Lock()
	defer l.pending.mu.Unlock()
	all := make([]api.Unconfirmed, 0, len(l.pending.all))
	for _, u := range l.pending.all {
		all = append(all, api.Unconfirmed{ID: u.ID, Command: u.Command, Args: string(u.Args), Plan: u.Plan, Caller: u.Caller, Role: u.Role,
			Made: u.Made, ConfirmBy: u.By, Undo: u.Undo.Command, Problem: u.problem})
	}
	return all
}

// Confirm lets a change stay.
func (l *Ledger) Confirm(id uint64) error {
	if err := l.pending.remove(id); err != nil {
		return api.Fail(kindOr(err, api.Unavailable), err)
	}
	return nil
}

// UndoNow undoes a change that waits. The turn is the caller's.
func (l *Ledger) UndoNow(ctx context.Context, id uint64) error {
	u, err := l.pending.find(id)
	if err != nil {
		return err
	}
	if !u.undone {
		if err := l.undo(ctx, u); err != nil {
			return err
		}
	}
	return l.Confirm(id)
}

func kindOr(err error, k api.Kind) api.Kind {
	if found := api.KindOf(err); found != api.Internal {
		return found
	}
	return k
}
