package packages

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// root is the repository, seen from this folder.
const root = "../.."

// wanted skips unless this was asked for, and fails when it was and cannot be.
func wanted(t *testing.T) {
	t.Helper()
	if os.Getenv("NTPTSD_PACKAGE") == "" {
		t.Skip("takes a minute and root: make package-test")
	}
	if os.Geteuid() != 0 {
		t.Fatal("making a chroot needs root")
	}
}

// clone is a copy of the sources as they are, committed or not, in a repository of its own: what is built from it has the
// version that we say.
func clone(t *testing.T, dir string) {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	names, err := list.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	for name := range strings.SplitSeq(strings.Trim(string(names), "\x00"), "\x00") {
		from, to := filepath.Join(root, name), filepath.Join(dir, name)
		info, err := os.Lstat(from)
		if os.IsNotExist(err) {
			continue // removed, and the removal not committed
		}
		if err != nil || !info.Mode().IsRegular() {
			t.Fatalf("%s is no file: %v", name, err)
		}
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, text, info.Mode().Perm())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "init", "--quiet")
	git(t, dir, "add", "--all")
}

// commit makes the clone's next version. The same sources give the same commit.
func commit(t *testing.T, dir, version string) {
	t.Helper()
	git(t, dir, "commit", "--quiet", "--allow-empty", "--message", version)
	git(t, dir, "tag", version)
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	const who, at = "test", "2026-01-02T03:04:05Z"
	c := exec.Command("git", args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME="+who, "GIT_AUTHOR_EMAIL="+who, "GIT_AUTHOR_DATE="+at,
		"GIT_COMMITTER_NAME="+who, "GIT_COMMITTER_EMAIL="+who, "GIT_COMMITTER_DATE="+at)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
}

// build runs what "make package" runs, under a umask that must not matter, and gives the folder.
func build(t *testing.T, sources, arch string) string {
	t.Helper()
	dist := filepath.Join(sources, "dist")
	c := exec.Command("sh", "-c", `umask 077; exec go run ./packaging/build -o "$0" -arch "$1"`, dist, arch)
	c.Dir = sources
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("building in %s: %v\n%s", sources, err, out)
	}
	return dist
}

// sameFiles compares two folders octet by octet.
func sameFiles(t *testing.T, a, b string) {
	t.Helper()
	seen := 0
	for name, want := range contents(t, a) {
		seen++
		if got, err := os.ReadFile(filepath.Join(b, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs between two builds of one commit (%v)", name, err)
		}
	}
	if n := len(contents(t, b)); n != seen || seen == 0 {
		t.Errorf("one build made %d files, the other %d", seen, n)
	}
}

func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		all[name], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
