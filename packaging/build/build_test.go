package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

const root = "../.."

func TestVersions(t *testing.T) {
	for _, c := range []struct{ module, debian string }{ // oldest first
		{"v0.0.0-20260102030405-0123456789ab", "0.0.0~20260102030405~0123456789ab"},
		{"v0.3.0-rc.1", "0.3.0~rc.1"},
		{"v0.3.0", "0.3.0"},
		{"v0.3.0+dirty", "0.3.0+dirty"},
		{"v0.3.1-0.20260102030405-0123456789ab", "0.3.1~0.20260102030405~0123456789ab"},
		{"v0.3.1-0.20260102030405-0123456789ab+dirty", "0.3.1~0.20260102030405~0123456789ab+dirty"},
		{"v0.3.1", "0.3.1"},
		{"v0.10.0", "0.10.0"},
	} {
		s, err := stampOf(built(c.module, "0123", "2026-01-02T03:04:05Z"))
		if err != nil || s.debian() != c.debian {
			t.Errorf("%s is %q in Debian, want %q (%v)", c.module, s.debian(), c.debian, err)
		}
		if want := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC); !s.time.Equal(want) {
			t.Errorf("the time is %v, want %v", s.time, want)
		}
	}
}

// dpkg sorts them as Go does; otherwise an upgrade would be taken for a downgrade.
func TestVersionsSort(t *testing.T) {
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("dpkg is missing")
	}
	older := stamp{}
	for _, version := range []string{
		"v0.0.0-20260102030405-0123456789ab", "v0.0.0-20260202030405-00", "v0.3.0-rc.1", "v0.3.0", "v0.3.0+dirty",
		"v0.3.1-0.20260102030405-0123456789ab", "v0.3.1", "v0.10.0",
	} {
		s := stamp{version: version}
		if older.version != "" && exec.Command("dpkg", "--compare-versions", older.debian(), "lt", s.debian()).Run() != nil {
			t.Errorf("dpkg takes %s for newer than %s", older.debian(), s.debian())
		}
		older = s
	}
}

func built(version, commit, at string) *debug.BuildInfo {
	return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: commit}, {Key: "vcs.time", Value: at},
	}}
}

func TestNoVersionNoPackage(t *testing.T) {
	for _, c := range []struct{ name, version, commit, at string }{
		{"no git", "(devel)", "", ""},
		{"no commit", "v0.3.0", "", "2026-01-02T03:04:05Z"},
		{"no time", "v0.3.0", "0123", ""},
		{"a version that dpkg or a file name would take ill", "v0.3.0/../x", "0123", "2026-01-02T03:04:05Z"},
		{"a line break", "v0.3.0\nx", "0123", "2026-01-02T03:04:05Z"},
	} {
		if s, err := stampOf(built(c.version, c.commit, c.at)); err == nil {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}

// Everything that a package takes from the sources is there, and no man page or unit is left behind.
func TestShippedFiles(t *testing.T) {
	shippedNames := map[string]bool{}
	for _, p := range packagedFiles() {
		files, err := p.read(root)
		if err != nil {
			t.Error(err)
		}
		for _, f := range files {
			if f.mode != 0o644 || len(f.data) == 0 {
				t.Errorf("%s: mode %v, %d octets", f.path, f.mode, len(f.data))
			}
			shippedNames[strings.TrimSuffix(filepath.Base(f.path), ".gz")] = true
		}
	}
	for _, dir := range []string{"docs/manual", "packaging"} {
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if regexp.MustCompile(`\.([1-9]|service|socket|timer|path|target)$`).MatchString(e.Name()) && !shippedNames[e.Name()] {
				t.Errorf("%s/%s is in no package", dir, e.Name())
			}
		}
	}
}

// What the dashboard imports is linked into ntptsd as much as a Go module is.
func TestScriptsHaveLicences(t *testing.T) {
	all, err := (&release{root: root}).scripts()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, s := range all {
		have[s.name] = true
	}
	imported := 0
	err = filepath.WalkDir(filepath.Join(root, "web/src"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range regexp.MustCompile(`(?m)^\s*import\b[^'"]*['"]((?:@[\w.-]+/)?[\w-]+)[/'"]`).FindAllStringSubmatch(string(text), -1) {
			imported++
			if !have[m[1]] {
				t.Errorf("%s imports %s, whose licence is not in %s", path, m[1], licencesOfScripts)
			}
		}
		return nil
	})
	if err != nil || imported == 0 {
		t.Errorf("%d imports of packages seen: %v", imported, err)
	}
}

func TestChanges(t *testing.T) {
	got := debianChanges("Unreleased\n\n### Added\n- One thing\n  in two lines.\n- " + strings.Repeat("word ", 20) + "\n\n### Fixed\n- Another.\n")
	want := `
  [ Added ]
  * One thing in two lines.
  * word word word word word word word word word word word word word word word
    word word word word word

  [ Fixed ]
  * Another.
`
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// The log of a release is in the form that dpkg-parsechangelog reads, and its time is the commit's.
func TestChangelog(t *testing.T) {
	r := &release{root: root, stamp: stamp{version: "v0.3.0", time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}}
	packed, err := r.changes()
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if !z.ModTime.IsZero() || z.Name != "" {
		t.Errorf("the archive has the name %q and the time %v", z.Name, z.ModTime)
	}
	if !strings.HasPrefix(string(text), "ntptsd (0.3.0) unstable; urgency=medium\n\n  [ ") ||
		!strings.HasSuffix(string(text), "\n\n -- "+maintainer+"  Fri, 02 Jan 2026 03:04:05 +0000\n") {
		t.Errorf("the changelog is\n%s", text)
	}
}

func TestLegal(t *testing.T) {
	for name, want := range map[string]bool{
		"LICENSE": true, "License": true, "LICENCE.md": true, "COPYING": true, "NOTICE.txt": true, "PATENTS": true,
		"license.go": false, "README": false, "main.go": false, "LICENSES.go": false,
	} {
		if got := legal(name); got != want {
			t.Errorf("legal(%q) = %v", name, got)
		}
	}
}

// A module whose sum or origin the binary does not tell has no place in a bill of materials.
func TestModules(t *testing.T) {
	const sum = "h1:VlbKKnNfV8bJzeqoa4cOKqO6bYr3WgKZxO8Z16+hsOM="
	c, err := moduleComponent(&debug.Module{Path: "example.net/x", Version: "v1.0.0+incompatible", Sum: sum})
	if err != nil || c.PURL != "pkg:golang/example.net/x@v1.0.0%2Bincompatible" ||
		c.Hashes[0].Content != "5656ca2a735f57c6c9cdeaa86b870e2aa3ba6d8af75a0299c4ef19d7afa1b0e3" {
		t.Errorf("%+v, %v", c, err)
	}
	for _, m := range []*debug.Module{
		{Path: "example.net/x", Version: "v1.0.0"},
		{Path: "example.net/x", Version: "v1.0.0", Sum: "h1:AAAA"},
		{Path: "example.net/x", Version: "v1.0.0", Sum: sum, Replace: &debug.Module{Path: "../x"}},
	} {
		if c, err := moduleComponent(m); err == nil {
			t.Errorf("%+v makes %+v", m, c)
		}
	}
}

// Nothing is deleted that this has not made.
func TestOnlyReplacesItsOwn(t *testing.T) {
	dir := t.TempDir()
	if err := ours(filepath.Join(dir, "new")); err != nil {
		t.Error(err)
	}
	if err := ours(dir); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := ours(dir); err == nil {
		t.Error("a folder of somebody else would be replaced")
	}
	if err := os.WriteFile(filepath.Join(dir, sumsFile), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := ours(dir); err != nil {
		t.Errorf("a folder of ours: %v", err)
	}
}

func TestParentsComeFirst(t *testing.T) {
	seen := map[string]bool{".": true}
	for _, f := range parents([]file{{path: "usr/bin/x"}, {path: "var/lib/y", mode: fs.ModeDir | 0o700}, {path: "usr/bin-x/z"}}) {
		if !seen[filepath.Dir(f.path)] || seen[f.path] {
			t.Errorf("%s comes before its folder, or twice", f.path)
		}
		seen[f.path] = true
	}
	if len(seen) != 9 {
		t.Errorf("%d entries: %v", len(seen), seen)
	}
}
