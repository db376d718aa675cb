package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/sockets"
)

// settings are the keys that belong to the process and to no part. A daemon.Service, for the sake of Prepare.
type settings struct {
	started *config.Config
	set     *sockets.Set
	level   *slog.LevelVar
	log     *slog.Logger
}

func newSettings(started *config.Config, set *sockets.Set, level *slog.LevelVar, log *slog.Logger) *settings {
	s := &settings{started, set, level, log.With("section", "daemon")}
	s.remark(started)
	for _, w := range warnBeside(started) {
		s.log.Warn(w)
	}
	return s
}

func (s *settings) remark(cfg *config.Config) {
	for _, r := range remarks(cfg) {
		s.log.Warn(r)
	}
}

// Run has nothing to do.
func (s *settings) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Prepare refuses what only a restart can change.
func (s *settings) Prepare(cfg *config.Config) (commit func(), err error) {
	var refusals []error
	for _, k := range []struct{ key, old, new string }{
		{"state-directory", s.started.StateDirectory, cfg.StateDirectory},
		{"user", s.started.User, cfg.User},
		{"log.format", s.started.Log.Format, cfg.Log.Format},
	} {
		if k.old != k.new {
			refusals = append(refusals, fmt.Errorf("%s changed from %q to %q: restart ntptsd to change it", k.key, k.old, k.new))
		}
	}
	_, err = s.set.Prepare(cfg) // its commit does nothing: sockets are opened by a restart only
	if err := errors.Join(append(refusals, err)...); err != nil {
		return nil, err
	}
	return func() {
		s.level.Set(levelOf(cfg.Log))
		s.remark(cfg)
	}, nil
}
