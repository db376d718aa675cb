package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/neighbour"
)

// The usual ports, and those that init takes where another daemon claims them.
const (
	keyExchangePort, otherKeyExchangePort = 4460, 14460
	timePort, otherTimePort               = 123, 10123
)

// addRoot adds the flag that says where other time daemons are looked for.
func addRoot(c *cobra.Command, root *string) {
	c.Flags().StringVar(root, "root", "/", "look for the configurations of other time daemons below this `FOLDER`")
}

// lookAround settles clock and ports beside the time daemons that are installed. What cannot be read is as good as not
// there: check tells of it.
func (b *beginning) lookAround() {
	claims, source, _ := neighbour.Survey(b.Root)
	b.Source, b.KeyExchangePort, b.TimePort = source, keyExchangePort, timePort
	for _, c := range claims {
		b.Beside = append(b.Beside, c.String())
		switch {
		case c.Network == "tcp" && c.At.Port() == keyExchangePort:
			b.KeyExchangePort = otherKeyExchangePort
		case c.Network == "udp" && c.At.Port() == timePort:
			b.TimePort = otherTimePort
		}
	}
}

// checkBeside tells what of cfg another daemon on this machine claims.
func checkBeside(cfg *config.Config, root string) (warnings []string, wrong error) {
	claims, _, unread := neighbour.Survey(root)
	for _, err := range unread {
		warnings = append(warnings, err.Error())
	}
	return warnings, errors.Join(neighbour.Conflicts(cfg, claims)...)
}

// checkPorts tells which of the ports, as in tcp/4460, another daemon on this machine claims.
func checkPorts(ports []string, root string) error {
	var all []error
	claims, _, _ := neighbour.Survey(root)
	for _, p := range ports {
		network, number, _ := strings.Cut(p, "/")
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil || network != "tcp" && network != "udp" {
			all = append(all, fmt.Errorf("--port %s: write it as in tcp/4460 or udp/123", p))
		} else if c := neighbour.Taken(network, uint16(port), claims); c != nil {
			all = append(all, fmt.Errorf("%s: %v: leave our socket unit disabled, or free the port there", p, c))
		}
	}
	return errors.Join(all...)
}

// warnBeside is for a start: the operator may know better, as when the other daemon has a network of its own.
func warnBeside(cfg *config.Config) []string {
	warnings, wrong := checkBeside(cfg, "/")
	if wrong != nil {
		warnings = append(warnings, wrong.Error())
	}
	return warnings
}
