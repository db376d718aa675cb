package certs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/durable"
)

const (
	// firstRetry and maxRetry: an authority counts failures and refuses who fails too often (Let's Encrypt: five an hour and
	// name), so it waits twice as long each time. A certificate of six days still has a dozen tries.
	firstRetry = 2 * time.Minute
	maxRetry   = 4 * time.Hour
	retryShare = 4 // a quarter more or less at random, so that a fleet does not come back at once

	// attemptTimeout bounds one attempt: validation and DNS take minutes at worst.
	attemptTimeout = 15 * time.Minute
	// clockRetry is how often an authority is asked for the time while our own clock is not synchronised.
	clockRetry = 10 * time.Minute
	// clockTolerance is how far the authority's clock may be from ours for ours to do for a renewal.
	clockTolerance = time.Hour

	folderMode = 0o700
	bundleMode = 0o600
)

// attempt gets another pair, lets it prove itself, writes it down and serves it. Whatever fails, the one from before stays.
func (k *keeper) attempt(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	k.mu.Lock()
	order := Order{Names: k.names, Doubtful: !k.synchronised()}
	if k.current != nil {
		order.Previous = k.current.certificate.Leaf
	}
	issuer, forced := k.issuer, k.forced
	k.mu.Unlock()
	if order.Doubtful && order.Previous != nil && !forced {
		if w, ok := issuer.(Witness); ok && !agree(ctx, w) {
			k.postpone()
			return
		}
	}
	bundle, err := issuer.Issue(ctx, order)
	var p *pair
	if err == nil {
		p, err = k.pairOf(bundle)
	}
	if err == nil {
		if err = prove(p, k.names, momentFor(p, order.Doubtful)); err != nil {
			err = fmt.Errorf("the new certificate was refused by a client of our own, which tried it first: %w", err)
		}
	}
	k.finish(ctx, p, bundle, err)
	k.changed()
}

// agree tells whether the authority has the same time as we have.
func agree(ctx context.Context, w Witness) bool {
	theirs, err := w.Time(ctx)
	return err == nil && time.Until(theirs).Abs() < clockTolerance
}

// momentFor is what a new certificate is judged by: now, or the middle of its life if nobody knows what now is.
func momentFor(p *pair, doubtful bool) time.Time {
	leaf := p.certificate.Leaf
	if doubtful {
		return leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)
	}
	return time.Now()
}

// postpone waits for the clock.
func (k *keeper) postpone() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waits, k.next = true, time.Now().Add(clockRetry)
	k.end()
}

func (k *keeper) end() { k.busy, k.renews = false, false }

func (k *keeper) finish(ctx context.Context, p *pair, bundle []byte, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.end()
	if k.gone || err != nil && errors.Is(ctx.Err(), context.Canceled) { // we end, or a reload wants something else
		return
	}
	k.forced = false
	if err != nil {
		k.failed(err)
		return
	}
	k.current, k.unsaved = p, bundle
	k.advised, k.adviceTill, k.waits = time.Time{}, time.Time{}, false
	k.lastGood = time.Now()
	k.succeeded++
	leaf := p.certificate.Leaf
	k.log.Info("the certificate was renewed and has proved itself", "certificate", k.name, "names", k.names, "expires", leaf.NotAfter)
	k.saveAgain()
}

// saveAgain writes down what is served. To get yet another one because of a full disk would only anger the authority.
func (k *keeper) saveAgain() {
	k.storage.mu.Lock()
	defer k.storage.mu.Unlock()
	err := durable.MakeFolder(k.storage.dir, folderMode)
	if err == nil {
		err = durable.WriteFile(k.file, k.unsaved, bundleMode)
	}
	if err != nil {
		k.failed(fmt.Errorf("the new certificate is served, but cannot be written down: %w; make room there, and the folder writable for the user that ntptsd runs as", err))
		return
	}
	k.unsaved, k.failures, k.next, k.lastError = nil, 0, time.Time{}, ""
}

// failed notes why, and when to try again. The log hears of the first failure of a row; the rest is state.
func (k *keeper) failed(err error) {
	k.failures++
	k.failedEver++
	k.lastFailed = time.Now()
	k.lastError = bounded(err.Error())
	k.next = k.lastFailed.Add(backoff(k.failures))
	level := slog.LevelDebug
	if k.failures == 1 {
		level = slog.LevelWarn
	}
	k.log.Log(context.Background(), level, "no new certificate, what was served before stays; it is tried again by itself",
		"certificate", k.name, "error", k.lastError, "again", k.next.Round(time.Second))
}

// backoff is how long to wait after so many failures in a row.
func backoff(failures int) time.Duration {
	d := maxRetry
	if doublings := failures - 1; doublings < 10 {
		d = min(firstRetry<<doublings, maxRetry)
	}
	return d + time.Duration((rand.Float64()*2-1)*float64(d)/retryShare)
}

// maxErrorText bounds what an authority says: it is kept and shown.
const maxErrorText = 500

// bounded makes a text from the network fit to be shown: printable, and not too long.
func bounded(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0xfffd || r == 0x202e || r == 0x2028 || r == 0x2029 {
			return '?'
		}
		return r
	}, s)
	if len(s) > maxErrorText {
		s = strings.ToValidUTF8(s[:maxErrorText], "") + "..."
	}
	return s
}
