package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/certs"
	"github.com/ntptsd/ntptsd/internal/clockstate"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/internal/neighbour"
)

func newCheck(path *string) *cobra.Command {
	var root string
	var ports []string
	c := &cobra.Command{
		Use:   "check",
		Short: "print OK, or everything that is wrong with the configuration",
		Args:  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := load(*path)
			if err != nil {
				return failure{err: err, code: exitConfiguration}
			}
			warnings, wrong := checkOutside(cfg)
			more, claimed := checkBeside(cfg, root)
			warnings, wrong = append(warnings, more...), errors.Join(wrong, claimed, checkPorts(ports, root))
			for _, w := range warnings {
				c.PrintErrln("warning:", w)
			}
			if wrong != nil {
				return failure{err: wrong, code: exitConfiguration}
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), "OK")
			return err
		},
	}
	addRoot(c, &root)
	c.Flags().StringSliceVar(&ports, "port", nil, "look also whether another time daemon claims this port, as in `tcp/4460`: for socket units")
	return c
}

// checkOutside looks at what the configuration names. What only we may not read is a warning: the daemon runs as
// somebody else.
func checkOutside(cfg *config.Config) (warnings []string, wrong error) {
	warnings = remarks(cfg)
	_, loose := looseKeys(cfg)
	_, wrong = namedAccount(cfg.User)
	wrong = errors.Join(wrong, loose, checkSandbox(cfg))
	quiet := slog.New(slog.DiscardHandler)
	clock, err := clockstate.New(cfg, neighbour.NewDoor(cfg, quiet), quiet)
	if wrong = errors.Join(wrong, err); err == nil && clock.Problem() != "" { // it may not run yet, and we may be another user
		warnings = append(warnings, "clock.source = "+cfg.Clock.Source+": "+clock.Problem())
	}
	for _, err := range certs.Check(cfg, acmeIssuer(cfg, nil, quiet)) {
		warnings, wrong = judge(warnings, wrong, err)
	}
	_, err = access.New(cfg)
	warnings, wrong = judge(warnings, wrong, err)
	bearable, ending := keyring.Check(cfg)
	for _, err := range bearable {
		warnings = append(warnings, err.Error())
	}
	for _, err := range ending {
		warnings, wrong = judge(warnings, wrong, err)
	}
	return warnings, wrong
}

// judge adds err to the warnings or to what is wrong.
func judge(warnings []string, wrong, err error) ([]string, error) {
	if errors.Is(err, fs.ErrPermission) {
		return append(warnings, fmt.Sprintf("not checked: %v", err)), wrong
	}
	return warnings, errors.Join(wrong, err)
}

// strangersOnly tells that there is nobody who could log in.
func strangersOnly(a *config.Access) bool {
	return len(a.Certificates) == 0 && len(a.Tokens) == 0 && a.Loopback == api.Anonymous.String()
}

// remarks is what is allowed and may surprise.
func remarks(cfg *config.Config) []string {
	var all []string
	if m := cfg.Monitoring; m != nil && strangersOnly(&cfg.Access) && !access.Issued(cfg) {
		all = append(all, "nobody can log in to the services port: [access] has neither certificates nor tokens; ntptsctl login, over the control socket, makes a link that works once")
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Access.Tokens)) {
		if end := time.Time(cfg.Access.Tokens[name].Expires); !time.Now().Before(end) {
			all = append(all, fmt.Sprintf("access.token.%s has ended on %s and lets nobody in: make another with ntptsd token, or take it out", name, end.Format(time.RFC3339)))
		}
	}
	loose, _ := looseKeys(cfg)
	all = append(append(all, cfg.Ignored()...), loose...)
	if dir := cfg.StateDirectory; looseFolder(dir) {
		all = append(all, fmt.Sprintf("state-directory: others may write to %s, and so make themselves keys, logins and changes of ntptsd's: look at what is there, then chmod 0700 %s", dir, dir))
	}
	if cfg.KeyExchange == nil && cfg.TimeServer == nil {
		all = append(all, "no service is configured; add a section [keyexchange] or [timeserver]")
	}
	return all
}
