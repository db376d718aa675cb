// Package daemon runs services and takes new configurations over: start, stop in reverse order, reload all or nothing,
// tell systemd (sd_notify(3)). What the services are and how they get their sockets, keys and rights is left to
// cmd/ntptsd.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/ntptsd/ntptsd/internal/config"
)

// A Service is a part of ntptsd that lives as long as the daemon.
type Service interface {
	// Run works until ctx is done, then finishes what it has begun and returns nil.
	// Returning anything else, or earlier, stops the daemon.
	Run(ctx context.Context) error
}

// A Reloader is a Service that can take a new configuration while it runs.
type Reloader interface {
	// Prepare does what can fail and changes nothing; the commit it returns cannot fail.
	Prepare(cfg *config.Config) (commit func(), err error)
}

// ErrEnded is a Service that returned nil although nobody had stopped it.
var ErrEnded = errors.New("daemon: service ended by itself")

// Daemon runs services. It is a prometheus.Collector.
type Daemon struct {
	log      *slog.Logger
	services []named // from Add, before Run
	metrics  *metrics
	prove    func(ctx context.Context) error // from Before; nil: the services alone tell

	frozen    atomic.Bool   // see Freeze
	reloading chan struct{} // holds one element while a reload is under way
}

type named struct {
	name    string
	service Service
}

// New makes a daemon without services.
func New(log *slog.Logger) *Daemon {
	return &Daemon{log: log.With("section", "daemon"), metrics: newMetrics(), reloading: make(chan struct{}, 1)}
}

// Add appends a service. All are added before Run, which stops the last one first.
func (d *Daemon) Add(name string, s Service) { d.services = append(d.services, named{name, s}) }

// running is a service that was started.
type running struct {
	name  string
	stop  context.CancelFunc
	ended chan struct{} // closed when Run has returned
	err   error         // to be read after ended
}

// Run starts all services and tells systemd. When ctx is done or the first service fails, it stops them in reverse
// order of Add, waits for each before the next, and returns what went wrong, the first failure first.
func (d *Daemon) Run(ctx context.Context) error {
	first := make(chan *running, len(d.services))
	all := make([]*running, len(d.services))
	for i, s := range d.services {
		all[i] = start(ctx, s, first)
	}
	failed := d.becomeReady(ctx, first)
	if failed == nil {
		failed = d.wait(ctx, first)
	}
	d.notify(stopping)
	return stop(all, failed)
}

// becomeReady tells systemd, when all is proved. It returns what failed, if anything did.
func (d *Daemon) becomeReady(ctx context.Context, first <-chan *running) *running {
	if d.prove == nil {
		d.notify(ready)
		return nil
	}
	proved, stop := d.proving(ctx)
	defer stop()
	select {
	case err := <-proved:
		if err != nil {
			return &running{name: "start", err: err}
		}
		d.notify(ready)
		return nil
	case r := <-first:
		d.log.Error("a service failed, stopping", "service", r.name)
		return r
	case <-ctx.Done(): // wait sees it, too
		return nil
	}
}

// start runs a service under a context of its own: the end of ctx must not reach all of them at the same time.
func start(ctx context.Context, s named, ended chan<- *running) *running {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &running{name: s.name, stop: cancel, ended: make(chan struct{})}
	go func() {
		defer func() {
			close(r.ended)
			ended <- r
		}()
		r.err = s.service.Run(ctx)
		if r.err == nil && ctx.Err() == nil {
			r.err = ErrEnded
		}
	}()
	return r
}

// wait returns the service that failed, or nil when ctx is done.
func (d *Daemon) wait(ctx context.Context, first <-chan *running) *running {
	dog := newWatchdog()
	defer dog.stop()
	for {
		select {
		case r := <-first:
			d.log.Error("a service failed, stopping", "service", r.name)
			return r
		case <-ctx.Done():
			d.log.Info("stopping")
			return nil
		case <-dog.due:
			d.notify(alive)
		}
	}
}

func stop(all []*running, failed *running) error {
	var failures []error
	if failed != nil {
		failures = append(failures, fmt.Errorf("%s: %w", failed.name, failed.err))
	}
	for i := len(all) - 1; i >= 0; i-- {
		r := all[i]
		r.stop()
		<-r.ended
		if r.err != nil && r != failed {
			failures = append(failures, fmt.Errorf("%s: %w", r.name, r.err))
		}
	}
	return errors.Join(failures...)
}
