package peers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Pebble is Let's Encrypt's ACME server for tests, of this version.
const pebbleVersion = "v2.10.1"

const buildTimeout = 4 * time.Minute

// Pebble gives the path of the program below dir, and builds it first when it is not there: the go command checks what it
// downloads by the checksum database.
func Pebble(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "pebble-"+pebbleVersion)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(dir, "pebble.new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "install", "github.com/letsencrypt/pebble/v2/cmd/pebble@"+pebbleVersion)
	cmd.Dir, cmd.Env = work, append(os.Environ(), "GOBIN="+work, "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("pebble: %w\n%s", err, out)
	}
	return path, os.Rename(filepath.Join(work, "pebble"), path)
}
