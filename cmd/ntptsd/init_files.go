package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/ntptsd/ntptsd/internal/certs"
	"github.com/ntptsd/ntptsd/internal/config"
)

//go:embed init.toml
var startingConfig string

// newFile is a file that init makes.
type newFile struct {
	name, what string
	mode       fs.FileMode
	data       []byte
	daemons    bool // the daemon must be able to read it although nobody else may
}

// files makes all contents, before the first is written.
func (b *beginning) files(now time.Time) ([]newFile, error) {
	ca, root, err := certs.NewAuthority("ntptsd private CA of "+b.Names[0], now)
	if err != nil {
		return nil, err
	}
	names := b.allNames()
	server, err := ca.Issue(certs.ForServer, names, now)
	if err != nil {
		return nil, err
	}
	renewing, err := ca.ServerAuthority("ntptsd server CA of "+b.Names[0], names, now)
	if err != nil {
		return nil, err
	}
	operator, err := ca.Issue(certs.ForClient, []string{"operator"}, now)
	if err != nil {
		return nil, err
	}
	clients, err := ca.ClientAuthority("ntptsd client CA of "+b.Names[0], now)
	if err != nil {
		return nil, err
	}
	text, err := b.configuration()
	if err != nil {
		return nil, err
	}
	return slices.Concat([]newFile{
		{name: "ca.pem", what: "the private CA's certificate, for 10 years: clients trust this", mode: 0o644, data: root.Certificate},
		{name: "ca.key", what: "its key", mode: 0o600, data: root.Key},
		{name: "server.pem", what: "a server's certificate in a file, for 397 days: " + strings.Join(names, ", "), mode: 0o644, data: server.Certificate},
		{name: "server.key", what: "its key", mode: 0o600, data: server.Key, daemons: true},
		{name: "operator.pem", what: "a client certificate, for 397 days: logs in to the services port as operator", mode: 0o644, data: operator.Certificate},
		{name: "operator.key", what: "its key", mode: 0o600, data: operator.Key},
	}, renewalFiles(renewing), []newFile{
		{name: "client-ca.pem", what: "an authority below the CA, for clients alone: ntptsd lets operators in by it", mode: 0o644, data: clients.Certificate},
		{name: "client-ca.key", what: "its key; without it that is done where ca.key is", mode: 0o600, data: clients.Key, daemons: true},
		{name: "ntptsd.toml", what: "the configuration", mode: 0o644, data: text},
	}), nil
}

// renewal makes an authority for other names by a CA that is there.
func (b *beginning) renewal(now time.Time) ([]newFile, error) {
	certificate, err := os.ReadFile(filepath.Join(b.CA, "ca.pem"))
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(filepath.Join(b.CA, "ca.key"))
	if err != nil {
		return nil, fmt.Errorf("%w; it was to be kept off this machine: bring it, or run this where it is", err)
	}
	ca, err := certs.ParseAuthority(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.CA, err)
	}
	names := b.allNames()
	renewing, err := ca.ServerAuthority("ntptsd server CA of "+b.Names[0], names, now)
	if err != nil {
		return nil, err
	}
	return renewalFiles(renewing), nil
}

func renewalFiles(made certs.Issued) []newFile {
	return []newFile{
		{name: "server-ca.pem", what: "an authority below the CA, for this server's names alone: ntptsd renews its certificate by it", mode: 0o644, data: made.Certificate},
		{name: "server-ca.key", what: "its key, which stays here", mode: 0o600, data: made.Key, daemons: true},
	}
}

// allNames are those of the certificates: also where the services port listens unless told otherwise.
func (b *beginning) allNames() []string {
	names := slices.Clone(b.Names)
	for _, local := range []string{"localhost", "127.0.0.1", "::1"} {
		if !slices.Contains(names, local) {
			names = append(names, local)
		}
	}
	return names
}

// ServerNames is them as TOML has a list.
func (b *beginning) ServerNames() string {
	quoted := make([]string, 0, len(b.Names)+3)
	for _, n := range b.allNames() {
		quoted = append(quoted, strconv.Quote(n))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// configuration fills in init.toml, and proves that the daemon will take it.
func (b *beginning) configuration() ([]byte, error) {
	t, err := template.New("init.toml").Parse(startingConfig)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := t.Execute(&text, b); err != nil {
		return nil, err
	}
	if _, err := config.Parse(filepath.Join(b.Dir, "ntptsd.toml"), text.Bytes()); err != nil {
		return nil, fmt.Errorf("this would make no valid configuration, nothing was written: %w", err)
	}
	return text.Bytes(), nil
}
