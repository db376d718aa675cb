package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const neighboursPage = "../../docs/manual/ntptsd-neighbours.7"

// exampleFrom gives the literal block of a manual page that follows the comment `example NAME FILE`.
func exampleFrom(t *testing.T, page, name string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), ".\\\" example "+name+"\n.Bd -literal")
	_, after, begun := strings.Cut(after, "\n")
	block, _, ended := strings.Cut(after, ".Ed\n")
	if !found || !begun || !ended {
		t.Fatalf("%s has no example %q", page, name)
	}
	return strings.NewReplacer(`\(dq`, `"`, `\e`, `\`, `\&`, ``).Replace(block)
}

// A manual is what its examples are followed with: the places that they name become the lab's.
type manual struct {
	h     *host
	a     *authority
	place *strings.Replacer
	keys  string // a folder in the place of /var/lib/chrony and its like
}

func newManual(h *host, a *authority) manual {
	l := h.lab
	l.t.Helper()
	p, keys := a.issue("server", "server.test"), l.folder("keys")
	return manual{h, a, strings.NewReplacer("/etc/ntptsd/server.pem", p.cert, "/etc/ntptsd/server.key", p.key,
		"/etc/chrony/server.pem", p.cert, "/etc/chrony/server.key", p.key,
		"/etc/ntpsec/cert-chain.pem", p.cert, "/etc/ntpsec/key.pem", p.key,
		"/var/lib/chrony", keys, "/var/lib/ntpsec", keys, "/var/lib/ntpd-rs", keys,
		"/run/ntptsd/control.sock", filepath.Join(l.folder(h.name+"-run"), "control.sock"),
		"192.0.2.1", h.v4.String(), "192.0.2.2", "10.77.0.100"), keys}
}

func (m manual) example(name string) string {
	m.h.lab.t.Helper()
	return m.place.Replace(exampleFrom(m.h.lab.t, neighboursPage, name))
}

// lines are those of an example, for daemons that are started with more of them.
func (m manual) lines(name string) []string {
	m.h.lab.t.Helper()
	var lines []string
	for line := range strings.Lines(m.example(name)) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

// ntptsd starts it with the example as its configuration. The state and chronyd's socket are where the lab has them.
func (m manual) ntptsd(name string) *ntptsd {
	l := m.h.lab
	l.t.Helper()
	text := fmt.Sprintf("state-directory = %q\n", l.folder(m.h.name+"-state")) + m.example(name)
	if !strings.Contains(text, "[management]") {
		text += m.place.Replace("\n[management]\nsocket = \"/run/ntptsd/control.sock\"\n") // by which the lab sees that it runs
	}
	text = strings.Replace(text, "[clock]\n", fmt.Sprintf("[clock]\nchrony-socket = %q\n", m.h.chronySocket()), 1)
	d := &ntptsd{host: m.h, program: program(l.t, "ntptsd"), file: l.write(m.h.name+"-ntptsd.toml", text),
		socket: filepath.Join(l.folder(m.h.name+"-run"), "control.sock")}
	d.run()
	return d
}

// TestManual follows the examples of ntptsd-neighbours(7), each to a client that synchronises.
func TestManual(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		daemon func(m manual, above string)
		ntptsd string
		client string
	}{
		{"our port, classic ntpd", func(m manual, above string) {
			startClassic(m.h, above, m.lines("classic ntp.conf")...)
		}, "our-port ntptsd.toml", "server.test nts"},
		{"our port, chronyd", func(m manual, above string) {
			chrony461.start(m.h, "server "+above+" iburst minpoll 4 maxpoll 4")
		}, "our-port ntptsd.toml", "server.test nts"},
		{"our port, NTPsec", func(m manual, above string) {
			startNTPsecClock(m.h, above)
		}, "our-port ntptsd.toml", "server.test nts"},
		{"own address", func(m manual, above string) {
			startClassic(m.h, above, m.lines("own-address ntp.conf")...)
		}, "own-address ntptsd.toml", "10.77.0.100"},
		{"chrony keys", func(m manual, above string) {
			chrony43.start(m.h, append(m.lines("chrony-keys chrony.conf"), "server "+above+" iburst minpoll 4 maxpoll 4")...)
		}, "chrony-keys ntptsd.toml", "server.test nts"},
		{"NTPsec keys", func(m manual, above string) {
			startNTPsecWith(m.h, append(m.lines("ntpsec-keys ntp.conf"), "server "+above+" iburst minpoll 4 maxpoll 4")...)
			eventually(m.h.lab.t, commandTimeout, exists(filepath.Join(m.keys, "nts-keys")))
		}, "ntpsec-keys ntptsd.toml", "server.test nts ntsport 14460"},
		{"ntpd-rs keys", func(m manual, above string) {
			startNtpdrs(m.h, ntpdrsSource("server", above, m.a), m.example("ntpdrs-keys ntp.toml"))
			eventually(m.h.lab.t, commandTimeout, exists(filepath.Join(m.keys, "keys")))
		}, "ntpdrs-keys ntptsd.toml", "server.test nts"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, hosts := newLab(t, "", "server", "above", "client")
			l.ip("-n", hosts[0].ns, "addr", "add", "10.77.0.100/24", "dev", "eth0")
			a := newAuthority(l)
			chrony461.start(hosts[1], "local stratum 3", "allow all")
			m := newManual(hosts[0], a)
			above := hosts[1].v4.String()
			c.daemon(m, above)
			m.ntptsd(c.ntptsd)
			client := chrony461.client(hosts[2], a, c.client, 0)
			check := client.selected
			if strings.Contains(c.client, " nts") {
				check = client.synchronised
			}
			eventually(t, syncTimeout, check)
		})
	}
}
