// Package keyexchange is the NTS-KE server, RFC 8915 section 4: a client makes one TLS 1.3 connection, says what it can
// and gets cookies for a time server: ours, a neighbour, or one of several targets that probes find fit. Strangers are
// refused before any cryptography and cost a bounded amount of memory and time. Bytes are left to protocol/ntske and
// protocol/cookie, keys to internal/keyring, certificates to internal/certs, probes to internal/probe.
package keyexchange

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/internal/probe"
	"github.com/ntptsd/ntptsd/internal/visitors"
	"github.com/ntptsd/ntptsd/protocol/ntske"
)

// Rings yields the current cookie keys of a ring; nil when there are none. Safe for concurrent use.
type Rings interface {
	KeySet(ring string) *keyring.KeySet
}

// Certificates chooses a certificate for a client. Safe for concurrent use.
type Certificates interface {
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

// Server answers on its listeners while Run runs.
type Server struct {
	log       *slog.Logger
	listeners []net.Listener
	rings     Rings
	tls       *tls.Config
	slots     *access.Slots
	metrics   *metrics
	visitors  *visitors.Table
	prove     prover
	listen    []netip.AddrPort // as configured at start; nil without the section
	settings  atomic.Pointer[settings]
	bans      *access.Bans // nil: nobody is
	drains    drains

	writing  sync.Mutex            // of the board: whoever replaces it. Readers need no lock
	board    atomic.Pointer[board] // nil without the section
	reloaded chan struct{}         // the board has other targets
}

// New takes over the listeners: Run closes them. Without the section [keyexchange] there are none.
func New(cfg *config.Config, listeners []net.Listener, rings Rings, certs Certificates, log *slog.Logger) (*Server, error) {
	s := &Server{
		log:       log.With("section", "keyexchange"),
		listeners: listeners,
		rings:     rings,
		tls:       tlsConfig(certs),
		slots:     access.NewSlots(0, 0),
		prove:     probe.Prove,
		metrics:   newMetrics(),
		reloaded:  make(chan struct{}, 1),
		drains:    drains{listeners: make([]atomic.Bool, len(listeners))},
	}
	if k := cfg.KeyExchange; k != nil {
		s.listen, s.visitors = k.Listen, visitors.NewTables(1)[0]
		commit, err := s.Prepare(cfg)
		if err != nil {
			return nil, err
		}
		commit()
	}
	return s, nil
}

func tlsConfig(certs Certificates) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13, // RFC 8915 section 3
		NextProtos:         []string{ntske.ALPN},
		CurvePreferences:   slices.Clone(tlsGroups[:]),
		GetCertificate:     certs.GetCertificate,
		GetConfigForClient: greet,
		// Session keys come from the exporter of a full handshake, and a client comes once a month.
		SessionTicketsDisabled: true,
		// NTPsec's clients before 1.2.5 read one record, and crypto/tls would begin with small ones.
		DynamicRecordSizingDisabled: true,
	}
}

// Prepare implements daemon.Reloader. Connections keep the settings that they were accepted with.
func (s *Server) Prepare(cfg *config.Config) (commit func(), err error) {
	k := cfg.KeyExchange
	switch {
	case (k == nil) != (s.listen == nil):
		return nil, errors.New("keyexchange: the section comes and goes only with a restart; restart ntptsd")
	case k == nil:
		return func() {}, nil
	case !slices.Equal(k.Listen, s.listen):
		return nil, errors.New("keyexchange.listen: changes only with a restart; restart ntptsd")
	}
	targets, err := newTargets(k)
	if err != nil {
		return nil, err
	}
	next := newSettings(k, s.settings.Load())
	return func() {
		s.settings.Store(next)
		s.slots.Resize(k.MaxConnections, k.MaxConnectionsPerPrefix)
		s.retarget(k, targets)
	}, nil
}

// retarget puts other targets onto the board; what is known of those that stay is kept.
func (s *Server) retarget(k *config.KeyExchange, targets []*target) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.board.Store(newBoard(k, targets, s.board.Load()))
	select {
	case s.reloaded <- struct{}{}:
	default: // it is told already
	}
}

// Run implements daemon.Service: when ctx is done the listeners close and exchanges under way finish.
func (s *Server) Run(ctx context.Context) error {
	if len(s.listeners) == 0 {
		<-ctx.Done()
		return nil
	}
	running, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	context.AfterFunc(running, func() {
		for _, l := range s.listeners {
			_ = l.Close()
		}
	})
	var work sync.WaitGroup
	work.Go(func() { s.watch(running) })
	for i, l := range s.listeners {
		work.Go(func() {
			if err := s.accept(running, l, &s.drains.listeners[i], &work); err != nil {
				fail(fmt.Errorf("keyexchange: accept on %v: %w", l.Addr(), err))
			}
		})
	}
	work.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(running)
}

// admit judges who connects, before anything is computed or allocated for it.
func (s *Server) admit(conn net.Conn, from netip.Addr) (*exchange, Verdict) {
	if s.bans.Banned(from) {
		return nil, Banned
	}
	set, now := s.settings.Load(), time.Now()
	if !set.prefixes.Allowed(from) {
		return nil, Denied
	}
	switch s.slots.Acquire(from) {
	case access.ErrFull:
		return nil, Full
	case access.ErrNetworkFull:
		return nil, NetworkFull
	}
	if !set.limiter.Allow(from, now) {
		s.slots.Release(from)
		return nil, RateLimited
	}
	return &exchange{Conn: conn, from: from, settings: set, accepted: now}, Served
}

func remote(conn net.Conn) netip.Addr {
	addr, ok := conn.RemoteAddr().(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return netip.Addr{}
	}
	return addr.AddrPort().Addr().Unmap()
}

// handle runs an admitted exchange to its end and counts it.
func (s *Server) handle(e *exchange) {
	verdict, err := s.serve(e)
	s.slots.Release(e.from)
	s.count(e.from, verdict, err)
}

// count is the one place where a connection gets its verdict. Peers can make it log, so it logs for debugging only.
func (s *Server) count(from netip.Addr, v Verdict, err error) {
	s.metrics.connections[v].Add(1)
	s.remember(from, v)
	if s.log.Enabled(context.Background(), slog.LevelDebug) {
		s.log.Debug("connection ended", "from", from, "verdict", v.String(), "error", err)
	}
}
