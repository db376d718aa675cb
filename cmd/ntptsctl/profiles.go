package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"github.com/ntptsd/ntptsd/internal/api/view"
)

// profilesCommand lists what the configuration file has.
func profilesCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:               "profiles",
		Short:             "list the profiles of the configuration file",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := readProfiles(f.config)
			if err != nil {
				return err
			}
			for _, name := range all.names() {
				mark := " "
				if name == all.Default {
					mark = "*"
				}
				p := all.Profiles[name]
				fmt.Fprintf(c.OutOrStdout(), "%s %s  %s\n", mark, view.Word(name), view.Word(cmp.Or(p.Host, p.Socket, defaultSocket)))
			}
			return nil
		},
	}
}

// tunnels dials the host that a tunnel names, with what the flags and the profile say of how to log in.
func (f *flags) tunnels(root *cobra.Command) func(host string) dialer {
	return func(host string) dialer {
		return func(ctx context.Context, alpn string) (net.Conn, error) {
			asks, err := f.at(root, host)
			if err != nil {
				return nil, err
			}
			if !asks.door.remote() {
				return nil, errors.New("a tunnel leads to a host: this profile has a socket")
			}
			return greeted(asks.door.dial, asks.door.token)(ctx, alpn)
		}
	}
}
