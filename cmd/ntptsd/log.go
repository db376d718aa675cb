package main

import (
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/ntptsd/ntptsd/internal/api/view"
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
	options.ReplaceAttr = legible
	return slog.New(slog.NewJSONHandler(out, options)), level
}

// legible escapes what JSON lets stand and terminals and journals obey, such as C1 and bidi controls: some texts are a caller's or a
// peer's. The text handler quotes them by itself.
func legible(_ []string, a slog.Attr) slog.Attr {
	text := a.Value.String()
	if err, ok := a.Value.Any().(error); ok {
		text = err.Error()
	} else if a.Value.Kind() != slog.KindString {
		return a
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = view.Printable(line)
	}
	a.Value = slog.StringValue(strings.Join(lines, "\n"))
	return a
}

func levelOf(cfg config.Log) (l slog.Level) {
	_ = l.UnmarshalText([]byte(cfg.Level)) // config knows the names
	return l
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0
}
