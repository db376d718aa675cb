package frontdoor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ntptsd/ntptsd/internal/api"
)

// What the connections of the services port may cost.
const (
	// defaultConnections is of all protocols, and divided by shares.
	defaultConnections = 2000
	defaultHello       = 5 * time.Second // for a whole handshake
	// cryptoShare of the cores, at least one of them, computes handshakes of this port at a time: a flood here must leave
	// key exchange its own. A client that we wait for is not counted.
	cryptoShare = 4
	// maxHandshake is how many octets a peer may say in a handshake; crypto/tls would keep 256 KiB of a stranger's chain. It
	// has room for post-quantum keys and for a chain of four.
	maxHandshake = 32 << 10
	// firstOctets is how long a connection without TLS may take to show that it speaks HTTP; then it is greeted.
	firstOctets    = 300 * time.Millisecond
	refusalTimeout = time.Second // for a last word
)

// Options are what a Port is made of. Nil parts are not served.
type Options struct {
	TLS, Plain   []net.Listener // Run closes them
	Certificates Certificates
	Names        func() []string // that the certificates cover, wildcards included; what a Host header may say
	Doorkeeper   Doorkeeper
	Slots        Slots
	Connections  int                              // as many as Slots has; 2000 unless given
	Admits       func(netip.Addr) bool            // whether the address may connect at all; nil: all may
	Allow        func(netip.Addr, time.Time) bool // the rate of handshakes by network; nil: any
	Strangers    func(netip.Addr, time.Time) bool // the rate of HTTP requests that show nothing that counts, by network; nil: any
	Table        *api.Table
	Changes      Changes
	Metrics      prometheus.Gatherer
	Health       Health
	Stream       Stream
	Web          http.Handler // the dashboard, without secrets; everybody may have it
	Line         Protocol
	Mode6        Protocol
	Cmdmon       Protocol
	HelloTimeout time.Duration
	Log          *slog.Logger
}

// Port is the services port: a daemon.Service and a prometheus.Collector. Everybody who connects is judged by address before
// anything is computed, then by ALPN belongs to one protocol, each with a number of connections of its own.
type Port struct {
	Options
	tls      *tls.Config
	greeting atomic.Pointer[tls.Config] // tls with the client authorities of the last reload
	http     *http.Server
	handed   *handed       // connections for http
	crypto   chan struct{} // a place for each handshake that is computed
	budgets  budgets
	metrics  *metrics
	log      *slog.Logger
	contents *contents

	mu        sync.Mutex
	open      map[*conn]struct{} // guarded by mu, as strangers
	strangers strangers
}

// NewPort takes over the listeners.
func NewPort(o Options) *Port {
	if o.HelloTimeout == 0 {
		o.HelloTimeout = defaultHello
	}
	if o.Connections == 0 {
		o.Connections = defaultConnections
	}
	p := &Port{
		Options: o,
		handed:  newHanded(),
		crypto:  make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/cryptoShare)),
		metrics: newMetrics(),
		log:     o.Log.With("section", "monitoring"),
		open:    make(map[*conn]struct{}),
	}
	p.budgets.divide(o.Connections)
	p.tls = p.tlsConfig()
	p.contents = newContents(Site{Metrics: o.Metrics, Table: o.Table, Changes: o.Changes, Health: o.Health, Stream: o.Stream, Web: o.Web}, p.who, p.log)
	p.contents.door = &door{Doorkeeper: o.Doorkeeper, names: o.Names, strangers: o.Strangers, metrics: p.metrics}
	p.contents.streams = newStreams(o.Connections)
	p.contents.commands.strict, p.contents.commands.caching = true, "no-cache, private"
	p.http = p.httpServer()
	return p
}

// Run implements daemon.Service: when ctx is done the listeners close, and what is under way ends within drainTimeout. A
// listener that breaks is no reason to end: key exchange and time go on.
func (p *Port) Run(ctx context.Context) error {
	if len(p.TLS)+len(p.Plain) == 0 {
		<-ctx.Done()
		return nil
	}
	running, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	stop := context.AfterFunc(running, func() {
		for _, l := range append(p.TLS[:len(p.TLS):len(p.TLS)], p.Plain...) {
			_ = l.Close()
		}
	})
	defer stop()
	var accepting, work sync.WaitGroup
	loop := func(l net.Listener, begin func(context.Context, *conn)) {
		accepting.Go(func() { p.accept(running, l, &work, begin) })
	}
	for _, l := range p.TLS {
		loop(l, p.beginTLS)
	}
	for _, l := range p.Plain {
		loop(l, p.beginPlain)
	}
	work.Go(func() { // until the handed close
		if err := p.http.Serve(p.handed); !errors.Is(err, http.ErrServerClosed) {
			fail(fmt.Errorf("monitoring: %w", err))
		}
	})
	<-running.Done()
	accepting.Wait()
	p.drain()
	work.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(running)
}

// drain lets what is under way finish, in bounded time.
func (p *Port) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, p.cut)
	defer stop()
	if p.http.Shutdown(ctx) != nil {
		_ = p.http.Close()
	}
	p.awaitNone(ctx)
	p.cut()
	p.contents.detached.Wait()
}

// awaitNone waits until no connection is open, or ctx is done.
func (p *Port) awaitNone(ctx context.Context) {
	for p.opened() > 0 && ctx.Err() == nil {
		pause(ctx, drainPoll)
	}
}

// cut closes whatever is open.
func (p *Port) cut() {
	p.mu.Lock()
	all := make([]*conn, 0, len(p.open))
	for c := range p.open {
		all = append(all, c)
	}
	p.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
}

func (p *Port) opened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}
