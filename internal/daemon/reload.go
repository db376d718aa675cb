package daemon

import (
	"errors"

	"github.com/ntptsd/ntptsd/internal/config"
)

// Reload lets every service prepare for cfg, and if none refused, commits all. On an error, which names every service
// that refused, nothing has changed.
func (d *Daemon) Reload(cfg *config.Config) error {
	return d.ReloadFrom(func() (*config.Config, error) { return cfg, nil })
}

// ReloadFrom is Reload of what load gives; a load that fails is a failed reload. One reload at a time.
func (d *Daemon) ReloadFrom(load func() (*config.Config, error)) error {
	d.reloading <- struct{}{}
	defer func() { <-d.reloading }()
	d.notify(reloading())
	defer d.notify(ready)
	err := d.read(load)
	d.metrics.reloaded(err)
	if err == nil {
		d.log.Info("configuration reloaded")
	}
	return err
}

func (d *Daemon) read(load func() (*config.Config, error)) error {
	if d.frozen.Load() {
		return ErrFrozen
	}
	cfg, err := load()
	if err != nil {
		return err
	}
	return d.take(cfg)
}

func (d *Daemon) take(cfg *config.Config) error {
	var commits []func()
	var refusals []error
	for _, s := range d.services {
		r, ok := s.service.(Reloader)
		if !ok {
			continue
		}
		commit, err := r.Prepare(cfg)
		if err != nil {
			refusals = append(refusals, err) // it names the key
		}
		commits = append(commits, commit)
	}
	if len(refusals) > 0 {
		return errors.Join(refusals...)
	}
	for _, commit := range commits {
		commit()
	}
	return nil
}
