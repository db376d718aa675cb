package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/ntptsd/ntptsd/internal/clockstate"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/daemon"
	"github.com/ntptsd/ntptsd/internal/frontdoor"
	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/internal/service/keyexchange"
	"github.com/ntptsd/ntptsd/internal/service/monitoring"
	"github.com/ntptsd/ntptsd/internal/sockets"
)

// How long a new ntptsd waits for its clock and its targets before it takes over without: they may be just as bad for the old
// one. It is well within what the old one waits.
const (
	settleWithin = 10 * time.Second
	settleLook   = 100 * time.Millisecond
)

// wired is the daemon with what a hand-over asks.
type wired struct {
	*daemon.Daemon
	control     *frontdoor.Server
	keyExchange *keyexchange.Server
	monitor     *monitoring.Service
	clock       *clockstate.Clock
}

// estate is what no two ntptsd may have at a time: the lock of the state directory and the sockets.
type estate struct {
	lock io.Closer
	set  *sockets.Set
	from *sockets.Taking // who has it until we are ready; nil: nobody
}

// acquire locks and opens, or takes both from the ntptsd that runs.
func acquire(ctx context.Context, cfg *config.Config, to *account, takeOver bool) (*estate, error) {
	if takeOver {
		return inheritFrom(ctx, cfg, to)
	}
	lock, err := lockState(cfg.StateDirectory, to)
	if err != nil {
		return nil, err
	}
	set, err := sockets.Open(cfg)
	if err != nil {
		lock.Close()
		return nil, err
	}
	return &estate{lock: lock, set: set}, nil
}

func inheritFrom(ctx context.Context, cfg *config.Config, to *account) (*estate, error) {
	if cfg.Management == nil || cfg.Management.Socket == "" {
		return nil, errors.New("--take-over: management.socket is not set, so that nobody can be asked: restart instead")
	}
	if err := to.makeState(cfg.StateDirectory); err != nil {
		return nil, fmt.Errorf("state-directory: %w", err)
	}
	from, err := sockets.TakeOver(ctx, cfg.Management.Socket)
	if err != nil {
		return nil, fmt.Errorf("--take-over: %w", err)
	}
	e := &estate{lock: from.Lock, from: from}
	if err = keyring.AdoptLock(cfg.StateDirectory, from.Lock); err == nil {
		e.set, err = from.Open(cfg)
	}
	if err != nil {
		from.Refuse(err)
		e.Close()
		return nil, fmt.Errorf("--take-over: %w", err)
	}
	return e, nil
}

// Close gives up what is still ours. The one that we had it from goes on, unless all was ours.
func (e *estate) Close() {
	if e.set != nil {
		_ = e.set.Close() // what the services have not closed
	}
	if e.from != nil {
		e.from.Close()
	}
	_ = e.lock.Close()
}

// stillTheirs lets the old one write all down, for us to read.
func (e *estate) stillTheirs() error {
	if e.from == nil {
		return nil
	}
	if err := e.from.Freeze(); err != nil {
		return fmt.Errorf("--take-over: %w", err)
	}
	return nil
}

// refuse tells the old one why it must go on.
func (e *estate) refuse(err error) {
	if e.from != nil {
		e.from.Refuse(err)
	}
}

// offer hands all over to a newer ntptsd that asks, and then calls end.
func (e *estate) offer(w *wired, end func(), log *slog.Logger) {
	log = log.With("section", "daemon")
	w.control.OfferTakeOver(frontdoor.TakeOver{
		Path: sockets.TakeOverPath, Protocol: sockets.TakeOverProtocol, Refuses: refusesTakeOver,
		Give: func(ctx context.Context, conn *net.UnixConn) {
			lock, ok := e.lock.(*os.File)
			if !ok { // cannot be
				return
			}
			log.Info("another ntptsd is taking over: no key rotates meanwhile")
			h := sockets.HandOver{Set: e.set, Lock: lock, Files: w, Within: sockets.HandOverWithin}
			if err := h.Give(ctx, conn); err != nil {
				log.Error("the other ntptsd has not taken over: this one goes on", "error", err)
				return
			}
			log.Info("the other ntptsd has taken over")
			end()
		},
	})
}

// refusesTakeOver: who is watched by a service manager, and leaves, takes his successor along or is started once more.
func refusesTakeOver() string {
	if os.Getenv("NOTIFY_SOCKET") != "" {
		return "a service manager runs it: use systemctl restart ntptsd; while ntptsd.socket is enabled, that refuses no client"
	}
	return ""
}

// proveBefore makes w serve when it has proved that it can and the old one has let go.
func (e *estate) proveBefore(ctx context.Context, w *wired, log *slog.Logger) error {
	if e.from == nil {
		return nil
	}
	log = log.With("section", "daemon")
	w.Before(func(ctx context.Context) error {
		if err := w.settle(ctx, log); err != nil {
			return err
		}
		if err := e.from.Ready(); err != nil {
			return fmt.Errorf("--take-over: %w", err)
		}
		w.Thaw()
		e.from.Taken()
		log.Info("taken over from the ntptsd before")
		return nil
	})
	return w.Freeze(ctx)
}

// settle waits until we are as good as one that has run for long. Only what would be our own fault is an error.
func (w *wired) settle(ctx context.Context, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	look := time.NewTicker(settleLook)
	defer look.Stop()
	for {
		err := w.keyExchange.Prove(ctx)
		if err != nil && !errors.Is(err, keyexchange.ErrNoTarget) && ctx.Err() == nil {
			return err
		}
		missing := w.monitor.Ready()
		if w.keyExchange.Draining() && len(missing) > 0 {
			missing = missing[1:] // that it drains, which waiting does not change
		}
		if err != nil {
			missing = append(missing, err.Error())
		}
		if !w.clock.Synchronised() {
			missing = append(missing, "the clock is not synchronised")
		}
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return ctx.Err()
			}
			log.Warn("taking over although not all is well here", "missing", missing)
			return nil
		}
	}
}
