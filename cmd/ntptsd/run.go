package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/daemon"
	"github.com/ntptsd/ntptsd/internal/sockets"
)

// gcPercent spends memory, of which little is alive here, on CPU: with Go's 100 a key exchange and an NTS answer cost
// about 5 % more (make bench). GOGC in the environment decides otherwise.
const gcPercent = 400

// runDaemon is the daemon's life, in the order in which a later step relies on an earlier one.
func runDaemon(path string) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // before anything else: its default is to kill
	signal.Ignore(syscall.SIGPIPE)        // or the next line of the log kills us when its reader has gone
	cfg, err := load(path)
	if err != nil {
		return failure{err: err, code: exitConfiguration}
	}
	to, err := findAccount(cfg.User)
	if err != nil {
		return failure{err: err, code: exitConfiguration}
	}
	log, level := newLogger(cfg.Log, os.Stderr)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second one ends us at once

	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	lock, err := lockState(cfg.StateDirectory, to)
	if err != nil {
		return failure{err, exitFailure, log}
	}
	defer lock.Close()
	set, err := sockets.Open(cfg)
	if err != nil {
		return failure{err, exitFailure, log}
	}
	defer set.Close() // closes what the services have not closed
	if err := giveControl(set, to); err != nil {
		return failure{fmt.Errorf("management.socket: %w", err), exitFailure, log}
	}
	if err := dropRights(to); err != nil {
		return failure{fmt.Errorf("drop rights: %w", err), exitFailure, log}
	}
	again := func() (*config.Config, error) { return loadFor(path, set) }
	d, err := wire(cfg, set, again, level, log)
	if err != nil {
		return failure{err, exitFailure, log}
	}
	d.Add("reload", &reload{hangup: hangup, take: func() error { return d.ReloadFrom(again) }, log: log.With("section", "daemon")})
	if err := d.Run(ctx); err != nil {
		return failure{err, exitFailure, log}
	}
	return nil
}

// reload is the Service that answers SIGHUP. It is added last and so stops first: nothing changes while we drain.
type reload struct {
	hangup <-chan os.Signal
	take   func() error
	log    *slog.Logger
}

var _ daemon.Service = (*reload)(nil)

func (r *reload) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.hangup:
			if ctx.Err() != nil { // both were ready: what ends does not begin again
				return nil
			}
			if err := r.take(); err != nil {
				r.log.Error("reload refused, the configuration from before goes on", "error", err)
			}
		}
	}
}
