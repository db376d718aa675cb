package neighbour

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

// ErrNone tells that no daemon is looked at.
var ErrNone = errors.New("no time daemon next door is looked at: set clock.source to chrony, ntpd or auto")

// Door leads to the daemon that clock.source names, or that answered when it was last looked for (auto): at start and at
// reload. Which one it is does not change in between, whatever becomes of it. A daemon.Service and a daemon.Reloader.
type Door struct {
	log  *slog.Logger
	seen atomic.Pointer[view]

	changes atomic.Uint64 // that were made
}

// view is what a configuration leads to.
type view struct {
	chrony *Chrony
	ntpd   *NTPD
	daemon Daemon // one of them, or nil
	where  places

	allowStep bool

	lacking bool // none was found, though one was looked for
}

// places are all that the clients are made of.
type places struct {
	socket            string
	overUDP, overNTPD netip.AddrPort
	control           controlKey
}

// NewDoor looks for the daemon; auto waits for answers, but not for long.
func NewDoor(cfg *config.Config, log *slog.Logger) *Door {
	d := &Door{log: log.With("section", "clock")}
	d.seen.Store(d.look(cfg))
	return d
}

// look keeps the clients of before, with all that they remember, if the same places lead to them.
func (d *Door) look(cfg *config.Config) *view {
	c := &cfg.Clock
	control := controlKey{c.NTPDKeys, c.NTPDControlKey}
	v := &view{where: places{c.ChronySocket, c.ChronyAddress, c.NTPDAddress, control}, allowStep: cfg.StepAllowed()}
	if old := d.seen.Load(); old != nil && old.where == v.where {
		v.chrony, v.ntpd = old.chrony, old.ntpd
	} else {
		v.chrony, v.ntpd = NewChrony(c.ChronySocket, c.ChronyAddress), NewNTPD(c.NTPDAddress)
		v.ntpd.control = control
	}
	switch c.Source {
	case "chrony":
		v.daemon = v.chrony
	case "ntpd":
		v.daemon = v.ntpd
	case "auto":
		v.daemon = d.find(v.chrony, v.ntpd)
		if old := d.seen.Load(); v.daemon == nil && old != nil && old.where == v.where {
			v.daemon = old.daemon // who is away just now ages, and is not swapped for the kernel
		}
		v.lacking = v.daemon == nil
	}
	return v
}

// find is the first that answers.
func (d *Door) find(all ...Daemon) Daemon {
	var causes []any
	for _, one := range all {
		_, err := one.Tracking(context.Background())
		if err == nil {
			d.log.Info("clock.source = auto: this daemon answers", "daemon", one.Name())
			return one
		}
		causes = append(causes, one.Name(), err.Error())
	}
	d.log.Warn("clock.source = auto: no time daemon answers", causes...)
	return nil
}

// Daemon is the one next door; nil if there is none.
func (d *Door) Daemon() Daemon { return d.seen.Load().daemon }

// Name is its name; empty if there is none.
func (d *Door) Name() string {
	if n := d.Daemon(); n != nil {
		return n.Name()
	}
	return ""
}

// Via is how it was asked last; see Daemon.
func (d *Door) Via() string {
	if n := d.Daemon(); n != nil {
		return n.Via()
	}
	return ""
}

// Lacking tells that clock.source is auto, and no daemon answered when one was looked for.
func (d *Door) Lacking() bool { return d.seen.Load().lacking }

// Chrony is the client of the chronyd behind that command socket: the one that everybody has, if it is the one next door.
func (d *Door) Chrony(socket string) *Chrony {
	if v := d.seen.Load(); v.where.socket == socket {
		return v.chrony
	}
	return NewChrony(socket, netip.AddrPort{})
}

// Tracking asks it. ErrNone.
func (d *Door) Tracking(ctx context.Context) (api.Tracking, error) {
	if n := d.Daemon(); n != nil {
		return n.Tracking(ctx)
	}
	return api.Tracking{}, ErrNone
}

// Sources asks it. ErrNone.
func (d *Door) Sources(ctx context.Context) ([]api.Source, error) {
	if n := d.Daemon(); n != nil {
		return n.Sources(ctx)
	}
	return nil, ErrNone
}

// Clients asks it. ErrNone.
func (d *Door) Clients(ctx context.Context, limit int) (api.Clients, error) {
	if n := d.Daemon(); n != nil {
		return n.Clients(ctx, limit)
	}
	return api.Clients{}, ErrNone
}

// Run has nothing to do: who asks does so on its own goroutine.
func (d *Door) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Prepare looks again.
func (d *Door) Prepare(cfg *config.Config) (commit func(), err error) {
	v := d.look(cfg)
	return func() { d.seen.Store(v) }, nil
}
