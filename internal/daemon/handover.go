package daemon

import (
	"context"
	"errors"
	"fmt"
)

// A Handover is a Service that changes files which a newer process takes over. Both methods are safe for concurrent use; Freeze
// may come before Run, and Run may end without Thaw.
type Handover interface {
	// Freeze writes what is not on disk yet and returns; from then on no file is changed, not even when the service ends. What
	// it does for its clients goes on. After an error it is as before.
	Freeze(ctx context.Context) error
	// Thaw ends that.
	Thaw()
}

// ErrFrozen tells that nothing is changed while a newer process takes over, which takes seconds.
var ErrFrozen = errors.New("daemon: another ntptsd is taking over: try again when that is done")

// Freeze lets every service that changes files cease to, the last one first: who uses another comes after it. A reload under way
// is waited for, and later ones are refused at once: whoever asks for one may be what a service waits for. If one service cannot,
// nothing is frozen.
func (d *Daemon) Freeze(ctx context.Context) error {
	select {
	case d.reloading <- struct{}{}:
		d.frozen.Store(true)
		<-d.reloading
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for i := len(d.services) - 1; i >= 0; i-- {
		s, ok := d.services[i].service.(Handover)
		if !ok {
			continue
		}
		if err := s.Freeze(ctx); err != nil {
			d.thaw(i + 1)
			d.frozen.Store(false)
			return fmt.Errorf("%s: %w", d.services[i].name, err)
		}
	}
	return nil
}

// Thaw ends what Freeze began.
func (d *Daemon) Thaw() {
	d.thaw(0)
	d.frozen.Store(false)
}

// thaw begins with the service of that number.
func (d *Daemon) thaw(from int) {
	for _, s := range d.services[from:] {
		if h, ok := s.service.(Handover); ok {
			h.Thaw()
		}
	}
}

// Before makes Run call prove when all services run, and tell systemd after it has returned. An error ends the daemon as that
// of a service does. It is called before Run.
func (d *Daemon) Before(prove func(ctx context.Context) error) { d.prove = prove }

// proving runs prove beside the services.
func (d *Daemon) proving(ctx context.Context) (done <-chan error, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	result := make(chan error, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		result <- d.prove(ctx)
	}()
	return result, func() {
		cancel()
		<-ended
	}
}
