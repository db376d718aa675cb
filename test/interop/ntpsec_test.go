package interop

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/ntptsd/ntptsd/test/interop/peers"
)

// An ntpsec runs NTPsec's ntpd 1.2.2 in a host. It binds port 123 and, as a server, 4460, so it needs a host of its own.
type ntpsec struct {
	*process
	host *host
	tree *peers.Tree
}

// startNTPsec starts ntpd with the lines added to what every one of them has. It may not set the clock, and as a rule is
// told not to try: disable ntp.
func startNTPsec(h *host, lines ...string) *ntpsec {
	h.lab.t.Helper()
	return startNTPsecWith(h, append(lines, "disable ntp")...)
}

// startNTPsecClock starts an ntpd that follows a server, and says so to others, which it does not under disable ntp.
func startNTPsecClock(h *host, server string) *ntpsec {
	h.lab.t.Helper()
	return startNTPsecWith(h, "server "+server+" iburst minpoll 4 maxpoll 4")
}

func startNTPsecWith(h *host, lines ...string) *ntpsec {
	h.lab.t.Helper()
	n := &ntpsec{host: h, tree: tree(h.lab.t, peers.Bookworm())}
	lines = append(lines, "tos minclock 1 minsane 1", "restrict 127.0.0.1")
	file := h.lab.write(h.name+"-ntp.conf", strings.Join(lines, "\n")+"\n")
	n.process = h.start("ntpd", n.tree.Command("usr/sbin/ntpd", "-n", "-c", file))
	return n
}

// startNTPsecClient starts ntpd with one server, polled every second. More options of its line may follow the name.
func startNTPsecClient(h *host, a *authority, server string) *ntpsec {
	h.lab.t.Helper()
	return startNTPsec(h, "server "+server+" iburst minpoll 0 maxpoll 0", "nts ca "+a.root)
}

// startNTPsecServer starts ntpd with a key exchange of its own. Its source is nobody (orphan mode): under disable ntp it
// never selects the local clock driver.
func startNTPsecServer(h *host, p pair, keys string) *ntpsec {
	h.lab.t.Helper()
	return startNTPsec(h, "tos orphan 2 orphanwait 1", "nts enable", "nts cert "+p.cert, "nts key "+p.key, "nts cookie "+keys)
}

// ask gives what ntpq prints.
func (n *ntpsec) ask(args ...string) (string, error) {
	return n.host.run(n.tree.Python("usr/bin/ntpq", args...)...)
}

// selected tells whether the one source is the system peer, and gives what ntpq says of it.
func (n *ntpsec) selected() (string, error) {
	out, err := n.ask("-n", "-c", "rv &1", "-c", "ntsinfo", "127.0.0.1")
	if err == nil && !strings.Contains(out, "reach, sel_sys.peer") {
		err = fmt.Errorf("not selected:\n%s", out)
	}
	return out, err
}

// synchronised tells whether the one source is the system peer, authenticated, with a full stock of cookies, and every
// answer so far was good. (NTPsec does not tell a NAK from another error.)
func (n *ntpsec) synchronised() error {
	out, err := n.selected()
	if err == nil && !faultless.MatchString(out) {
		err = fmt.Errorf("not authenticated without a fault:\n%s", out)
	}
	return err
}

var faultless = regexp.MustCompile(`(?s)authenb, auth,.*ntscookies=8\n.*NTS client recvs w error: +0\n`)

// sessionAEAD is the AEAD number of the last key exchange, which only the log tells.
func (n *ntpsec) sessionAEAD() (string, error) {
	log, err := os.ReadFile(n.log)
	if err != nil {
		return "", err
	}
	found := regexp.MustCompile(`Got 8 cookies, length \d+, aead=(\d+)\.`).FindAllSubmatch(log, -1)
	if len(found) == 0 {
		return "", errors.New("no key exchange in the log")
	}
	return string(found[len(found)-1][1]), nil
}
