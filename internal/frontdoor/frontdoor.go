// Package frontdoor answers HTTP on the control socket: the commands of the table (GET /v1/NAME what only reads, POST
// /v1/actions/NAME what changes something, GET /v1/ the list of them), GET /metrics in the Prometheus exposition format and
// GET /healthz. Who asks is found out once per connection, by whom it was given; what each may do says the table. The TLS
// port is not here yet. What commands do, and what is counted, is left to those who do it and count it.
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

	"github.com/ntptsd/ntptsd/internal/api"
)

// What one peer, or all of them, may cost.
const (
	maxConnections   = 64
	keptForAdmins    = 16 // of them, so that nobody else can lock an admin out
	maxScrapes       = 4  // at once: each holds a whole answer
	maxCommands      = 16 // at once, for the same reason; more wait
	commandsOfAdmins = 4  // of them, which nobody else can take, and with which they have to do
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
}

// New makes the service; a nil listener means that there is no control socket. role is asked once per connection.
func New(control net.Listener, metrics prometheus.Gatherer, table *api.Table, role func(net.Conn) api.Caller, log *slog.Logger) *Server {
	log = log.With("section", "management")
	f := &faults{log: log}
	s := &Server{listener: control, role: role}
	s.http = &http.Server{
		Handler:           routes(metrics, newCommands(table, log, f), f),
		ReadHeaderTimeout: requestTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       withCaller,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // peers cause these
	}
	return s
}

// routes lets everybody see that we live. The rest needs a role: a socket that was inherited may be open to all.
func routes(metrics prometheus.Gatherer, commands *commands, faults *faults) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", needs("metrics", api.Monitor, promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes,
		Timeout:             answerTimeout,
		ErrorLog:            faults,
	})))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.Handle("GET /v1/{$}", needs("the list of commands", api.Monitor, http.HandlerFunc(commands.list)))
	mux.Handle("/v1/", commands)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}

// needs answers for those with the role alone.
func needs(what string, role api.Role, next http.Handler) http.Handler {
	d := api.Declaration{Name: what, Role: role}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := d.Permit(callerOf(r)); err != nil {
			problem(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// callerKey is where a connection's context keeps its api.Caller.
type callerKey struct{}

func withCaller(ctx context.Context, c net.Conn) context.Context {
	if s, ok := c.(*slotted); ok {
		ctx = context.WithValue(ctx, callerKey{}, s.caller)
	}
	return ctx
}

// callerOf is the zero Caller, who may nothing, if nobody knows.
func callerOf(r *http.Request) api.Caller {
	who, _ := r.Context().Value(callerKey{}).(api.Caller)
	return who
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
	return nil
}
