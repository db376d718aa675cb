package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// flags are what all commands that ask a daemon share.
type flags struct {
	place
	config, profile string
	timeout         time.Duration
	json            bool

	given func(flag string) bool
	typed string // the token that standard input had, once it was read
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
	f.complete(root)
}

// client is made of the profile and the flags, which count more.
func (f *flags) client(c *cobra.Command) (client, error) {
	all, err := readProfiles(f.config)
	if err != nil {
		return client{}, err
	}
	p, err := all.choose(f.profile)
	if err != nil {
		return client{}, err
	}
	if all.ignored != "" && !f.given("host") && !f.given("socket") {
		fmt.Fprintf(c.ErrOrStderr(), "ntptsctl: %s is not read, because it is somebody else's, so this host is asked; --config reads it, --socket silences this\n", all.ignored)
	}
	switch {
	case f.given("host") && f.given("socket"):
		return client{}, errors.New("--host asks another host and --socket this one: give one of them")
	case f.given("host") && f.Host == "": // a variable of a script that was never set
		return client{}, errors.New("--host is empty; leave it out to ask this host")
	case f.given("host"):
		p = p.elsewhere(f.Host)
	case f.given("socket"):
		p.Host = ""
	}
	return f.reach(c, p)
}

// at is the client of a host, or of a profile of that name.
func (f *flags) at(c *cobra.Command, name string) (client, error) {
	for _, flag := range []string{"host", "socket"} {
		if f.given(flag) {
			return client{}, fmt.Errorf("--%s and HOST %.80q exclude each other", flag, name)
		}
	}
	all, err := readProfiles(f.config)
	if err != nil {
		return client{}, err
	}
	if p, ok := all.Profiles[name]; ok {
		return f.reach(c, p)
	}
	p, err := all.choose(f.profile)
	if err != nil {
		return client{}, err
	}
	if name == "" {
		return client{}, errors.New("a HOST is empty")
	}
	return f.reach(c, p.elsewhere(name))
}

// reach reads what a place names, and what flags say instead.
func (f *flags) reach(c *cobra.Command, p place) (client, error) {
	for _, s := range []struct {
		name string
		to   *string
		from string
	}{{"socket", &p.Socket, f.Socket}, {"ca", &p.CA, f.CA}, {"cert", &p.Cert, f.Cert}, {"key", &p.Key, f.Key}, {"token-file", &p.TokenFile, f.TokenFile}} {
		if f.given(s.name) {
			*s.to = s.from
		}
	}
	timeout := f.timeout
	if !f.given("timeout") && p.Timeout.Duration > 0 {
		timeout = p.Timeout.Duration
	}
	if timeout <= 0 {
		return client{}, fmt.Errorf("--timeout %v: more than 0", timeout)
	}
	d, err := f.open(c, p)
	if err != nil && p.profile != "" {
		err = fmt.Errorf("profile %.80s: %w", p.profile, err)
	}
	return client{d, timeout, firstRetry}, err
}

func (f *flags) open(c *cobra.Command, p place) (d door, err error) {
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
	switch p.TokenFile {
	case "":
	case "-": // several hosts, and a tunnel that is opened again, need it again
		if f.typed == "" {
			f.typed, tokenErr = typedToken(c.InOrStdin())
		}
		d.token = f.typed
	default:
		d.token, tokenErr = readToken(p.TokenFile)
	}
	return d, errors.Join(hostErr, caErr, pairErr, tokenErr)
}
