//go:build !linux

package main

import (
	"errors"
	"net/netip"

	"github.com/spf13/cobra"
)

var errForbidden = errors.New("ntpq asks port 123 and no other, and only Linux lets it have a network of its own: as root, give it a spare " +
	"loopback address, once it is there (tunnel ntpq --loopback 127.0.0.2 HOST); or use the console of ntptsd, which knows " +
	"ntpq's words: openssl s_client -quiet -crlf -connect HOST:4461")

func startInside(string, []string, stdio) (*running, error) { return nil, errForbidden }

// insideCommand has nothing to do here.
func insideCommand() *cobra.Command { return &cobra.Command{Use: insideName, Hidden: true} }

// ownSockets takes the first that asks for the program's, and no other.
func ownSockets(int) func(netip.AddrPort) bool {
	first := true
	return func(netip.AddrPort) bool {
		defer func() { first = false }()
		return first
	}
}
