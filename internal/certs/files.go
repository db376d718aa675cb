// Package certs holds the certificates of TLS services: read from PEM files, chosen by the name that a client asks for
// (RFC 6066 section 3) and loaded anew whenever the files change. A broken new pair never replaces a good old one. What
// a handshake makes of a certificate is left to crypto/tls.
package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

// pollInterval is how often the files are looked at; a renewal needs no signal.
const pollInterval = 2 * time.Second

// Files are certificates that are followed while the daemon runs: files that somebody else renews, and pairs that keepers
// renew.
type Files struct {
	log       *slog.Logger
	metrics   *metrics
	house     *house
	resources Resources
	current   atomic.Pointer[snapshot] // what handshakes use

	mu      sync.Mutex
	watched []*watch  // guarded by mu; those of the key exchange first
	keepers []*keeper // guarded by mu
	// replaced are those that a reload has taken out in the middle of an attempt. Guarded by mu.
	replaced []*keeper
	first    int // guarded by mu: how many of watched are the key exchange's
}

// watch is what is known of one pair. Guarded by Files.mu.
type watch struct {
	files    config.Pair
	keeper   *keeper // nil: files
	pair     *pair   // as served; nil: the keeper has none yet
	seen     stamp   // at the last look
	tried    stamp   // when last loaded, or tried to be
	broken   string  // why the files as they are cannot be loaded
	validity string  // as last told to the operator
}

// Pairs lists the pairs of a configuration; the first answers who asks for no name that we have.
func Pairs(cfg *config.Config) []config.Pair {
	k := cfg.KeyExchange
	if k == nil {
		return nil
	}
	return slices.Concat([]config.Pair{{Certificate: k.Certificate, Key: k.Key}}, k.Certificates)
}

// ServicesPairs lists those that the services port has for itself: none where it shows what the key exchange shows, first pair
// first. A further pair of the key exchange is one for itself, too: that one answers, whatever name is asked for.
func ServicesPairs(cfg *config.Config) []config.Pair {
	m := cfg.Monitoring
	if m == nil {
		return nil
	}
	own := config.Pair{Certificate: m.Certificate, Key: m.Key}
	if all := Pairs(cfg); len(all) > 0 && all[0] == own {
		return nil
	}
	return []config.Pair{own}
}

// Open loads all that the configuration names, and what an earlier run has left of pairs that renew themselves.
func Open(cfg *config.Config, with Resources, log *slog.Logger) (*Files, error) {
	f := newFiles(with, log)
	commit, err := f.prepareAll(cfg)
	if err != nil {
		return nil, err
	}
	commit()
	return f, nil
}

// OpenFiles loads pairs of the key exchange and of the services port that are all files. The error lists every pair that cannot
// be used.
func OpenFiles(pairs []config.Pair, log *slog.Logger, services ...config.Pair) (*Files, error) {
	f := newFiles(Resources{}, log)
	commit, err := f.prepare(pairs, services, nil)
	if err != nil {
		return nil, err
	}
	commit()
	return f, nil
}

func newFiles(with Resources, log *slog.Logger) *Files {
	f := &Files{log: log.With("section", "certs"), metrics: newMetrics(), resources: with}
	f.house = &house{clock: with.Clock, log: f.log, changed: f.poll}
	return f
}

// GetCertificate is for the key exchange. It has the form that tls.Config wants.
func (f *Files) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.current.Load().keyExchange.choose(hello)
}

// ForServices is GetCertificate for the services port.
func (f *Files) ForServices(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.current.Load().services.choose(hello)
}

// ServicesNames are what the services port may be called by its certificate: DNS names, wildcards too.
func (f *Files) ServicesNames() (names []string) {
	for _, p := range f.current.Load().services.pairs {
		names = append(names, p.names()...)
	}
	return names
}

// Run follows the files, and renews what is to be renewed, until ctx is done.
func (f *Files) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		for _, k := range f.kept() {
			k.tend(ctx, &tasks)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			f.poll()
		}
	}
}

func (f *Files) kept() []*keeper {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.keepers
}

// Prepare loads the pairs of a new configuration, whether their files changed or not.
func (f *Files) Prepare(cfg *config.Config) (commit func(), err error) {
	swap, err := f.prepareAll(cfg)
	if err != nil {
		f.metrics.reloaded(false)
		return nil, err
	}
	return func() {
		swap()
		f.metrics.reloaded(true)
	}, nil
}

func (f *Files) prepareAll(cfg *config.Config) (commit func(), err error) {
	keepers, hire, err := f.prepareKeepers(cfg)
	swap, pairsErr := f.prepare(Pairs(cfg), ServicesPairs(cfg), keepers)
	if err := errors.Join(err, pairsErr); err != nil {
		return nil, err
	}
	return func() {
		hire()
		swap()
	}, nil
}

func (f *Files) prepare(keyExchange, services []config.Pair, keepers []*keeper) (commit func(), err error) {
	var watched []*watch
	var errs []error
	for _, names := range slices.Concat(keyExchange, services) {
		w := &watch{files: names}
		if i := slices.IndexFunc(keepers, func(k *keeper) bool { return names.Managed() && k.name == names.Certificate }); i >= 0 {
			w.keeper = keepers[i]
			w.pair = w.keeper.pair()
			watched = append(watched, w)
			continue
		}
		w.seen = look(names) // before reading: a change in between is seen by the next poll
		w.tried = w.seen
		if w.pair, err = load(names); err != nil {
			errs = append(errs, err)
			continue
		}
		watched = append(watched, w)
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("certs: %w", errors.Join(errs...))
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, w := range watched {
			if w.keeper != nil { // it may have had another one meanwhile
				w.pair = w.keeper.pair()
			}
		}
		f.watched, f.first = watched, len(keyExchange)
		f.show()
		for _, w := range watched {
			f.warn(w)
			f.warnValidity(w)
		}
	}, nil
}

// show lets handshakes use what is watched now.
func (f *Files) show() { f.current.Store(newSnapshot(f.watched, f.first)) }

// poll looks at all pairs once and takes on what changed.
func (f *Files) poll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed := false
	for _, w := range f.watched {
		p := w.pair
		if w.keeper != nil {
			p = w.keeper.pair()
		} else if next := f.follow(w); next != nil {
			p = next
		}
		if p != w.pair {
			w.pair, changed = p, true
			if w.keeper == nil { // who told so itself
				f.warn(w)
			}
		}
		f.warnValidity(w)
	}
	if changed {
		f.show()
	}
	if slices.ContainsFunc(f.watched, func(w *watch) bool { return w.broken != "" }) {
		f.metrics.lastFailed.Store(true) // another pair's success does not mend this one
	}
}

// follow returns a new pair if there is one. Files are read when two looks agree, so that a renewal which writes them
// one after the other is seldom caught half way; broken ones are read at every look, since a corrected owner or a
// parent folder's mode leaves no trace in the files.
func (f *Files) follow(w *watch) *pair {
	s := look(w.files)
	settled := s.equal(w.seen)
	w.seen = s
	if !settled || (s.equal(w.tried) && w.broken == "") {
		return nil
	}
	changed := !s.equal(w.tried)
	w.tried = s
	p, err := load(w.files)
	if err == nil {
		w.broken = ""
		f.metrics.reloaded(true)
		return p
	}
	if changed || err.Error() != w.broken { // once per change
		w.broken = err.Error()
		f.metrics.reloaded(false)
		f.log.Error("the changed certificate cannot be used, the one from before stays", "error", err)
	}
	return nil
}

func (f *Files) warn(w *watch) {
	if w.pair == nil {
		return
	}
	leaf := w.pair.certificate.Leaf
	f.log.Info("certificate loaded", "certificate", w.files.Certificate, "names", leaf.DNSNames, "expires", leaf.NotAfter)
	if w.pair.loose {
		f.log.Warn("others may read or change the key; restrict its mode to 0600 or 0640", "key", w.files.Key)
	}
}

func (f *Files) warnValidity(w *watch) {
	if w.pair == nil {
		return
	}
	now := w.pair.validity(time.Now())
	if now == w.validity {
		return
	}
	w.validity = now
	if now == "" {
		f.log.Info("the certificate is valid now", "certificate", w.files.Certificate)
		return
	}
	f.log.Warn("the certificate is "+now+" by this machine's clock; it is served all the same, renew it or correct the clock",
		"certificate", w.files.Certificate, "from", w.pair.certificate.Leaf.NotBefore, "until", w.pair.certificate.Leaf.NotAfter)
}
