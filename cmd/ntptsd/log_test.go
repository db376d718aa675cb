package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
)

// Whatever a caller or a peer says, a line of the log acts on no terminal and hides from no journal, and says what it said.
func TestLogIsLegible(t *testing.T) {
	const hostile = "a\u009b2Jb\u007fc\u202ed\x1be"
	for _, format := range []string{"json", "text"} {
		out, err := os.Create(filepath.Join(t.TempDir(), "log"))
		if err != nil {
			t.Fatal(err)
		}
		log, _ := newLogger(config.Log{Format: format, Level: "info"}, out)
		log.Info(hostile, "text", hostile, "error", errors.New(hostile+"\nand more"), "count", 3)
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		if got := string(b); strings.ContainsAny(got, "\u009b\u007f\u202e\x1b") || strings.Count(got, "2Jb") != 3 || strings.Count(got, "\n") != 1 || !strings.Contains(got, "and more") {
			t.Errorf("%s: %q", format, got)
		}
	}
}
