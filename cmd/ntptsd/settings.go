package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/sockets"
)

// settings are the keys that belong to the process and to no part. A daemon.Service, for the sake of Prepare.
type settings struct {
	started *config.Config
	set     *sockets.Set
	level   *slog.LevelVar
	log     *slog.Logger
	running atomic.Pointer[config.Config] // of the last reload
}

func newSettings(started *config.Config, set *sockets.Set, level *slog.LevelVar, log *slog.Logger) *settings {
	s := &settings{started: started, set: set, level: level, log: log.With("section", "daemon")}
	s.running.Store(started)
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
	_, loose := looseKeys(cfg)
	saved, unsaved := config.LoadSaved(s.started.SavedPath())
	if err := errors.Join(append(refusals, err, loose, unsaved)...); err != nil {
		return nil, err
	}
	level := cfg.Log
	if saved.Level != "" { // as at a start
		level.Level = saved.Level
	}
	return func() {
		s.running.Store(cfg)
		s.level.Set(levelOf(level))
		s.remark(cfg)
	}, nil
}

// Level implements management.Log: the level now, and what the configuration says.
func (s *settings) Level() (now, configured string) {
	return strings.ToLower(s.level.Level().String()), s.running.Load().Log.Level
}

// SetLevel lasts until the next reload, which goes back to what was saved, or to the configuration.
func (s *settings) SetLevel(level string) {
	s.log.Info("an operator changes the level of the log", "level", level)
	s.level.Set(levelOf(config.Log{Level: level}))
	s.log.Info("the level of the log was changed, until a reload", "level", level) // one of the two is seen, unless it was and is above
}

// Persist is what a file beside the configuration must say for the level to be as it is now.
func (s *settings) Persist() (toml string) {
	now, configured := s.Level()
	if now == configured {
		return ""
	}
	return fmt.Sprintf("[log]\nlevel = %q\n", now)
}
