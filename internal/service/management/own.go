package management

import (
	"context"
	"fmt"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Log is what is written to the log. Safe for concurrent use.
type Log interface {
	Level() (now, configured string)
	SetLevel(level string)
}

// Events are what those who follow see. Safe for concurrent use.
type Events interface{ Add(e api.Event) }

// Own are what the commands change that are about ntptsd itself.
type Own struct {
	Log       Log
	Events    Events
	Bans      Bans
	Banned    func() []api.Count // what was refused since the start because of them, by service
	Revoker   Revoker
	Opened    func() []api.Count // cookies that came back since the start, by the age of their key
	Config    func() Effective
	Certs     Certificates
	Doors     Doors
	Authority Authority
	Host      Host
	Listeners []Listeners // of every service
}

// ownBindings are the planners of all commands of ntptsd itself, and what reads for them.
func (s *Service) ownBindings() []api.Binding {
	return []api.Binding{
		api.Bind(api.GetLog, func(context.Context, api.Caller, api.None) (api.LogState, error) { return s.logState(), nil }),
		api.BindChange(api.SetLogLevel, s.setLogLevel),
		api.Bind(api.GetBans, func(context.Context, api.Caller, api.None) (api.Bans, error) { return s.bans(), nil }),
		api.BindChange(api.AddBan, s.addBan),
		api.BindChange(api.RemoveBan, s.removeBan),
		api.BindChange(api.RevokeKey, s.revokeKey),
		api.Bind(api.GetConfig, func(context.Context, api.Caller, api.None) (api.Configuration, error) { return s.configuration(), nil }),
		api.BindChange(api.ReloadCerts, s.reloadCerts),
		api.BindChange(api.RenewCert, s.renewCert),
		api.Bind(api.GetAccess, func(context.Context, api.Caller, api.None) (api.Grants, error) { return s.grants(), nil }),
		api.BindChange(api.IssueCertificate, s.issueCertificate),
		api.BindChange(api.IssueToken, s.issueToken),
		api.BindChange(api.RevokeLogin, func(_ context.Context, who api.Caller, a api.LoginNameArg) (api.Change[api.Grants], error) {
			return s.turnLogin(who, a, true)
		}),
		api.BindChange(api.RestoreLogin, func(_ context.Context, who api.Caller, a api.LoginNameArg) (api.Change[api.Grants], error) {
			return s.turnLogin(who, a, false)
		}),
		api.Bind(api.GetListeners, func(context.Context, api.Caller, api.None) (api.Serving, error) { return s.serving(), nil }),
		api.BindChange(api.DrainListener, func(_ context.Context, _ api.Caller, a api.ListenerArg) (api.Change[api.Serving], error) {
			return s.drainListener(a, true)
		}),
		api.BindChange(api.UndrainListener, func(_ context.Context, _ api.Caller, a api.ListenerArg) (api.Change[api.Serving], error) {
			return s.drainListener(a, false)
		}),
		api.BindChange(api.Drain, func(context.Context, api.Caller, api.None) (api.Change[api.Serving], error) {
			return s.drainHost(true), nil
		}),
		api.BindChange(api.Undrain, func(context.Context, api.Caller, api.None) (api.Change[api.Serving], error) {
			return s.drainHost(false), nil
		}),
	}
}

// tell makes an event of what an operator did.
func (s *Service) tell(kind, severity, format string, args ...any) {
	if s.Events != nil {
		s.Events.Add(api.Event{At: time.Now(), Kind: kind, Severity: severity, Text: fmt.Sprintf(format, args...)})
	}
}

func (s *Service) logState() (l api.LogState) {
	l.Level, l.Configured = s.Log.Level()
	return l
}

func (s *Service) setLogLevel(_ context.Context, _ api.Caller, a api.LevelArg) (c api.Change[api.LogState], err error) {
	switch a.Level {
	case "debug", "info", "warn", "error":
	default:
		return c, api.Failf(api.BadArgument, "level %.64q: must be debug, info, warn or error", a.Level)
	}
	c.Result = s.logState()
	c.Summary = fmt.Sprintf("write level %s and above to the log, until a reload goes back to the configuration's %s", a.Level, c.Result.Configured)
	c.Before, c.After = "level "+c.Result.Level, "level "+a.Level
	c.Undo = api.StepOf(api.SetLogLevel, api.LevelArg{Level: c.Result.Level})
	if c.Result.Level != a.Level {
		c.Do = func(context.Context) (api.LogState, error) {
			s.Log.SetLevel(a.Level)
			return s.logState(), nil
		}
	}
	return c, nil
}
