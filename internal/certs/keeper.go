package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

const (
	// forcedEvery bounds renewals on command: authorities count them.
	forcedEvery = time.Minute
	// adviceRetry and maxAdvice bound how often an authority is asked when to renew.
	minAdvice = time.Minute
	maxAdvice = 24 * time.Hour
	// adviceSoonest is how long a new certificate lasts at least, whatever is advised: an authority that finds each one overdue
	// would be asked for the next one for ever.
	adviceSoonest = time.Hour
)

// keeper looks after one pair that renews itself.
type keeper struct {
	name   string // what the configuration calls it: acme, authority
	names  []string
	config any // its section, to tell whether a reload changes anything
	file   string
	*house

	mu      sync.Mutex // guards all below
	issuer  Issuer
	current *pair // nil: none yet
	unsaved []byte
	busy    bool // somebody is asked something
	renews  bool // an attempt is under way
	gone    bool // a reload has replaced it
	forced  bool // an operator wants it now

	failures              int
	next                  time.Time // no attempt before
	lastError             string
	lastFailed, lastGood  time.Time
	waits                 bool // for the clock
	advised, adviceTill   time.Time
	succeeded, failedEver uint64
}

func newKeeper(h *house, name string, names []string, section any, issuer Issuer) *keeper {
	k := &keeper{house: h, name: name, names: names, config: section, issuer: issuer, file: filepath.Join(h.storage.dir, name+".pem")}
	k.load()
	return k
}

// load takes the pair that an earlier run has left. One that cannot be used counts as none.
func (k *keeper) load() {
	text, _, err := read(k.file)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		k.current, err = k.pairOf(text)
	}
	if err != nil {
		k.lastError = bounded(fmt.Sprintf("%s cannot be used, another one is made: %v", k.file, err))
		k.log.Warn("the certificate from before cannot be used, another one is made", "certificate", k.name, "file", k.file, "error", err)
	}
}

func (k *keeper) pairOf(bundle []byte) (*pair, error) {
	return newPair(config.Pair{Certificate: k.name}, bundle, bundle)
}

// same tells whether a reload leaves it as it is.
func (k *keeper) same(section any) bool { return reflect.DeepEqual(k.config, section) }

// pair is what is served; nil: none yet.
func (k *keeper) pair() *pair {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current
}

// tend does what is due: it starts an attempt, asks for advice, or tries to write down what could not be.
func (k *keeper) tend(ctx context.Context, tasks *sync.WaitGroup) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if k.busy || k.gone || ctx.Err() != nil || k.storage.isFrozen() {
		return
	}
	switch {
	case now.Before(k.next) && !k.forced:
	case k.unsaved != nil && !k.forced:
		k.saveAgain()
	case k.due(now):
		k.busy, k.renews = true, true
		tasks.Go(func() { k.attempt(ctx) })
		return
	}
	if adviser, ok := k.issuer.(Adviser); ok && k.current != nil && now.After(k.adviceTill) {
		k.busy = true
		leaf := k.current.certificate.Leaf
		tasks.Go(func() { k.ask(ctx, adviser, leaf) })
	}
}

// due tells whether it is time for another certificate. A clock that is not synchronised does not know; but a host without
// any certificate has nothing to lose.
func (k *keeper) due(now time.Time) bool {
	k.waits = false
	if k.forced || k.current == nil || !k.covered() {
		return true
	}
	leaf := k.current.certificate.Leaf
	if now.Before(k.renewAt()) && !k.early(leaf, now) {
		return false
	}
	if k.synchronised() {
		return true
	}
	if _, ok := k.issuer.(Witness); ok {
		return true // the attempt begins with asking it
	}
	k.waits = !now.After(leaf.NotAfter) // once it has ended, another one can only be better
	return !k.waits
}

// early tells that our own authority made it while the clock was ahead.
func (k *keeper) early(leaf *x509.Certificate, now time.Time) bool {
	return k.name == config.Authority && now.Before(leaf.NotBefore) && k.synchronised()
}

// covered tells whether the certificate has all the names that it is to have.
func (k *keeper) covered() bool {
	for _, n := range k.names {
		if !hasName(k.current.certificate.Leaf, n) {
			return false
		}
	}
	return true
}

// renewAt is when two thirds of its life are over, or what the authority says, but not so late that nothing is left for
// failures.
func (k *keeper) renewAt() time.Time {
	leaf := k.current.certificate.Leaf
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	usual := leaf.NotBefore.Add(life / 3 * 2) // a life without an end is the longest duration, and twice that is none
	if k.advised.IsZero() {
		return usual
	}
	if soonest := k.lastGood.Add(adviceSoonest); k.advised.Before(soonest) && k.advised.Before(usual) {
		return slices.MinFunc([]time.Time{soonest, usual}, time.Time.Compare)
	}
	if last := leaf.NotAfter.Add(-life / 10); k.advised.After(last) {
		return last
	}
	return k.advised
}

// ask asks the authority when to renew. While it does not say, two thirds of the life count.
func (k *keeper) ask(ctx context.Context, adviser Adviser, leaf *x509.Certificate) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	from, to, holds, err := adviser.Advise(ctx, leaf)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.busy = false
	k.adviceTill = time.Now().Add(min(max(holds, minAdvice), maxAdvice))
	switch {
	case err != nil:
		k.log.Debug("the authority does not say when to renew", "certificate", k.name, "error", err)
	case k.current == nil || !k.current.certificate.Leaf.Equal(leaf):
	case k.advised.Before(from) || k.advised.After(to): // a moment at random, chosen once a window: RFC 9773 section 4.2
		k.advised = from.Add(time.Duration(rand.Float64() * float64(to.Sub(from))))
	}
}

// retire ends it: a reload has put another one in its place.
func (k *keeper) retire() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gone = true
}

// renew starts an attempt at the next look, and waits for its end.
func (k *keeper) renew(ctx context.Context) error {
	k.mu.Lock()
	if since := time.Since(k.lastGood); since < forcedEvery {
		k.mu.Unlock()
		return fmt.Errorf("%s was renewed %v ago; authorities count renewals, wait a minute", k.name, since.Round(time.Second))
	}
	k.forced = true
	before := k.succeeded
	k.mu.Unlock()
	ticker := time.NewTicker(pollInterval / 4)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is being renewed still; ask certs how it went", k.name)
		case <-ticker.C:
		}
		k.mu.Lock()
		pending, good, gone, why := k.forced, k.succeeded > before, k.gone, k.lastError
		k.mu.Unlock()
		switch {
		case gone:
			return fmt.Errorf("%s: a reload changed what it is to be; ask again", k.name)
		case good:
			return nil
		case !pending:
			return errors.New(why)
		}
	}
}
