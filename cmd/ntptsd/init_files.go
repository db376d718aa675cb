package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
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
	names := b.Names
	for _, local := range []string{"localhost", "127.0.0.1", "::1"} { // where the services port listens unless told otherwise
		if !slices.Contains(names, local) {
			names = append(names[:len(names):len(names)], local)
		}
	}
	server, err := ca.Issue(certs.ForServer, names, now)
	if err != nil {
		return nil, err
	}
	operator, err := ca.Issue(certs.ForClient, []string{"operator"}, now)
	if err != nil {
		return nil, err
	}
	text, err := b.configuration()
	if err != nil {
		return nil, err
	}
	return []newFile{
		{name: "ca.pem", what: "the private CA's certificate, for 10 years: clients trust this", mode: 0o644, data: root.Certificate},
		{name: "ca.key", what: "its key", mode: 0o600, data: root.Key},
		{name: "server.pem", what: "the server's certificate, for 397 days: " + strings.Join(names, ", "), mode: 0o644, data: server.Certificate},
		{name: "server.key", what: "its key", mode: 0o600, data: server.Key, daemons: true},
		{name: "operator.pem", what: "a client certificate, for 397 days: logs in to the services port as operator", mode: 0o644, data: operator.Certificate},
		{name: "operator.key", what: "its key", mode: 0o600, data: operator.Key},
		{name: "ntptsd.toml", what: "the configuration", mode: 0o644, data: text},
	}, nil
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
