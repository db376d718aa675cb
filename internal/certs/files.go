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

// Files are certificate and key files that are followed while the daemon runs.
type Files struct {
	log     *slog.Logger
	metrics *metrics
	current atomic.Pointer[snapshot] // what handshakes use

	mu      sync.Mutex
	watched []*watch // guarded by mu; as many, in the same order, as current has pairs
}

// watch is what is known of one pair's files. Guarded by Files.mu.
type watch struct {
	files    config.Pair
	seen     stamp  // at the last look
	tried    stamp  // when last loaded, or tried to be
	broken   string // why the files as they are cannot be loaded
	validity string // as last told to the operator
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

// OpenFiles loads all pairs of the key exchange and of the services port. The error lists every pair that cannot be used.
func OpenFiles(pairs []config.Pair, log *slog.Logger, services ...config.Pair) (*Files, error) {
	f := &Files{log: log.With("section", "certs"), metrics: newMetrics()}
	commit, err := f.prepare(pairs, services)
	if err != nil {
		return nil, err
	}
	commit()
	return f, nil
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

// Run follows the files until ctx is done.
func (f *Files) Run(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			f.poll()
		}
	}
}

// Prepare loads the pairs of a new configuration, whether their files changed or not.
func (f *Files) Prepare(cfg *config.Config) (commit func(), err error) {
	swap, err := f.prepare(Pairs(cfg), ServicesPairs(cfg))
	if err != nil {
		f.metrics.reloaded(false)
		return nil, err
	}
	return func() {
		swap()
		f.metrics.reloaded(true)
	}, nil
}

func (f *Files) prepare(keyExchange, services []config.Pair) (commit func(), err error) {
	var pairs []*pair
	var watched []*watch
	var errs []error
	for _, names := range slices.Concat(keyExchange, services) {
		s := look(names) // before reading: a change in between is seen by the next poll
		p, err := load(names)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		pairs = append(pairs, p)
		watched = append(watched, &watch{files: names, seen: s, tried: s})
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("certs: %w", errors.Join(errs...))
	}
	next := newSnapshot(pairs, len(keyExchange))
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.current.Store(next)
		f.watched = watched
		for i, w := range watched {
			f.warn(w, pairs[i])
			f.warnValidity(w, pairs[i])
		}
	}, nil
}

// poll looks at all files once and loads what changed.
func (f *Files) poll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	pairs := slices.Clone(f.current.Load().pairs)
	changed := false
	for i, w := range f.watched {
		if p := f.follow(w); p != nil {
			pairs[i], changed = p, true
			f.warn(w, p)
		}
		f.warnValidity(w, pairs[i])
	}
	if changed {
		f.current.Store(newSnapshot(pairs, len(f.current.Load().keyExchange.pairs)))
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

func (f *Files) warn(w *watch, p *pair) {
	leaf := p.certificate.Leaf
	f.log.Info("certificate loaded", "certificate", w.files.Certificate, "names", leaf.DNSNames, "expires", leaf.NotAfter)
	if p.loose {
		f.log.Warn("others may read or change the key; restrict its mode to 0600 or 0640", "key", w.files.Key)
	}
}

func (f *Files) warnValidity(w *watch, p *pair) {
	now := p.validity(time.Now())
	if now == w.validity {
		return
	}
	w.validity = now
	if now == "" {
		f.log.Info("the certificate is valid now", "certificate", w.files.Certificate)
		return
	}
	f.log.Warn("the certificate is "+now+" by this machine's clock; it is served all the same, renew it or correct the clock",
		"certificate", w.files.Certificate, "from", p.certificate.Leaf.NotBefore, "until", p.certificate.Leaf.NotAfter)
}
