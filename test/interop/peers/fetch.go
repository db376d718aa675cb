package peers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	keys = "/usr/share/keyrings/debian-archive-keyring.gpg"

	// fetchTimeout bounds all of apt's work for one release: 10 MB of lists, 20 MB of packages.
	fetchTimeout = 4 * time.Minute
)

// archives are where a release is looked for: Debian moves the old ones from the first to the second. apt checks what comes
// by signature, so plain HTTP will do.
func archives() []string {
	return []string{"http://deb.debian.org/debian", "http://archive.debian.org/debian"}
}

// Fetch gives the release's tree below dir, and downloads it first when it is not there or lacks a package: the whole of it
// anew, since packages of two days may not fit together.
// Processes that want the same folder wait for each other.
func Fetch(ctx context.Context, dir string, r Release) (*Tree, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, err
	}
	root := filepath.Join(dir, r.Name)
	if have, err := os.ReadFile(filepath.Join(root, "packages")); err == nil && r.within(strings.Fields(string(have))) {
		return openTree(root)
	}
	if err := download(ctx, root, r); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	return openTree(root)
}

// within tells whether a tree of the packages has all that the release is to have.
func (r Release) within(have []string) bool {
	return !slices.ContainsFunc(r.packages, func(name string) bool { return !slices.Contains(have, name) })
}

// download works beside root and renames at the end, so that a tree that has a name is whole.
func download(ctx context.Context, root string, r Release) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if _, err := os.Stat(keys); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing: install debian-archive-keyring", keys)
	}
	work, err := os.MkdirTemp(filepath.Dir(root), r.Name+".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	apt, err := firstApt(ctx, work, r.Name)
	if err != nil {
		return err
	}
	if err := apt.run(ctx, "apt-get", append([]string{"download", "-q"}, r.packages...)...); err != nil {
		return err
	}
	tree := filepath.Join(work, "tree")
	packages, err := filepath.Glob(filepath.Join(apt.dir, "*.deb"))
	if err != nil || len(packages) != len(r.packages) {
		return fmt.Errorf("apt-get download brought %d packages of %d", len(packages), len(r.packages))
	}
	for _, file := range packages {
		if err := apt.run(ctx, "dpkg", "-x", file, tree); err != nil {
			return err
		}
	}
	if err := linkNTPC(tree); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tree, "packages"), []byte(strings.Join(r.packages, "\n")), 0o644); err != nil {
		return err
	}
	if err := os.Chmod(tree, 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(root); err != nil {
		return err
	}
	return os.Rename(tree, root)
}

// linkNTPC puts NTPsec's C library where its Python modules look first; the other place they know is the machine's own.
func linkNTPC(tree string) error {
	modules := filepath.Join(tree, "usr", "lib", "python3", "dist-packages", "ntp")
	libraries, err := filepath.Glob(filepath.Join(tree, "usr", "lib", "*-linux-gnu*", "ntp", "libntpc.so"))
	if err != nil || len(libraries) == 0 {
		return err
	}
	target, err := filepath.Rel(modules, libraries[0])
	if err != nil {
		return err
	}
	return os.Symlink(target, filepath.Join(modules, "libntpc.so"))
}

// apt is a package manager of our own: no list, state or cache of the machine's is read or written, and no root needed.
type apt struct {
	dir, config string
}

const aptConfig = `Dir::State "%[1]s/state";
Dir::State::status "%[1]s/status";
Dir::Cache "%[1]s/cache";
Dir::Etc::SourceList "%[1]s/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
APT::Default-Release "";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
`

// firstApt gives an apt that has the lists of the first archive to hold the suite.
func firstApt(ctx context.Context, work, suite string) (*apt, error) {
	var failed error
	for i, archive := range archives() {
		a, err := newApt(filepath.Join(work, fmt.Sprint("apt", i)), archive, suite)
		if err == nil {
			err = a.run(ctx, "apt-get", "update", "-q")
		}
		if err == nil {
			return a, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

func newApt(dir, archive, suite string) (*apt, error) {
	for _, sub := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	a := &apt{dir, filepath.Join(dir, "apt.conf")}
	files := map[string]string{
		"status":       "",
		"apt.conf":     fmt.Sprintf(aptConfig, dir),
		"sources.list": fmt.Sprintf("deb [signed-by=%s] %s %s main\n", keys, archive, suite),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *apt) run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = a.dir
	cmd.Env = append(os.Environ(), "APT_CONFIG="+a.config, "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, args[0], err, out)
	}
	return nil
}
