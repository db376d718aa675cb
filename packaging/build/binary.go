package main

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// programs are all in cmd/.
func programs() []string { return []string{"ntptsctl", "ntptsd"} }

// binaries are the programs for one architecture.
type binaries struct {
	arch string
	dir  string
	info map[string]*debug.BuildInfo // by program
}

// compile builds for arch into a folder of out. Whatever of the caller's environment could change the octets is set here.
func compile(root, out, arch string) (*binaries, error) {
	b := &binaries{arch: arch, dir: filepath.Join(out, "linux_"+arch), info: map[string]*debug.BuildInfo{}}
	c := exec.Command("go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", b.dir+string(filepath.Separator), "./cmd/...")
	c.Dir = root
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch,
		"GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=", "GOFIPS140=off")
	if said, err := c.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build for %s: %w\n%s", arch, err, said)
	}
	for _, name := range programs() {
		path := filepath.Join(b.dir, name)
		if err := os.Chmod(path, 0o755); err != nil { // whatever the umask
			return nil, err
		}
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return nil, err
		}
		b.info[name] = info
	}
	return b, nil
}

// modules are all that are linked into any program, without our own, by path.
func (b *binaries) modules() []*debug.Module {
	all := map[string]*debug.Module{}
	for _, info := range b.info {
		for _, m := range info.Deps {
			all[m.Path] = m
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b *debug.Module) int { return strings.Compare(a.Path, b.Path) })
}

// stamp is what the go command wrote into a binary about the commit that it was built from. It is the one place that a
// version comes from.
type stamp struct {
	version string // of the module: v0.3.0, or a commit after a tag
	commit  string
	time    time.Time // of the commit: nothing that is handed out is younger
}

var moduleVersion = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.]+)?$`)

func stampOf(info *debug.BuildInfo) (stamp, error) {
	s := stamp{version: info.Main.Version}
	var at string
	for _, set := range info.Settings {
		switch set.Key {
		case "vcs.revision":
			s.commit = set.Value
		case "vcs.time":
			at = set.Value
		}
	}
	if !moduleVersion.MatchString(s.version) || s.commit == "" {
		return stamp{}, fmt.Errorf("the version is %q of commit %q: build from a clone with git, which tells the commit and its time", s.version, s.commit)
	}
	var err error
	if s.time, err = time.Parse(time.RFC3339, at); err != nil {
		return stamp{}, errors.New("the commit has no time: " + err.Error())
	}
	return s, nil
}

// debian is the version as dpkg sorts it: what leads to a version comes before it, as in Go.
func (s stamp) debian() string {
	return strings.ReplaceAll(strings.TrimPrefix(s.version, "v"), "-", "~")
}
