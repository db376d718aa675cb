// Package peers brings real time daemons from Debian's archive: classic ntpd 4.2.8p15 from Debian 11, chronyd 4.3 and
// NTPsec 1.2.2, Prometheus 2.42 and BIND 9.18 from Debian 12, chronyd 4.6.1 and ntpd-rs 1.4.0 from Debian 13. Nothing is installed and nothing is
// started: packages are checked by apt's signatures, unpacked side by side, and run by their own dynamic loader with their
// own libraries. Where they run and with which rights is the caller's business.
package peers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Release is one Debian release and what is unpacked of it.
type Release struct {
	Name     string // the suite: bullseye, bookworm, trixie
	packages []string
}

// Bullseye is Debian 11: classic ntpd 4.2.8p15 and its ntpq, in C.
func Bullseye() Release {
	return Release{"bullseye", []string{
		"ntp", "libbsd0", "libc6", "libcap2", "libedit2", "libgcc-s1", "libmd0", "libopts25", "libssl1.1", "libtinfo6",
	}}
}

// Bookworm is Debian 12: chrony 4.3, NTPsec 1.2.2 and the Python that its ntpq needs, Prometheus 2.42 and BIND 9.18.
func Bookworm() Release {
	return Release{"bookworm", []string{
		"chrony", "ntpsec", "prometheus", "python3-ntp", "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib",
		"libbsd0", "libc6", "libcap2", "libedit2", "libexpat1", "libffi8", "libgcc-s1", "libgmp10", "libgnutls30",
		"libhogweed6", "libidn2-0", "libmd0", "libnettle8", "libp11-kit0", "libseccomp2", "libssl3", "libtasn1-6",
		"libtinfo6", "libunistring2", "zlib1g",
		// BIND 9.18 and what it alone needs
		"bind9", "bind9-libs", "libcom-err2", "libfstrm0", "libgcrypt20", "libgpg-error0", "libgssapi-krb5-2", "libicu72", "libjemalloc2",
		"libjson-c5", "libk5crypto3", "libkeyutils1", "libkrb5-3", "libkrb5support0", "liblmdb0", "liblz4-1", "liblzma5", "libmaxminddb0",
		"libnghttp2-14", "libprotobuf-c1", "libstdc++6", "libsystemd0", "libuv1", "libxml2", "libzstd1",
	}}
}

// Trixie is Debian 13: chrony 4.6.1, which brings AEAD 30 and record 1024, and ntpd-rs 1.4.0.
func Trixie() Release {
	return Release{"trixie", []string{
		"chrony", "ntpd-rs", "libbsd0", "libc6", "libcap2", "libedit2", "libffi8", "libgcc-s1", "libgmp10", "libgnutls30t64",
		"libhogweed6t64", "libidn2-0", "libmd0", "libnettle8t64", "libp11-kit0", "libseccomp2", "libtasn1-6",
		"libtinfo6", "libunistring5", "libzstd1", "zlib1g",
	}}
}

// Releases are all that the cases need.
func Releases() []Release { return []Release{Bullseye(), Bookworm(), Trixie()} }

// Dir is the cache: NTPTSD_PEERS_DIR, or .cache/peers beside the nearest go.mod above the working folder.
func Dir() (string, error) {
	if dir := os.Getenv("NTPTSD_PEERS_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, ".cache", "peers"), nil
		}
		if dir == filepath.Dir(dir) {
			err = errors.New("no go.mod above the working folder: set NTPTSD_PEERS_DIR")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

// Required tells that a missing peer is a failure and no reason to skip.
func Required() bool { return os.Getenv("NTPTSD_PEERS") == "require" }

// Tree is an unpacked release.
type Tree struct {
	root, loader, libraries string
}

func openTree(root string) (*Tree, error) {
	var libraries, loaders []string
	for _, dir := range []string{"lib", "usr/lib"} {
		found, _ := filepath.Glob(filepath.Join(root, dir, "*-linux-gnu*"))
		libraries = append(libraries, found...)
	}
	for _, dir := range libraries { // not root/lib64: its link to the loader is absolute and leads to the machine's own
		found, _ := filepath.Glob(filepath.Join(dir, "ld-linux*.so.*"))
		loaders = append(loaders, found...)
	}
	if len(loaders) == 0 {
		return nil, fmt.Errorf("%s has no dynamic loader: remove it", root)
	}
	loader, err := filepath.EvalSymlinks(loaders[0]) // the name that /proc/PID/exe shows
	if err != nil {
		return nil, err
	}
	return &Tree{root, loader, strings.Join(libraries, ":")}, nil
}

// Command is the command line that runs a program of the tree, named by its path there, as in usr/sbin/chronyd.
func (t *Tree) Command(program string, args ...string) []string {
	path := filepath.Join(t.root, program)
	return append([]string{t.loader, "--library-path", t.libraries, path}, args...)
}

// Python is the command line that runs a Python script of the tree by the tree's own Python.
func (t *Tree) Python(script string, args ...string) []string {
	path := filepath.Join(t.root, script)
	env := []string{"env", "PYTHONHOME=" + filepath.Join(t.root, "usr"), "PYTHONDONTWRITEBYTECODE=1",
		"PYTHONPATH=" + filepath.Join(t.root, "usr", "lib", "python3", "dist-packages")}
	return slices.Concat(env, t.Command("usr/bin/python3.11", path), args)
}
