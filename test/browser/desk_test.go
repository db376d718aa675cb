package browser

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/audit"
	"github.com/ntptsd/ntptsd/internal/frontdoor"
	"github.com/ntptsd/ntptsd/internal/ledger"
	"github.com/ntptsd/ntptsd/internal/service/management"
)

// desk is where the made-up host does commands: the real ledger and audit log, around changes that are made up.
type desk struct {
	table  *api.Table
	desk   *frontdoor.Desk
	ledger *ledger.Ledger

	mu       sync.Mutex
	bans     map[string]string // guarded by mu; reasons by network
	draining bool              // guarded by mu; the target this-host
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	log, err := audit.Open(dir+"/audit", audit.Options{Keep: 2, MaxSize: 1 << 20, State: dir}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{bans: map[string]string{}, draining: true}
	if d.ledger, err = ledger.New(dir, log, nil, quiet); err != nil {
		t.Fatal(err)
	}
	real := management.New(management.Parts{Ledger: d.ledger, Audit: log, Targets: d}).Bindings()
	var all []api.Binding
	for _, c := range api.Commands() {
		name := c.Declaration().Name
		of := func(b api.Binding) bool { return b.Name == name }
		made := d.bindings()
		if i := slices.IndexFunc(made, of); i >= 0 {
			all = append(all, made[i])
		} else if i := slices.IndexFunc(real, of); i >= 0 && slices.Contains([]string{"changes", "changes confirm", "changes undo", "audit", "targets drain", "targets undrain"}, name) {
			all = append(all, real[i])
		} else {
			all = append(all, c.(interface {
				Stub(fill func(reflect.Value)) api.Binding
			}).Stub(func(reflect.Value) {}))
		}
	}
	if d.table, err = api.NewTable(api.Commands(), all...); err != nil {
		t.Fatal(err)
	}
	d.ledger.Serve(d.table)
	d.desk = frontdoor.NewDesk(d.table, d.ledger, quiet)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	for _, run := range []func(context.Context) error{d.ledger.Run, log.Run} {
		go func() { ended <- run(ctx) }()
	}
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, <-ended); err != nil {
			t.Error(err)
		}
	})
	return d
}

// Drain implements management.Targets.
func (d *desk) Drain(id string, drain bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id != "this-host" {
		return api.Failf(api.Conflict, "%s is made up", id)
	}
	d.draining = drain
	return nil
}

// Targets implements management.Targets.
func (d *desk) Targets() []api.Target {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := someStatus(time.Now()).Targets
	all[0].Draining = d.draining
	return all
}

// bindings are what somebody at the page does in the tests.
func (d *desk) bindings() []api.Binding {
	return []api.Binding{
		api.Bind(api.GetBans, func(context.Context, api.Caller, api.None) (api.Bans, error) { return d.banned(), nil }),
		api.BindChange(api.AddBan, func(_ context.Context, _ api.Caller, a api.BanArg) (api.Change[api.Bans], error) {
			c := api.Change[api.Bans]{Plan: api.Plan{Summary: "refuse " + a.Network + " everywhere", After: "banned: " + a.Reason}, Undo: api.StepOf(api.RemoveBan, api.UnbanArg{Network: a.Network})}
			if a.Network == "" {
				return c, api.Failf(api.BadArgument, "name a network, as in 192.0.2.0/24")
			}
			c.Do = func(context.Context) (api.Bans, error) { return d.ban(a.Network, a.Reason, true), nil }
			return c, nil
		}),
		api.BindChange(api.RemoveBan, func(_ context.Context, _ api.Caller, a api.UnbanArg) (api.Change[api.Bans], error) {
			c := api.Change[api.Bans]{Plan: api.Plan{Summary: "refuse " + a.Network + " no longer", Before: "banned"}, Undo: api.StepOf(api.AddBan, api.BanArg{Network: a.Network})}
			c.Do = func(context.Context) (api.Bans, error) { return d.ban(a.Network, "", false), nil }
			return c, nil
		}),
		api.BindChange(api.IssueToken, func(_ context.Context, _ api.Caller, a api.TokenArg) (api.Change[api.IssuedToken], error) {
			return api.Change[api.IssuedToken]{Plan: api.Plan{Summary: "make a token for " + a.Name}, Undo: api.StepOf(api.RevokeLogin, api.LoginNameArg{Name: a.Name}),
				Do: func(context.Context) (api.IssuedToken, error) {
					return api.IssuedToken{Name: a.Name, Token: "ntptsd_" + rand.Text() + rand.Text()}, nil
				}}, nil
		}),
		api.BindChange(api.StepClock, func(_ context.Context, _ api.Caller, a api.StepArg) (api.Change[api.Confirmation], error) {
			c := api.Change[api.Confirmation]{Plan: api.Plan{Summary: "ask for a token to step the clock"}}
			answer := api.Confirmation{Command: "neighbour step", Would: "step the clock by 0.2 s", Token: "k7m2"}
			if a.Token == answer.Token {
				c.Summary, answer = "step the clock by 0.2 s", api.Confirmation{Command: "neighbour step", Done: true}
			} else if a.Token != "" {
				return c, api.Failf(api.Conflict, "this token is not the one that was told")
			}
			c.Do = func(context.Context) (api.Confirmation, error) { return answer, nil }
			return c, nil
		}),
	}
}

func (d *desk) ban(network, reason string, add bool) api.Bans {
	d.mu.Lock()
	if delete(d.bans, network); add {
		d.bans[network] = reason
	}
	d.mu.Unlock()
	return d.banned()
}

func (d *desk) banned() (all api.Bans) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for network, reason := range d.bans {
		all.Bans = append(all.Bans, api.Ban{Network: network, Reason: reason})
	}
	return all
}

// list is GET /v1/.
func (d *desk) list(w http.ResponseWriter, _ *http.Request) {
	commands := []map[string]any{}
	for _, c := range d.table.Declarations() {
		commands = append(commands, map[string]any{"name": c.Name, "url": c.Path(), "role": c.Role.String(), "changes": c.Changes, "inverse": c.Inverse,
			"summary": c.Summary, "args": append([]api.Arg{}, c.Args...)})
	}
	answerJSON(w, http.StatusOK, map[string]any{"commands": commands})
}

// serve does a command.
func (d *desk) serve(w http.ResponseWriter, r *http.Request, who api.Caller) {
	all := d.table.Declarations()
	i := slices.IndexFunc(all, func(c api.Declaration) bool {
		return c.Path() == r.URL.Path && c.Changes == (r.Method == http.MethodPost)
	})
	if i < 0 {
		answerProblem(w, http.StatusNotFound, api.NotFound, "there is no "+r.URL.Path)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
	args, how := body, api.How{}
	if err == nil && all[i].Changes {
		args, how, err = api.SplitHow(body)
		how.Key = r.Header.Get("Idempotency-Key")
	}
	if err == nil && all[i].Changes && !how.DryRun && how.Key == "" {
		err = api.Failf(api.BadArgument, "this page sends a key with each change")
	}
	var answer any
	if err == nil {
		answer, err = d.desk.Call(r.Context(), who, all[i].Name, args, how)
	}
	if err != nil {
		answerProblem(w, http.StatusConflict, api.KindOf(err), err.Error())
		return
	}
	answerJSON(w, http.StatusOK, answer)
}

func answerProblem(w http.ResponseWriter, status int, code api.Kind, detail string) {
	answerJSON(w, status, api.Problem{Status: status, Detail: detail, Code: code})
}
