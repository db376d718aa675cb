package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

// The bill of materials is CycloneDX 1.6 (ECMA-424), made from what the go command wrote into the binaries, so that it
// cannot tell of another build than theirs. It has no serial number, which would have to be random.
type (
	bom struct {
		Format       string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	}
	component struct {
		Type       string      `json:"type"`
		Ref        string      `json:"bom-ref"`
		Name       string      `json:"name"`
		Version    string      `json:"version"`
		Hashes     []hash      `json:"hashes,omitempty"`
		Licenses   []license   `json:"licenses,omitempty"`
		PURL       string      `json:"purl,omitempty"`
		Properties []property  `json:"properties,omitempty"`
		Components []component `json:"components,omitempty"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	license struct {
		Expression string `json:"expression"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref string   `json:"ref"`
		On  []string `json:"dependsOn"`
	}
)

// bill writes the bill of materials of the binaries. A module's hash is the one in go.sum, which the go command checked.
func (r *release) bill(bin *binaries) (string, error) {
	own := component{
		Type: "application", Ref: "ntptsd", Name: "ntptsd", Version: r.stamp.version,
		Licenses: []license{{"Apache-2.0"}},
		PURL:     goPURL(bin.info["ntptsd"].Main.Path, r.stamp.version),
		Properties: []property{
			{"ntptsd:arch", bin.arch}, {"ntptsd:commit", r.stamp.commit}, {"ntptsd:go", bin.info["ntptsd"].GoVersion},
		},
	}
	goVersion := strings.TrimPrefix(bin.info["ntptsd"].GoVersion, "go")
	std := component{
		Type: "library", Ref: goPURL("std", goVersion), Name: "std", Version: goVersion,
		PURL: goPURL("std", goVersion), Licenses: []license{{"BSD-3-Clause"}},
	}
	b := bom{
		Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Metadata:     metadata{r.stamp.time.Format("2006-01-02T15:04:05Z07:00"), own},
		Components:   []component{std},
		Dependencies: []dependency{{Ref: std.Ref, On: []string{}}},
	}
	for _, m := range bin.modules() {
		c, err := moduleComponent(m)
		if err != nil {
			return "", err
		}
		b.Components = append(b.Components, c)
	}
	for _, s := range r.npm {
		ref := "pkg:npm/" + s.name + "@" + s.version
		b.Components = append(b.Components, component{
			Type: "library", Ref: ref, Name: s.name, Version: s.version, PURL: ref,
			Hashes: []hash{{"SHA-512", s.sha512}}, Licenses: []license{{"MIT"}},
		})
	}
	if err := b.addPrograms(bin, r.npm); err != nil {
		return "", err
	}
	name := fmt.Sprintf("ntptsd_%s_%s.cdx.json", r.stamp.debian(), bin.arch)
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return "", err
	}
	return name, os.WriteFile(filepath.Join(r.out, name), append(text, '\n'), 0o644)
}

// addPrograms says which octets this is about, and which of them have what linked in.
func (b *bom) addPrograms(bin *binaries, dashboard []script) error {
	std := b.Components[0].Ref
	all := dependency{Ref: b.Metadata.Component.Ref}
	for _, name := range programs() {
		data, err := os.ReadFile(filepath.Join(bin.dir, name))
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		ref := "file:usr/bin/" + name
		b.Metadata.Component.Components = append(b.Metadata.Component.Components, component{
			Type: "file", Ref: ref, Name: name, Version: b.Metadata.Component.Version,
			Hashes: []hash{{"SHA-256", hex.EncodeToString(sum[:])}},
		})
		linked := dependency{Ref: ref, On: []string{std}}
		for _, m := range bin.info[name].Deps {
			linked.On = append(linked.On, goPURL(m.Path, m.Version))
		}
		if name == "ntptsd" { // which has the dashboard in it
			for _, s := range dashboard {
				linked.On = append(linked.On, "pkg:npm/"+s.name+"@"+s.version)
			}
		}
		slices.Sort(linked.On)
		all.On = append(all.On, ref)
		b.Dependencies = append(b.Dependencies, linked)
	}
	b.Dependencies = append(b.Dependencies, all)
	return nil
}

func moduleComponent(m *debug.Module) (component, error) {
	if m.Replace != nil {
		return component{}, fmt.Errorf("%s is replaced by %s: nothing is handed out with code from elsewhere", m.Path, m.Replace.Path)
	}
	sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:"))
	if err != nil || len(sum) != sha256.Size {
		return component{}, fmt.Errorf("%s has the sum %q in the binary, want h1: and a SHA-256", m.Path, m.Sum)
	}
	return component{
		Type: "library", Ref: goPURL(m.Path, m.Version), Name: m.Path, Version: m.Version,
		Hashes: []hash{{"SHA-256", hex.EncodeToString(sum)}}, PURL: goPURL(m.Path, m.Version),
	}, nil
}

// goPURL is a package URL. Module paths have nothing that must be escaped there; versions may have a plus.
func goPURL(path, version string) string {
	return "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
}
