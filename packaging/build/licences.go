package main

import (
	"bytes"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// licences are the texts of every module that is linked in, and of Go: each demands to travel with its code.
func (r *release) licences(bin *binaries) ([]byte, error) {
	c := exec.Command("go", "mod", "download", "-json")
	for _, m := range bin.modules() {
		c.Args = append(c.Args, m.Path+"@"+m.Version)
	}
	c.Dir, c.Stderr = r.root, os.Stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("go mod download: %w", err)
	}
	var all bytes.Buffer
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var m struct{ Path, Version, Dir string }
		if err := d.Decode(&m); err != nil {
			return nil, err
		}
		if err := appendLicence(&all, m.Path+" "+m.Version, m.Dir); err != nil {
			return nil, err
		}
	}
	for _, s := range r.npm {
		text, err := os.ReadFile(filepath.Join(r.root, licencesOfScripts, s.name+".txt"))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&all, "==== %s %s (npm)\n\n%s\n\n", s.name, s.version, bytes.TrimSpace(text))
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	if err := appendLicence(&all, "Go standard library "+bin.info["ntptsd"].GoVersion, strings.TrimSpace(string(goroot))); err != nil {
		return nil, err
	}
	return compressed(all.Bytes())
}

func appendLicence(all *bytes.Buffer, of, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	found := 0
	for _, e := range entries {
		if !legal(e.Name()) || e.IsDir() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		found++
		fmt.Fprintf(all, "==== %s: %s\n\n%s\n\n", of, e.Name(), bytes.TrimSpace(text))
	}
	if found == 0 {
		return fmt.Errorf("%s has no licence in %s: what may not be passed on must not be linked in", of, dir)
	}
	return nil
}

// legal tells by its name whether a file says what one may do with the files beside it.
func legal(name string) bool {
	stem, kind, _ := strings.Cut(strings.ToUpper(name), ".")
	return kind != "GO" && slices.Contains([]string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "PATENTS"}, stem)
}

// script is a package of npm that is part of the dashboard's built files.
type script struct{ name, version, sha512 string }

// licencesOfScripts has a file for each such package. They are committed, since node_modules is not there when Go builds.
const licencesOfScripts = "packaging/licences"

// scripts are those packages in the versions that the lock file names.
func (r *release) scripts() ([]script, error) {
	text, err := os.ReadFile(filepath.Join(r.root, "web/package-lock.json"))
	if err != nil {
		return nil, err
	}
	var lock struct {
		Packages map[string]struct{ Version, Integrity string }
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(r.root, licencesOfScripts))
	if err != nil {
		return nil, err
	}
	var all []script
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".txt")
		p := lock.Packages["node_modules/"+name]
		sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(p.Integrity, "sha512-"))
		if err != nil || len(sum) != sha512.Size {
			return nil, fmt.Errorf("%s/%s: web/package-lock.json has version %q of it with the sum %q", licencesOfScripts, e.Name(), p.Version, p.Integrity)
		}
		all = append(all, script{name, p.Version, hex.EncodeToString(sum)})
	}
	return all, nil
}
