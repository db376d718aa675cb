package interop

import (
	"strings"

	"github.com/ntptsd/ntptsd/test/interop/peers"
)

const (
	classic   = "ntpd 4.2.8p15"
	ntpsec122 = "NTPsec 1.2.2"
)

// startClassic starts classic ntpd, which follows a server. It answers mode 6 on its own host alone.
func startClassic(h *host, server string, lines ...string) *process {
	h.lab.t.Helper()
	tree := tree(h.lab.t, peers.Bullseye())
	lines = append(lines, "server "+server+" iburst minpoll 4 maxpoll 4", "restrict default noquery", "restrict 127.0.0.1")
	file := h.lab.write(h.name+"-ntp.conf", strings.Join(lines, "\n")+"\n")
	return h.start("ntpd", tree.Command("usr/sbin/ntpd", "-n", "-c", file))
}
