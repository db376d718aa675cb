package main

import (
	"bytes"
	"crypto/md5" // what dpkg --verify compares with; it protects nothing
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

const maintainer = "ntptsd developers <maintainers@ntptsd.invalid>"

// deb makes the Debian package.
func (r *release) deb(bin *binaries) (string, error) {
	files, err := r.debFiles(bin)
	if err != nil {
		return "", err
	}
	control, err := r.control(bin, files)
	if err != nil {
		return "", err
	}
	tree, err := os.MkdirTemp(r.out, ".deb-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tree)
	if err := r.lay(tree, append(files, control...)); err != nil {
		return "", err
	}
	name := fmt.Sprintf("ntptsd_%s_%s.deb", r.stamp.debian(), bin.arch)
	// One thread: xz cuts the stream in as many pieces as it has threads. Level 1: a tenth of the default's time for an eighth more octets.
	c := exec.Command("dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--threads-max=1", "--build", tree, filepath.Join(r.out, name))
	c.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(r.stamp.time.Unix(), 10), "LC_ALL=C")
	if said, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("dpkg-deb: %w\n%s", err, said)
	}
	return name, nil
}

// shipped says where a file of the sources goes.
type shipped struct {
	from, to string // to a folder, if it ends in a slash
	compress bool
}

func packagedFiles() []shipped {
	return []shipped{
		{from: "packaging/*.service", to: "usr/lib/systemd/system/"},
		{from: "packaging/*.socket", to: "usr/lib/systemd/system/"},
		{from: "packaging/ntptsd.sysusers", to: "usr/lib/sysusers.d/ntptsd.conf"},
		{from: "packaging/ntptsd.tmpfiles", to: "usr/lib/tmpfiles.d/ntptsd.conf"},
		{from: "packaging/deb/lintian-overrides", to: "usr/share/lintian/overrides/ntptsd"},
		{from: "packaging/ntptsd.toml", to: docFolder + "examples/"},
		{from: "packaging/prometheus/ntptsd.rules.yml", to: docFolder + "examples/"},
		{from: "packaging/grafana/ntptsd.json", to: docFolder + "examples/"},
		{from: "CHANGELOG.md", to: docFolder + "CHANGELOG.md.gz", compress: true},
		{from: "docs/manual/*.1", to: "usr/share/man/man1/", compress: true},
		{from: "docs/manual/*.5", to: "usr/share/man/man5/", compress: true},
		{from: "docs/manual/*.7", to: "usr/share/man/man7/", compress: true},
		{from: "docs/manual/*.8", to: "usr/share/man/man8/", compress: true},
	}
}

func (r *release) debFiles(bin *binaries) ([]file, error) {
	files := append([]file{
		{path: "etc/ntptsd", mode: fs.ModeDir | 0o755},
	}, r.docs...)
	for _, p := range packagedFiles() {
		more, err := p.read(r.root)
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	log, err := r.changes()
	if err != nil {
		return nil, err
	}
	files = append(files, file{docFolder + "changelog.gz", 0o644, log})
	for _, name := range programs() {
		data, err := os.ReadFile(filepath.Join(bin.dir, name))
		if err != nil {
			return nil, err
		}
		files = append(files, file{"usr/bin/" + name, 0o755, data})
	}
	files = append(files, r.completions...)
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return files, nil
}

func (s shipped) read(root string) ([]file, error) {
	names, err := filepath.Glob(filepath.Join(root, s.from))
	if err != nil || len(names) == 0 {
		return nil, errors.Join(err, fmt.Errorf("%s is not there", s.from))
	}
	var files []file
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		to := s.to
		if strings.HasSuffix(to, "/") {
			to += filepath.Base(name)
		}
		if s.compress {
			if data, err = compressed(data); err != nil {
				return nil, err
			}
			to = strings.TrimSuffix(to, ".gz") + ".gz"
		}
		files = append(files, file{to, 0o644, data})
	}
	return files, nil
}

// completions asks the programs themselves.
func completions(bin *binaries) ([]file, error) {
	var files []file
	for _, name := range programs() {
		for shell, to := range map[string]string{
			"bash": "usr/share/bash-completion/completions/" + name,
			"zsh":  "usr/share/zsh/vendor-completions/_" + name,
			"fish": "usr/share/fish/vendor_completions.d/" + name + ".fish",
		} {
			out, err := exec.Command(filepath.Join(bin.dir, name), "completion", shell).Output()
			if err != nil || len(out) == 0 {
				return nil, fmt.Errorf("%s completion %s: %w (%d octets)", name, shell, err, len(out))
			}
			files = append(files, file{to, 0o644, out})
		}
	}
	return files, nil
}

// control is what dpkg reads of the package.
func (r *release) control(bin *binaries, files []file) ([]file, error) {
	var sums bytes.Buffer
	size := 0 // in KiB, each file rounded up, each folder one: deb-substvars(5)
	folders := map[string]bool{}
	for _, f := range files {
		size += (len(f.data) + 1023) / 1024
		for dir := path.Dir(f.path); !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
		}
		if f.mode.IsRegular() {
			fmt.Fprintf(&sums, "%x  %s\n", md5.Sum(f.data), f.path)
		}
	}
	text, err := os.ReadFile(filepath.Join(r.root, "packaging/deb/control"))
	if err != nil {
		return nil, err
	}
	t, err := template.New("control").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var control bytes.Buffer
	err = t.Execute(&control, map[string]any{
		"Version": r.stamp.debian(), "Arch": bin.arch, "Size": size + len(folders), "Maintainer": maintainer,
	})
	if err != nil {
		return nil, err
	}
	made := []file{{"DEBIAN/control", 0o644, control.Bytes()}, {"DEBIAN/md5sums", 0o644, sums.Bytes()}}
	for _, script := range []string{"postinst", "prerm", "postrm"} {
		data, err := os.ReadFile(filepath.Join(r.root, "packaging/deb", script))
		if err != nil {
			return nil, err
		}
		made = append(made, file{"DEBIAN/" + script, 0o755, data})
	}
	return made, nil
}

// lay writes files below dir, all as old as the commit and with the modes they say, whatever the umask.
func (r *release) lay(dir string, files []file) error {
	for _, f := range files {
		to := filepath.Join(dir, f.path)
		if f.mode.IsDir() {
			if err := os.MkdirAll(to, 0o755); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := errors.Join(os.WriteFile(to, f.data, 0o600), os.Chmod(to, f.mode)); err != nil {
			return err
		}
	}
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(p, 0o755)
		}
		return errors.Join(err, os.Chtimes(p, r.stamp.time, r.stamp.time))
	})
}
