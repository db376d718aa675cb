package frontdoor

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Site is what can be had over HTTP. What is nil is not there, but for Metrics and Table, which must be.
type Site struct {
	Metrics prometheus.Gatherer
	Table   *api.Table
	Changes Changes // nil: nothing is changed here
	Health  Health
	Stream  Stream
	Web     http.Handler // on the services port only
}

// contents serve a Site.
type contents struct {
	Site
	commands *commands
	faults   *faults
	ending   context.Context // done when streams are to end
	end      context.CancelFunc
	streams  *streams
	detached sync.WaitGroup // streams that net/http does not know of; it is waited for after end
	frames   sync.Pool      // of *bytes.Buffer
	openapi  []byte

	who  func(*http.Request) (api.Caller, error)
	door *door // what the services port has more than the control socket; nil there
}

// door is what only strangers meet.
type door struct {
	Doorkeeper
	names     func() []string
	strangers func(netip.Addr, time.Time) bool // see Options
	metrics   *metrics
}

func newContents(s Site, who func(*http.Request) (api.Caller, error), log *slog.Logger) *contents {
	f := &faults{log: log}
	c := &contents{Site: s, commands: newCommands(s.Table, s.Changes, log, f), faults: f, who: who, streams: newStreams(defaultConnections)}
	var err error
	if c.openapi, err = describe(s.Table); err != nil {
		f.tell("the interface cannot be described", "error", err) // a test describes every command
	}
	c.ending, c.end = context.WithCancel(context.Background())
	return c
}

// routes lets everybody see that we live, and on the services port the dashboard's empty page. The rest needs a role: a
// socket that was inherited may be open to all.
func (c *contents) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", c.healthz)
	if c.Health != nil {
		mux.HandleFunc("GET /readyz", c.readyz)
		mux.HandleFunc("GET /fit", c.fit)
	}
	mux.Handle("GET /metrics", c.needs("metrics", api.DoorMetrics, c.scrapes()))
	mux.Handle("GET /v1/{$}", c.needs("the list of commands", "", http.HandlerFunc(c.commands.list)))
	mux.Handle("GET /openapi.json", c.needs("the description of the interface", "", http.HandlerFunc(c.description)))
	if c.Stream != nil {
		mux.Handle("GET /v1/stream", c.needs("the stream", api.DoorStream, http.HandlerFunc(c.stream)))
	}
	mux.Handle("/v1/", c.known(c.commands))
	mux.Handle("/v1", c.known(c.commands)) // or net/http would answer with a redirection as long as the query
	if c.door == nil {
		return withoutCache(mux)
	}
	mux.HandleFunc("POST /v1/session", c.session)
	mux.Handle("DELETE /v1/session", c.known(http.HandlerFunc(c.leave)))
	mux.Handle("/", c.rest())
	return withoutCache(c.door.guard(c.paced(mux)))
}

// scrapes has places of their own for those who are let in to nothing else, as a Prometheus should be: nobody else holds these. A
// place is taken until the answer is written; promhttp's own limit ends when it is made.
func (c *contents) scrapes() http.Handler {
	next := promhttp.HandlerFor(c.Metrics, promhttp.HandlerOpts{Timeout: answerTimeout, ErrorLog: c.faults, EnableOpenMetrics: true})
	confined, others := make(chan struct{}, maxScrapes), make(chan struct{}, maxScrapes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		places := others
		if only := callerOf(r).Only; len(only) == 1 { // it is metrics, or needs had refused
			places = confined
		}
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			next.ServeHTTP(w, r)
		default:
			problem(w, api.Failf(api.Unavailable, "%d scrapes are under way; scrape less often, or make a token with --only metrics, which has places of its own", maxScrapes))
		}
	})
}

// rest is the dashboard, which is for reading.
func (c *contents) rest() http.Handler {
	nothing := c.known(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem(w, api.Failf(api.NotFound, "there is no such path; GET /v1/ lists the commands"))
	}))
	if c.Web == nil {
		return nothing
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			nothing.ServeHTTP(w, r)
			return
		}
		c.Web.ServeHTTP(w, r)
	})
}

func withoutCache(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// known finds out who asks. On the services port nobody comes further without having shown something.
func (c *contents) known(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := c.asks(r)
		if err != nil && (r.Header.Get("Authorization") == "" || api.KindOf(err) == api.TooMany) { // see judged: the next connection is judged anew
			w.Header().Set("Connection", "close")
		}
		if err == nil && c.door != nil && who.Role == api.Anonymous {
			err = api.Failf(api.Unknown, "log in with a client certificate or a bearer token")
		}
		if err != nil {
			problem(w, err)
			return
		}
		if c.door != nil {
			who.From = remoteAddr(r)
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
	})
}

// needs answers for those with the role monitor alone. Who is confined to some things needs the door among them.
func (c *contents) needs(what, door string, next http.Handler) http.Handler {
	return c.known(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := permit(what, door, callerOf(r)); err != nil {
			problem(w, err)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// permit is Declaration.Permit for what is no command. A list of what there is takes no door, but whole freedom is not needed
// for it either.
func permit(what, door string, who api.Caller) error {
	d := api.Declaration{Name: what, Role: api.Monitor}
	if door == "" {
		who.Only = nil
	} else if who.Only != nil {
		d.Name = door
	}
	return d.Permit(who)
}

// callerKey is where a request's context keeps its api.Caller.
type callerKey struct{}

// callerOf is the zero Caller, who may nothing, if nobody knows.
func callerOf(r *http.Request) api.Caller {
	who, _ := r.Context().Value(callerKey{}).(api.Caller)
	return who
}

// session exchanges a one-time token, which is shown as a bearer token is, for one that lasts.
func (c *contents) session(w http.ResponseWriter, r *http.Request) {
	once, err := bearer(r)
	if err == nil && once == "" {
		err = api.Failf(api.Unknown, "the one-time token belongs into the header Authorization")
	}
	var s api.Session
	if err == nil {
		s, err = c.door.Redeem(remoteAddr(r), once)
	}
	if err != nil {
		if c.door.tooFast(w, r) {
			return
		}
		if api.KindOf(err) == api.TooMany {
			w.Header().Set("Connection", "close")
		}
		problem(w, err)
		return
	}
	connOf(r).loggedIn()
	b, err := encode(s)
	if err != nil {
		problem(w, err)
		return
	}
	w.Header().Set("Content-Type", jsonMedia)
	_, _ = w.Write(b)
}

// leave ends the session of who asks. What else somebody may have logged in with stays.
func (c *contents) leave(w http.ResponseWriter, r *http.Request) {
	c.door.Leave(callerOf(r))
	w.WriteHeader(http.StatusNoContent)
}

// routeOf is the class of a request for metrics, of which there are few whatever is asked.
func routeOf(r *http.Request) route {
	switch p := r.URL.Path; {
	case p == "/metrics":
		return toMetrics
	case p == "/healthz", p == "/readyz", p == "/fit":
		return toHealth
	case p == "/v1/stream":
		return toStream
	case p == "/v1/session":
		return toSession
	case strings.HasPrefix(p, "/v1/actions/"):
		return toActions
	case strings.HasPrefix(p, "/v1/"), p == "/openapi.json":
		return toV1
	case p == "/", path.Dir(p) == "/assets":
		return toWeb
	}
	return toOther
}
