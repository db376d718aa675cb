package main

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"
)

// insideName is what ntptsctl calls itself with to be ntpq in a network of its own.
const insideName = "inside-namespace"

// startChronyc lets chronyc ask a port of ours.
func startChronyc(path string, args []string, s stdio) (*running, error) {
	for _, a := range args {
		if strings.HasPrefix(a, "-h") || strings.HasPrefix(a, "-p") {
			return nil, fmt.Errorf("chronyc %s would leave the tunnel: HOST is whom it asks", a)
		}
	}
	local, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	port := fmt.Sprint(local.LocalAddr().(*net.UDPAddr).Port)
	return s.start(local, exec.Command(path, append([]string{"-h", "127.0.0.1", "-p", port}, args...)...))
}

// ntpPort is the only one that ntpq asks.
const ntpPort = 123

func ntpqOptions(c *cobra.Command) starter {
	address := c.Flags().String("loopback", "", "run ntpq as it is, against this spare loopback `ADDRESS`, whose port 123 root may bind")
	return func(path string, args []string, s stdio) (*running, error) {
		if *address == "" {
			return startInside(path, args, s)
		}
		a, err := netip.ParseAddr(*address)
		if err != nil || !a.IsLoopback() || !a.Is4() {
			return nil, fmt.Errorf("--loopback %s: an address such as 127.0.0.2", *address)
		}
		local, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, ntpPort)))
		if err != nil {
			return nil, fmt.Errorf("--loopback %s: %w: it takes root, and an address whose port %d nobody else has", a, err, ntpPort)
		}
		return s.start(local, exec.Command(path, ntpqArguments(args, a.String())...))
	}
}

// ntpqArguments has ntpq ask that address, without DNS, of which there may be none.
func ntpqArguments(args []string, address string) []string {
	return append(append([]string{"-n"}, args...), address)
}

// start starts a program that shares this network with others.
func (s stdio) start(local net.PacketConn, cmd *exec.Cmd) (*running, error) {
	if err := s.attach(cmd).Start(); err != nil {
		_ = local.Close()
		return nil, err
	}
	return &running{cmd, local, ownSockets(cmd.Process.Pid)}, nil
}
