package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/spf13/cobra"

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
	_, wrong = namedAccount(cfg.User)
	quiet := slog.New(slog.DiscardHandler)
	clock, err := clockstate.New(cfg, neighbour.NewDoor(cfg, quiet), quiet)
	if wrong = errors.Join(wrong, err); err == nil && clock.Problem() != "" { // it may not run yet, and we may be another user
		warnings = append(warnings, "clock.source = "+cfg.Clock.Source+": "+clock.Problem())
	}
	for _, p := range certs.Pairs(cfg) {
		_, err := certs.OpenFiles([]config.Pair{p}, quiet)
		warnings, wrong = judge(warnings, wrong, err)
	}
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

// remarks is what is allowed and may surprise.
func remarks(cfg *config.Config) []string {
	var all []string
	if cfg.Monitoring != nil {
		all = append(all, "the section [monitoring] is accepted, but this version does not serve it")
	}
	all = append(all, cfg.Ignored()...)
	if cfg.KeyExchange == nil && cfg.TimeServer == nil {
		all = append(all, "no service is configured; add a section [keyexchange] or [timeserver]")
	}
	return all
}
