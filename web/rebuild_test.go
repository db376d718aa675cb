package web

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// installWithin also bounds how long a machine without the registry waits for it.
const installWithin = 30 * time.Second

// oldestNode is what Vite runs on.
const oldestNode = 20

// newEnough reads what "node --version" says, such as v20.20.2.
func newEnough(version string) bool {
	major, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(version), "v"), ".")
	n, err := strconv.Atoi(major)
	return err == nil && n >= oldestNode
}

// sourcesIn are the files of a folder, without those below it.
func sourcesIn(t *testing.T, folder string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	texts := make(map[string]string)
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		name := filepath.Join(folder, e.Name())
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(b)
	}
	return texts
}

// copySources makes a folder in which npm can work: it writes nothing beside the sources.
func copySources(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{".", "src", "src/lib", "src/views", "test"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range sourcesIn(t, folder) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func run(t *testing.T, dir string, within time.Duration, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	c.WaitDelay = time.Second
	out, err := c.CombinedOutput()
	return string(out), err
}

// TestDistIsBuiltFromSrc builds the dashboard again. What is committed must be what comes out, or nobody knows what the binary
// holds.
func TestDistIsBuiltFromSrc(t *testing.T) {
	if testing.Short() {
		t.Skip("npm takes seconds")
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("npm is not here, so nothing can be built")
	}
	if v, err := run(t, ".", time.Minute, "node", "--version"); err != nil || !newEnough(v) {
		t.Skipf("Vite needs Node %d or newer, and this is %s (%v)", oldestNode, strings.TrimSpace(v), err)
	}
	dir := copySources(t)
	if out, err := run(t, dir, installWithin, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline",
		"--fetch-retries=0", "--fetch-timeout=10000"); err != nil {
		if strings.Contains(out, "EUSAGE") { // package.json and package-lock.json do not agree
			t.Fatalf("npm ci: %v\n%s", err, out)
		}
		t.Skipf("npm cannot install what package-lock.json names, perhaps without its registry: %v\n%s", err, out)
	}
	if out, err := run(t, dir, time.Minute, npm, "run", "build"); err != nil {
		t.Fatalf("npm run build: %v\n%s", err, out)
	}
	if out, err := run(t, dir, time.Minute, npm, "test"); err != nil {
		t.Errorf("npm test: %v\n%s", err, out)
	}
	fresh := os.DirFS(filepath.Join(dir, "dist"))
	committed := built(t)
	for name, want := range committed {
		file := strings.TrimPrefix(name, "/")
		if name == "/" {
			file = "index.html"
		}
		got, err := os.ReadFile(filepath.Join(dir, "dist", file))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("dist/%s is not what the sources become (%v): npm run build, and commit it", file, err)
		}
	}
	if n := countFiles(t, fresh); n != len(committed) {
		t.Errorf("%d files are built, %d are committed: npm run build, and commit them", n, len(committed))
	}
}

func countFiles(t *testing.T, files fs.FS) (n int) {
	t.Helper()
	err := fs.WalkDir(files, ".", func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
