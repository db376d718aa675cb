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

// tunnels dials the host that a tunnel names, or, if it names none, that of the flags and the profile, which say how to log in.
func (f *flags) tunnels(root *cobra.Command) func(host string) dialer {
	return func(host string) dialer {
		return func(ctx context.Context, alpn string) (net.Conn, error) {
			if host != "" && f.given("host") {
				return nil, fmt.Errorf("--host says where the tunnel leads to: write -- in the place of HOST, or before %.80q if that is not one", host)
			}
			chosen := func() (client, error) { return f.client(root) }
			if host != "" {
				chosen = func() (client, error) { return f.at(root, host) }
			}
			asks, err := chosen()
			switch {
			case err != nil:
				return nil, err
			case asks.door.remote():
				return greeted(asks.door.String(), asks.door.dial, asks.door.token)(ctx, alpn)
			case host == "":
				return nil, errors.New("a tunnel leads to a HOST, and neither --host nor a profile says which")
			}
			return nil, errors.New("a tunnel leads to a host: this profile has a socket")
		}
	}
}
