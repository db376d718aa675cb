package interop

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/ntptsd/ntptsd/test/interop/peers"
)

const rust = "ntpd-rs 1.4.0"

// An ntpdrs runs ntpd-rs in a host.
type ntpdrs struct {
	*process
	host *host
	tree *peers.Tree
	file string
}

const ntpdrsConfiguration = `[observability]
log-level = "info"
ansi-colors = false
observation-path = %q

[synchronization]
minimum-agreeing-sources = 1

[source-defaults]
poll-interval-limits = { min = 0, max = 0 }
initial-poll-interval = 0

%s`

// startNtpdrs starts ntp-daemon with tables added to what every one of them has. It sets a clock that is not there.
func startNtpdrs(h *host, tables ...string) *ntpdrs {
	t := h.lab.t
	t.Helper()
	n := &ntpdrs{host: h, tree: tree(t, peers.Trixie())}
	observe := filepath.Join(h.lab.folder(h.name+"-ntpdrs"), "observe")
	n.file = h.lab.write(h.name+"-ntp.toml", fmt.Sprintf(ntpdrsConfiguration, observe, strings.Join(tables, "\n")))
	n.process = h.start("ntp-daemon", n.tree.Command("usr/bin/ntp-daemon", "-c", n.file), steady(t)...)
	return n
}

// ntpdrsSource is a source: server, or nts with the lab's authority.
func ntpdrsSource(mode, name string, a *authority) string {
	source := fmt.Sprintf("[[source]]\nmode = %q\naddress = %q\n", mode, name)
	if mode == "nts" {
		source += fmt.Sprintf("certificate-authority = %q\n", a.root)
	}
	return source
}

// ntpdrsServer is a time server with its keys in a file.
func ntpdrsServer(keys string, rotateSeconds int) string {
	return fmt.Sprintf("[[server]]\nlisten = \"[::]:123\"\n\n[keyset]\nkey-storage-path = %q\nkey-rotation-interval = %d\n",
		keys, rotateSeconds)
}

// ntpdrsKeyExchange is ntpd-rs's own.
func ntpdrsKeyExchange(p pair) string {
	return fmt.Sprintf("[[nts-ke-server]]\nlisten = \"[::]:4460\"\ncertificate-chain-path = %q\nprivate-key-path = %q\n", p.cert, p.key)
}

// synchronised tells whether the one source has given time, by NTS, and has a full stock of cookies.
func (n *ntpdrs) synchronised() error {
	out, err := n.host.run(n.tree.Command("usr/bin/ntp-ctl", "status", "-c", n.file)...)
	if err == nil && !(strings.Contains(out, "[NTS]") && strings.Contains(out, "missing polls: 0") &&
		strings.Contains(out, "NTS cookies: 8/8 available") && !strings.Contains(out, "Stratum: 16")) {
		err = fmt.Errorf("not authenticated without a fault:\n%s", out)
	}
	return err
}
