package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/ntptsd/ntptsd/internal/api/view"
)

// place is where a daemon is, and how it is asked, as flags and profiles say it.
type place struct {
	Socket    string `toml:"socket"`
	Host      string `toml:"host"`
	CA        string `toml:"ca"`
	Cert      string `toml:"cert"`
	Key       string `toml:"key"`
	TokenFile string `toml:"token-file"`
	Timeout   period `toml:"timeout"`

	profile string // that it is from
}

// period is a length of time as text, such as 30s; a mere number would be of no unit.
type period struct{ time.Duration }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *period) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil || d <= 0 {
		return fmt.Errorf("timeout %.40q: must be a length of time more than 0, such as 30s", text)
	}
	p.Duration = d
	return nil
}

// elsewhere is the place at another host. The token stays behind where it belongs to a host: that other one would learn it.
func (p place) elsewhere(host string) place {
	if p.Host != "" && p.Host != host {
		p.TokenFile = ""
	}
	p.Host = host
	return p
}

// profiles is the configuration of ntptsctl.
type profiles struct {
	Default  string           `toml:"default-profile"`
	Profiles map[string]place `toml:"profile"`

	ignored string // the file of somebody else that they would be from
}

// choose is the profile of the name, or the default one, or none.
func (p profiles) choose(name string) (place, error) {
	if name == "" {
		name = p.Default
	}
	if name == "" {
		return place{}, nil
	}
	one, ok := p.Profiles[name]
	if !ok {
		known := "there is none at all"
		switch {
		case len(p.Profiles) > 0:
			known = "there are " + strings.Join(p.names(), ", ")
		case p.ignored != "":
			known = fmt.Sprintf("%s is not read, because it is somebody else's: --config %[1]s does", p.ignored)
		}
		return place{}, fmt.Errorf("there is no profile %.80q; %s", name, known)
	}
	return one, nil
}

func (p profiles) names() []string {
	var all []string
	for name := range p.Profiles {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// readProfiles reads a file. That there is none is an error only if it was named.
func readProfiles(file string) (all profiles, err error) {
	named := file != ""
	if !named {
		dir, err := os.UserConfigDir()
		if err != nil {
			return all, nil
		}
		file = filepath.Join(dir, "ntptsctl", "config.toml")
	}
	// sudo and setpriv leave HOME to somebody else, whose profiles are none of ours.
	if !named && foreign(file) {
		return profiles{ignored: file}, nil
	}
	b, err := readSmall(file)
	if !named && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
		return all, nil
	}
	if err != nil {
		return all, fmt.Errorf("the profiles cannot be read: %w", err)
	}
	d := toml.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		return all, explainTOML(file, err)
	}
	var errs []error
	for _, name := range all.names() {
		p := all.Profiles[name]
		errs = append(errs, p.check(file, name))
		p.profile = name
		for _, path := range []*string{&p.Socket, &p.CA, &p.Cert, &p.Key, &p.TokenFile} {
			*path = resolve(filepath.Dir(file), *path)
		}
		all.Profiles[name] = p
	}
	if _, err := all.choose(""); err != nil {
		errs = append(errs, fmt.Errorf("%s: default-profile: %w", file, err))
	}
	return all, errors.Join(errs...)
}

// check says what is wrong with a profile that TOML cannot know.
func (p place) check(file, name string) error {
	switch {
	case p == place{}:
		return fmt.Errorf("%s: profile %.80q says nothing: give it a host or a socket", file, name)
	case p.Socket != "" && p.Host != "":
		return fmt.Errorf("%s: profile %.80q has both a host and a socket: one of them is asked", file, name)
	case p.Host != "":
		if _, _, err := splitHost(p.Host); err != nil {
			return fmt.Errorf("%s: profile %.80q: %w", file, name, err)
		}
	}
	return nil
}

// resolve makes a path of a profile whole: it is relative to the folder of the file.
func resolve(dir, path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if path == "" || path == "-" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func explainTOML(file string, err error) error {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(strict.Errors) > 0 {
		var errs []error
		for _, e := range strict.Errors[:min(len(strict.Errors), maxWrongKeys)] {
			line, column := e.Position()
			errs = append(errs, fmt.Errorf("%s:%d:%d: unknown key %s; a profile has socket, host, ca, cert, key, token-file, timeout",
				file, line, column, view.Sentence(strings.Join(e.Key(), "."))))
		}
		return errors.Join(errs...)
	}
	if wrong, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := wrong.Position()
		return fmt.Errorf("%s:%d:%d: %s", file, line, column, view.Sentence(strings.TrimPrefix(wrong.Error(), "toml: ")))
	}
	return fmt.Errorf("%s: %w", file, err)
}

// maxWrongKeys is how many wrong keys of a file are told at once.
const maxWrongKeys = 20
