package management

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

// Effective is the configuration as it was loaded last.
type Effective interface {
	Effective(runtime map[string]string) (text string, all []config.Setting)
}

// Certificates are those that TLS services show. Safe for concurrent use.
type Certificates interface {
	View() []api.Certificate
	ReloadFiles() error
	Renew(ctx context.Context, name string) error
}

func (s *Service) configuration() (c api.Configuration) {
	runtime := make(map[string]string)
	if now, configured := s.Log.Level(); now != configured {
		runtime["log.level"] = config.Quote(now)
	}
	var all []config.Setting
	c.Text, all = s.Config().Effective(runtime)
	for _, one := range all {
		c.Settings = append(c.Settings, api.Setting{Key: one.Key, Value: one.Value, From: one.From})
	}
	c.Runtime = s.runtime()
	return c
}

// runtime are the changes that stand in no file.
func (s *Service) runtime() (all []string) {
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if now, configured := s.Log.Level(); now != configured {
		add("log.level is %s", now)
	}
	for _, b := range s.Bans.View() {
		if b.From == api.FromRuntime {
			add("%s is banned", b.Network)
		}
	}
	v := s.serving()
	if v.Draining {
		add("this host drains")
	}
	for _, l := range v.Listeners {
		if l.Draining {
			add("listener %s drains", l.Name)
		}
	}
	if s.Targets != nil {
		for _, t := range s.Targets.Targets() {
			if t.Draining {
				add("target %s drains", t.ID)
			}
		}
	}
	for _, g := range s.Doors.Grants() {
		switch {
		case g.Revoked != nil:
			add("%s %s is revoked", g.Kind, g.Name)
		case g.Source == api.FromCommand:
			add("%s %s was issued, with the role %s", g.Kind, g.Name, g.Role)
		}
	}
	return all
}

func (s *Service) certificates() api.Certificates {
	return api.Certificates{Certificates: s.Certs.View()}
}

// renews tells whether the name is that of a certificate that ntptsd renews itself.
func (s *Service) renews(name string) bool {
	return slices.ContainsFunc(s.Certs.View(), func(c api.Certificate) bool {
		return c.Source != api.CertificateFile &&
			(c.Source == name || slices.ContainsFunc(c.Names, func(n string) bool { return strings.EqualFold(n, name) }))
	})
}

func (s *Service) reloadCerts(context.Context, api.Caller, api.None) (c api.Change[api.Certificates], err error) {
	c.Summary = "read the files of certificates again"
	c.Do = func(context.Context) (api.Certificates, error) {
		if err := s.Certs.ReloadFiles(); err != nil {
			return api.Certificates{}, api.Failf(api.Conflict, "what was served before is served on: %w", err)
		}
		return s.certificates(), nil
	}
	return c, nil
}

func (s *Service) renewCert(_ context.Context, _ api.Caller, a api.CertificateNameArg) (c api.Change[api.Certificates], err error) {
	switch {
	case a.Name == "":
		return c, api.Failf(api.BadArgument, "name a certificate: acme, authority, or one of the names that it is for")
	case !s.renews(a.Name):
		return c, api.Failf(api.NotFound, "%.80q is no certificate that ntptsd renews itself: certs tells which are; files are read again by certs reload", a.Name)
	}
	c.Summary, c.After = "renew certificate "+a.Name+" now", "another one, once it has proved itself; until then the old one is served"
	c.Do = func(ctx context.Context) (api.Certificates, error) {
		if err := s.Certs.Renew(ctx, a.Name); err != nil {
			return api.Certificates{}, api.Failf(api.Unavailable, "the old one is served on: %w", err)
		}
		return s.certificates(), nil
	}
	return c, nil
}
