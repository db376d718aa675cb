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
)

// gcPercent spends memory, of which little is alive here, on CPU: with Go's 100 a key exchange and an NTS answer cost
// about 5 % more (make bench). GOGC in the environment decides otherwise.
const gcPercent = 400

// runDaemon is the daemon's life, in the order in which a later step relies on an earlier one.
func runDaemon(path string, takeOver bool) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // before anything else: its default is to kill
	signal.Ignore(syscall.SIGPIPE)        // or the next line of the log kills us when its reader has gone
	if err := hideMemory(); err != nil {  // before the first key
		return err
	}
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
	ctx, end := context.WithCancel(ctx)
	defer end()

	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	own, err := acquire(ctx, cfg, to, takeOver)
	if err != nil {
		return failure{err, exitFailure, log}
	}
	defer own.Close()
	if err := serve(ctx, end, &process{path, cfg, to, hangup, log, level}, own); err != nil {
		own.refuse(err)
		return failure{err, exitFailure, log}
	}
	return nil
}

// process is what is settled before anything is opened.
type process struct {
	path   string // of the configuration
	cfg    *config.Config
	to     *account
	hangup <-chan os.Signal
	log    *slog.Logger
	level  *slog.LevelVar
}

// serve drops rights, reads keys and certificates as who it is then, and runs until ctx is done, which end does, too.
func serve(ctx context.Context, end func(), p *process, own *estate) error {
	set, log := own.set, p.log
	if err := giveControl(set, p.to); err != nil {
		return fmt.Errorf("management.socket: %w", err)
	}
	if err := dropRights(p.to); err != nil {
		return fmt.Errorf("drop rights: %w", err)
	}
	if _, err := looseKeys(p.cfg); err != nil {
		return err
	}
	if err := own.stillTheirs(); err != nil { // from here on nobody else writes what we read
		return err
	}
	again := func() (*config.Config, error) { return loadFor(p.path, set) }
	box := newConfinement(p.path, log)
	d, err := wire(p.cfg, set, again, p.level, box, own.from != nil, log)
	if err != nil {
		return err
	}
	if err := box.enter(p.cfg); err != nil {
		return err
	}
	d.Add("reload", &reload{hangup: p.hangup, take: func() error { return d.ReloadFrom(again) }, log: log.With("section", "daemon")})
	own.offer(d, end, log)
	if err := own.proveBefore(ctx, d, log); err != nil {
		return err
	}
	return d.Run(ctx)
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
