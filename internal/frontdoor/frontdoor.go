// Package frontdoor is how everybody comes in: the services port, which is TLS 1.3 and hands each connection to what was agreed
// upon by ALPN (HTTP, lines for people, frames for ntpq and chronyc), and the control socket, which speaks HTTP alone. Over
// HTTP there are the commands of the table (GET /v1/NAME what only reads, POST /v1/actions/NAME what changes something, GET
// /v1/ the list of them, GET /openapi.json their description), GET /v1/stream with what happens, GET /metrics, and the health
// of us and of the clock. Who asks is left to a Doorkeeper, or to whom the socket was given; what each may do says the table;
// what commands do, and what is counted, those who do it and count it.
package frontdoor

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ntptsd/ntptsd/internal/api"
)

// What one peer, or all of them, may cost.
const (
	maxConnections   = 64
	keptForAdmins    = 16 // of them, so that nobody else can lock an admin out
	maxScrapes       = 4  // at once: each holds a whole answer
	maxCommands      = 16 // at once, for the same reason; more wait
	commandsOfAdmins = 4  // of them, which nobody else can take, and with which they have to do
	keptForOperators = 4  // of them, so that who only reads locks nobody out who changes something
	maxHeader        = 8 << 10
	maxBody          = 8 << 10 // the arguments of a command, and so what it writes to the log

	requestTimeout = 5 * time.Second
	commandTimeout = 10 * time.Second // waiting included
	answerTimeout  = 30 * time.Second
	idleTimeout    = time.Minute
	drainTimeout   = 5 * time.Second

	faultsEvery = time.Minute
)

// Server is a daemon.Service.
type Server struct {
	listener net.Listener
	role     func(net.Conn) api.Caller
	http     *http.Server
	contents *contents
}

// New makes the service for no more than commands and metrics. See NewControl.
func New(control net.Listener, metrics prometheus.Gatherer, table *api.Table, role func(net.Conn) api.Caller, log *slog.Logger) *Server {
	return NewControl(control, Site{Metrics: metrics, Table: table}, role, log)
}

// NewControl makes the service; a nil listener means that there is no control socket. role is asked once per connection.
func NewControl(control net.Listener, site Site, role func(net.Conn) api.Caller, log *slog.Logger) *Server {
	log = log.With("section", "management")
	c := newContents(site, func(r *http.Request) (api.Caller, error) { return callerOf(r), nil }, log)
	s := &Server{listener: control, role: role, contents: c}
	s.http = &http.Server{
		Handler:           c.routes(),
		ReadHeaderTimeout: requestTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       withCaller,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // peers cause these
	}
	s.http.RegisterOnShutdown(c.end)
	return s
}

func withCaller(ctx context.Context, c net.Conn) context.Context {
	if s, ok := c.(*slotted); ok {
		ctx = context.WithValue(ctx, callerKey{}, s.caller)
	}
	return ctx
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
	err := s.http.Serve(newBounded(s.listener, s.role, maxConnections, keptForAdmins))
	if stop() || !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-drained
	s.contents.detached.Wait()
	return nil
}
