// Package frontdoor answers HTTP on the control socket: GET /metrics in the Prometheus exposition format and GET /healthz.
// Who may connect is decided by the mode of the socket's file; commands and the TLS port are not here yet. What is counted
// is left to those who count it.
package frontdoor

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// What one peer, or all of them, may cost.
const (
	maxConnections = 64
	maxScrapes     = 4 // at once: each holds a whole answer
	maxHeader      = 8 << 10

	requestTimeout = 5 * time.Second
	answerTimeout  = 30 * time.Second
	idleTimeout    = time.Minute
	drainTimeout   = 5 * time.Second
)

// Server is a daemon.Service.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// New makes the service; a nil listener means that there is no control socket.
func New(control net.Listener, metrics prometheus.Gatherer, log *slog.Logger) *Server {
	log = log.With("section", "management")
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes,
		Timeout:             answerTimeout,
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelError),
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "ok\n")
	})
	return &Server{control, &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: requestTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // peers cause these
	}}
}

// Run answers until ctx is done, then lets answers under way finish, and closes the socket.
func (s *Server) Run(ctx context.Context) error {
	if s.listener == nil {
		<-ctx.Done()
		return nil
	}
	drained := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(drained)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		if s.http.Shutdown(ctx) != nil {
			_ = s.http.Close()
		}
	})
	err := s.http.Serve(newBounded(s.listener, maxConnections))
	if stop() || !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-drained
	return nil
}
