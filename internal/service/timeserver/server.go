// Package timeserver answers NTP client requests, versions 1 to 4, plain and with NTS (RFC 5905, RFC 8915 section 5). The
// Responder decides, without socket, log or clock of its own; the Server reads, writes and counts. Never does it answer
// longer than it was asked, nor anything but a client's request. Cookie keys, the state of the clock and open sockets are
// handed to it; key exchange is another service.
package timeserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ntptsd/ntptsd/internal/clockstate"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/internal/sockets"
	"github.com/ntptsd/ntptsd/internal/visitors"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

const (
	// fieldsAtOnce is how many octets of extension fields, about 16 requests for a cookie, are judged before the answers made
	// so far leave: they mean microseconds of cryptography, whatever comes of it, by which transmit timestamps would lie.
	fieldsAtOnce = 3 << 10
	// retryAfter is the pause after an error that passes by itself.
	retryAfter = 100 * time.Millisecond
)

// Keys yields the cookie keys of a ring now; nil while it has none. Safe for concurrent use; called once at the most for
// each NTS request.
type Keys interface{ KeySet() *keyring.KeySet }

// Clock yields what is known of the clock. Safe for concurrent use; called once for each request.
type Clock interface{ State() *clockstate.State }

// Server is a daemon.Service, a daemon.Reloader and a prometheus.Collector.
type Server struct {
	log      *slog.Logger
	opened   *config.TimeServer // what the sockets were opened for
	settings atomic.Pointer[settings]
	workers  []*worker
	metrics  metrics
}

// worker is one socket and the goroutine that serves it.
type worker struct {
	conn      *sockets.UDP
	responder *Responder
	log       *slog.Logger
	verdicts  [sockets.BatchLen]Verdict // of the batch under way
	tally     tally                     // of the batch under way
	counters  counters
	visitors  *visitors.Table
	drained   *atomic.Bool // of the address: all its workers answer nobody
}

// New makes the service, which opens cookies of all rings; without a section it has nothing to do.
func New(cfg *config.Config, conns []*sockets.UDP, rings []Keys, clock Clock, log *slog.Logger) (*Server, error) {
	s := &Server{log: log.With("section", "timeserver"), opened: cfg.TimeServer, metrics: newMetrics()}
	if cfg.TimeServer == nil {
		if len(conns) > 0 {
			return nil, errors.New("timeserver: sockets without a section [timeserver]")
		}
		return s, nil
	}
	s.settings.Store(newSettings(cfg.TimeServer, nil))
	for i, table := range visitors.NewTables(len(conns)) {
		s.workers = append(s.workers, &worker{conn: conns[i], responder: newResponder(&s.settings, rings, clock), log: s.log,
			visitors: table, drained: s.drainOf(conns[i].LocalAddr())})
	}
	return s, nil
}

// Visitors remember which networks ask most, one table a worker.
func (s *Server) Visitors() []*visitors.Table {
	tables := make([]*visitors.Table, len(s.workers))
	for i, w := range s.workers {
		tables[i] = w.visitors
	}
	return tables
}

// Prepare makes new settings out of cfg. They count from the first request after the commit.
func (s *Server) Prepare(cfg *config.Config) (commit func(), err error) {
	if err := restartOnly(s.opened, cfg.TimeServer); err != nil {
		return nil, err
	}
	if cfg.TimeServer == nil {
		return func() {}, nil
	}
	next := newSettings(cfg.TimeServer, s.settings.Load())
	return func() { s.settings.Store(next) }, nil
}

// Run serves until ctx is done, then lets each worker finish its batch, and closes the sockets.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var serving sync.WaitGroup
	failures := make([]error, len(s.workers))
	for i, w := range s.workers {
		serving.Go(func() {
			defer cancel() // one broken socket ends the service: half a service hides the fault
			failures[i] = w.serve(ctx)
		})
	}
	<-ctx.Done()
	for _, w := range s.workers {
		_ = w.conn.Interrupt() // fails on a closed socket only
	}
	serving.Wait()
	for _, w := range s.workers {
		_ = w.conn.Close()
	}
	return errors.Join(failures...)
}

// serve returns nil when it was interrupted.
func (w *worker) serve(ctx context.Context) error {
	b := sockets.NewBatch()
	for {
		n, err := w.conn.ReadBatch(b)
		switch {
		case err == nil:
			w.answer(b, n)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case sockets.IsTransient(err):
			w.log.Debug("receiving failed", "address", w.conn.LocalAddr(), "error", err)
			w.counters.receiveErrors.Add(1)
			pause(ctx)
		default:
			return fmt.Errorf("timeserver: receive on %v: %w", w.conn.LocalAddr(), err)
		}
	}
}

func pause(ctx context.Context) {
	timer := time.NewTimer(retryAfter)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// answer responds to a batch, and counts it when all answers have left.
func (w *worker) answer(b *sockets.Batch, n int) {
	sent, fields := 0, 0
	drained := w.drained.Load()
	for i := range n {
		m := &b.Messages[i]
		if drained {
			w.verdicts[i] = Drained
			w.tally.count(Drained, m)
			continue
		}
		w.verdicts[i] = w.respond(m)
		if fields += max(len(m.Data)-ntp.HeaderLen, 0); fields >= fieldsAtOnce {
			w.tally.refused += w.conn.WriteBatch(b, sent, i+1)
			sent, fields = i+1, 0
		}
	}
	w.tally.refused += w.conn.WriteBatch(b, sent, n)
	w.count(b.Messages[:n])
}

// count shows what became of a batch, and remembers its networks. A datagram from nobody, or from ourselves, has none; of
// those that are banned nothing more is to be known.
func (w *worker) count(batch []sockets.Message) {
	w.tally.cookies, w.responder.cookies = w.responder.cookies, 0
	w.tally.ages, w.responder.ages = w.responder.ages, [ages]uint64{}
	w.counters.add(&w.tally)
	w.tally = tally{}

	w.visitors.Begin()
	defer w.visitors.End()
	for i := range batch {
		if v := w.verdicts[i]; v != WrongSource && v != Banned {
			w.visitors.Add(batch[i].Remote.Addr(), v.kind())
		}
	}
}

// respond answers one message, unless it came from ourselves or went to everybody, whose answers would multiply.
func (w *worker) respond(m *sockets.Message) Verdict {
	v := WrongSource
	if !m.ToMany && m.Remote != netip.AddrPortFrom(m.Local, w.conn.LocalAddr().Port()) {
		m.Reply, v = w.responder.Respond(m.Reply, m.Data, m.Remote, m.Received)
	}
	w.tally.count(v, m)
	return v
}
