// Command build makes everything that is handed out, in dist/: static binaries, Debian packages, what the container file
// adds, a software bill of materials and the checksums of all. The same commit gives the same octets in any folder.
// See packaging/README.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

func main() {
	out := flag.String("o", "dist", "write to this `FOLDER`; what is in it is replaced")
	arch := flag.String("arch", "amd64,arm64", "`ARCHITECTURES` as Go and Debian call them")
	flag.Parse()
	if err := build(".", *out, strings.Split(*arch, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "package:", err)
		os.Exit(1)
	}
}

// release is what is handed out, from one commit.
type release struct {
	root  string // of the sources
	out   string
	stamp stamp
	npm   []script // in the dashboard
	docs  []file   // that belong to every form

	completions []file
}

// build works in a folder of its own and renames it at the end: a dist that is there is whole.
func build(root, out string, arches []string) error {
	if _, err := os.Stat(filepath.Join(root, "packaging/deb/control")); err != nil {
		return fmt.Errorf("%w; start this from the top of the sources", err)
	}
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	if err := ours(out); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(out), filepath.Base(out)+".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}
	if err := (&release{root: root, out: work}).make(arches); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(out), os.Rename(work, out))
}

// ours refuses to replace a folder that this has not made.
func ours(out string) error {
	entries, err := os.ReadDir(out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	made := func(e fs.DirEntry) bool { return e.Name() == sumsFile }
	if len(entries) > 0 && !slices.ContainsFunc(entries, made) {
		return fmt.Errorf("%s has files that this has not made; move it away, or name another folder with -o", out)
	}
	return nil
}

func (r *release) make(arches []string) error {
	if !slices.Contains(arches, runtime.GOARCH) {
		return fmt.Errorf("-arch must have %s among others: this machine runs the programs to ask for their completions", runtime.GOARCH)
	}
	var all []*binaries
	for _, arch := range arches {
		bin, err := compile(r.root, r.out, arch)
		if err != nil {
			return err
		}
		all = append(all, bin)
	}
	if err := r.describe(all[slices.Index(arches, runtime.GOARCH)]); err != nil {
		return err
	}
	var made []string
	for _, bin := range all {
		for _, step := range []func(*binaries) (string, error){r.deb, r.rootfs, r.bill} {
			name, err := step(bin)
			if err != nil {
				return fmt.Errorf("%s: %w", bin.arch, err)
			}
			made = append(made, name)
		}
		for _, name := range programs() {
			made = append(made, filepath.Join(filepath.Base(bin.dir), name))
		}
	}
	return r.checksums(made)
}

// describe learns which commit this is, and writes what is the same for every architecture.
func (r *release) describe(bin *binaries) error {
	var err error
	if r.stamp, err = stampOf(bin.info["ntptsd"]); err != nil {
		return err
	}
	if r.npm, err = r.scripts(); err != nil {
		return err
	}
	if r.docs, err = r.documents(bin); err != nil {
		return err
	}
	if r.completions, err = completions(bin); err != nil {
		return err
	}
	fmt.Printf("package: %s of %s\n", r.stamp.version, r.stamp.time.Format("2006-01-02 15:04:05Z07:00"))
	return nil
}
