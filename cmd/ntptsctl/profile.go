package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

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
}

// profiles is the configuration of ntptsctl.
type profiles struct {
	Default  string           `toml:"default-profile"`
	Profiles map[string]place `toml:"profile"`
}

// flags are what all commands that ask a daemon share.
type flags struct {
	place
	config, profile string
	timeout         time.Duration
	json            bool

	given func(flag string) bool
}

func (f *flags) add(root *cobra.Command) {
	p := root.PersistentFlags()
	f.given = func(name string) bool { flag := p.Lookup(name); return flag != nil && flag.Changed }
	p.StringVar(&f.Socket, "socket", defaultSocket, "the `PATH` of the control socket of ntptsd")
	p.StringVar(&f.Host, "host", "", "ask the services port of `HOST[:PORT]`, by TLS, instead of the socket")
	p.StringVar(&f.CA, "ca", "", "trust the authorities in this PEM `FILE` instead of the system's")
	p.StringVar(&f.Cert, "cert", "", "log in by the client certificate in this PEM `FILE`, with --key")
	p.StringVar(&f.Key, "key", "", "its key, a PEM `FILE`")
	p.StringVar(&f.TokenFile, "token-file", "", "log in by the token in this `FILE`; - reads it from standard input")
	p.StringVar(&f.config, "config", "", "read the profiles from this `FILE` (default ntptsctl/config.toml in the user's configuration folder)")
	p.StringVar(&f.profile, "profile", "", "be set up as the profile of this `NAME` says; flags say more")
	p.DurationVar(&f.timeout, "timeout", defaultTimeout, "wait so long for a whole answer of ntptsd")
	p.BoolVar(&f.json, "json", false, "JSON instead of text")
}

// client is made of the profile and the flags, which count more.
func (f *flags) client(c *cobra.Command) (client, error) {
	if f.timeout <= 0 {
		return client{}, fmt.Errorf("--timeout %v: more than 0", f.timeout)
	}
	all, err := f.profiles()
	if err != nil {
		return client{}, err
	}
	p, err := all.choose(f.profile)
	if err != nil {
		return client{}, err
	}
	p = p.under(f.place, f.given)
	d, err := p.open(c.InOrStdin())
	return client{d, f.timeout}, err
}

// at is the client of a host, or of a profile of that name.
func (f *flags) at(c *cobra.Command, name string) (client, error) {
	all, err := f.profiles()
	if err != nil {
		return client{}, err
	}
	p, ok := all.Profiles[name]
	if !ok {
		if p, err = all.choose(f.profile); err != nil {
			return client{}, err
		}
		p.Host = name
	}
	flags := f.place
	flags.Host = p.Host // the name counts more than --host
	p = p.under(flags, f.given)
	d, err := p.open(c.InOrStdin())
	return client{d, f.timeout}, err
}

// under is the place with what flags say instead. A socket that is named means this host.
func (p place) under(flags place, given func(flag string) bool) place {
	if given("socket") {
		p.Host = ""
	}
	for _, f := range []struct {
		name string
		to   *string
		from string
	}{{"socket", &p.Socket, flags.Socket}, {"host", &p.Host, flags.Host}, {"ca", &p.CA, flags.CA}, {"cert", &p.Cert, flags.Cert},
		{"key", &p.Key, flags.Key}, {"token-file", &p.TokenFile, flags.TokenFile}} {
		if given(f.name) {
			*f.to = f.from
		}
	}
	return p
}

// open reads what the place names.
func (p place) open(stdin io.Reader) (d door, err error) {
	if p.Host == "" {
		d.socket = p.Socket
		if d.socket == "" {
			d.socket = defaultSocket
		}
		return d, nil
	}
	var hostErr, caErr, pairErr, tokenErr error
	d.host, d.port, hostErr = splitHost(p.Host)
	d.ca, caErr = readAuthorities(p.CA)
	d.pair, pairErr = readPair(p.Cert, p.Key)
	d.token, tokenErr = readToken(p.TokenFile, stdin)
	return d, errors.Join(hostErr, caErr, pairErr, tokenErr)
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
		return place{}, fmt.Errorf("there is no profile %.80q; there are: %s", name, strings.Join(p.names(), ", "))
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

// profiles reads the file. None is no error, unless it was named.
func (f *flags) profiles() (all profiles, err error) {
	file := f.config
	if file == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return all, nil
		}
		file = filepath.Join(dir, "ntptsctl", "config.toml")
	}
	b, err := readSmall(file)
	if errors.Is(err, fs.ErrNotExist) && f.config == "" {
		return all, nil
	}
	if err != nil {
		return all, err
	}
	d := toml.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		return all, explainTOML(file, err)
	}
	for _, name := range append(all.names(), all.Default) {
		if name != "" && all.Profiles[name] == (place{}) {
			return all, fmt.Errorf("%s: profile %.80q says nothing: give it a host or a socket", file, name)
		}
	}
	return all, nil
}

func explainTOML(file string, err error) error {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(strict.Errors) > 0 {
		line, column := strict.Errors[0].Position()
		return fmt.Errorf("%s:%d:%d: unknown key %s; a profile has socket, host, ca, cert, key, token-file", file, line, column, strings.Join(strict.Errors[0].Key(), "."))
	}
	if wrong, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := wrong.Position()
		return fmt.Errorf("%s:%d:%d: %s", file, line, column, view.Sentence(strings.TrimPrefix(wrong.Error(), "toml: ")))
	}
	return fmt.Errorf("%s: %w", file, err)
}
