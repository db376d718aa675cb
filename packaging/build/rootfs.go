package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// imageUser is who runs in a container: a number that no system gives to a person or a daemon. As in passwd below.
const imageUser = 65532

const (
	imagePasswd = "root:x:0:0:root:/:/sbin/nologin\nntptsd:x:65532:65532:NTP TCP services daemon:/var/lib/ntptsd:/sbin/nologin\n"
	imageGroup  = "root:x:0:\nntptsd:x:65532:\n"
)

// rootfs writes the whole file tree of the container image. An archive, since modes and owners are part of it: those of a
// folder of the sources are whoever's who unpacked them.
func (r *release) rootfs(bin *binaries) (string, error) {
	files := append([]file{
		{"etc/passwd", 0o644, []byte(imagePasswd)},
		{"etc/group", 0o644, []byte(imageGroup)},
	}, r.docs...)
	for _, name := range programs() {
		data, err := os.ReadFile(filepath.Join(bin.dir, name))
		if err != nil {
			return "", err
		}
		files = append(files, file{"usr/bin/" + name, 0o755, data})
	}
	owned := []file{ // by the daemon: keys and records, the control socket, and what init makes
		{path: "etc/ntptsd", mode: fs.ModeDir | 0o755},
		{path: "run/ntptsd", mode: fs.ModeDir | 0o755},
		{path: "var/lib/ntptsd", mode: fs.ModeDir | 0o700},
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range parents(append(files, owned...)) {
		if err := r.add(w, f, imageOwner(f)); err != nil {
			return "", err
		}
	}
	name := "rootfs_" + bin.arch + ".tar"
	return name, errors.Join(w.Close(), os.WriteFile(filepath.Join(r.out, name), b.Bytes(), 0o644))
}

func imageOwner(f file) int {
	if f.mode.IsDir() && path.Base(f.path) == "ntptsd" && !strings.HasPrefix(f.path, "usr/") {
		return imageUser
	}
	return 0
}

// parents puts every folder before what is in it.
func parents(files []file) []file {
	all := map[string]file{}
	for _, f := range files {
		all[f.path] = f
		for dir := path.Dir(f.path); dir != "."; dir = path.Dir(dir) {
			if _, there := all[dir]; !there {
				all[dir] = file{path: dir, mode: fs.ModeDir | 0o755}
			}
		}
	}
	sorted := make([]file, 0, len(all))
	for _, f := range all {
		sorted = append(sorted, f)
	}
	slices.SortFunc(sorted, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return sorted
}

func (r *release) add(w *tar.Writer, f file, owner int) error {
	h := &tar.Header{
		Typeflag: tar.TypeReg, Name: f.path, Mode: int64(f.mode.Perm()), Size: int64(len(f.data)),
		Uid: owner, Gid: owner, ModTime: r.stamp.time, Format: tar.FormatUSTAR,
	}
	if f.mode.IsDir() {
		h.Typeflag, h.Name = tar.TypeDir, f.path+"/"
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(f.data)
	return err
}
