package main

import (
	"io/fs"
	"log/slog"
	"os"

	"github.com/ntptsd/ntptsd/internal/config"
)

// newLogger writes to out as the section [log] says. The level can change while it is in use.
func newLogger(cfg config.Log, out *os.File) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(levelOf(cfg))
	options := &slog.HandlerOptions{Level: level}
	if cfg.Format == "text" || cfg.Format == "auto" && isTerminal(out) {
		return slog.New(slog.NewTextHandler(out, options)), level
	}
	return slog.New(slog.NewJSONHandler(out, options)), level
}

func levelOf(cfg config.Log) (l slog.Level) {
	_ = l.UnmarshalText([]byte(cfg.Level)) // config knows the names
	return l
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0
}
