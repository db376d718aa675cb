package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/test/interop/peers"
)

// monitored is an ntptsd with a services port for all, and an operator and a monitor who have certificates.
type monitored struct {
	*ntptsd
	lab             *lab
	client          *host
	root            string
	monitor, admins pair
}

const servicesPort = 4461

// startMonitored starts it on the first host; from the second one it is asked.
func startMonitored(l *lab, hosts []*host, clock string) *monitored {
	l.t.Helper()
	a := newAuthority(l)
	m := &monitored{lab: l, client: hosts[1], root: a.root, monitor: a.issue("monitor", "monitor.test"), admins: a.issue("admin", "admin.test")}
	m.ntptsd = startNtptsd(hosts[0], settings{pair: a.issue("server", "server.test", "localhost"), time: "[::]:10123", clock: clock,
		more: fmt.Sprintf(`[monitoring]
listen = ["[::]:%d"]

[access]
client-ca = %q

[access.certificate.monitor]
san  = "monitor.test"
role = "monitor"

[access.certificate.admin]
san  = "admin.test"
role = "admin"
`, servicesPort, a.root)})
	return m
}

// synchronised tells whether it knows the clock of its neighbour to be.
func (m *monitored) synchronised() error {
	out, err := m.ctl("tracking", "--json")
	if err == nil && !strings.Contains(out, `"synchronised": true`) {
		err = fmt.Errorf("not synchronised:\n%s", out)
	}
	return err
}

// console sends lines by openssl s_client, as a person would, and gives what comes back.
func (m *monitored) console(as pair, lines ...string) string {
	m.lab.t.Helper()
	script := m.lab.write("lines", strings.Join(append(lines, "quit"), "\n")+"\n")
	out, err := m.client.run("sh", "-c", fmt.Sprintf("openssl s_client -quiet -crlf -verify_return_error -CAfile %s -cert %s -key %s -connect server.test:%d <%s 2>/dev/null",
		m.root, as.cert, as.key, servicesPort, script))
	if err != nil {
		m.lab.t.Fatalf("openssl s_client: %v", err)
	}
	return strings.ReplaceAll(out, "\r\n", "\n")
}

// block is the data of an answer of several lines.
func block(t *testing.T, transcript, command string) string {
	t.Helper()
	_, rest, found := strings.Cut(transcript, "200-"+command+"\n")
	data, _, ended := strings.Cut(rest, "\n.\n")
	if !found || !ended {
		t.Fatalf("no answer to %s in\n%s", command, transcript)
	}
	return data + "\n"
}

var (
	figures = regexp.MustCompile(`[+-]?\b[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?(ns|us|ms|s|m|h|d)?\b|(^|\s)-(\s|$)`) // or what stands for none
	blanks  = regexp.MustCompile(`[ \t]+`)
)

// shape is a text without what moves from second to second.
func shape(text string) string {
	return strings.TrimSpace(blanks.ReplaceAllString(figures.ReplaceAllString(text, "#"), " "))
}

// shapeAttempts is how often two ways are asked for the same: a daemon that begins to follow a source changes its marks meanwhile.
const shapeAttempts = 5

// sameShape compares what two ways tell of one daemon, line by line, asked one after the other.
func sameShape(t *testing.T, what string, got, want func() (string, error)) {
	t.Helper()
	var texts [2]string
	for range shapeAttempts {
		for i, ask := range []func() (string, error){got, want} {
			var err error
			if texts[i], err = ask(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if shape(texts[0]) == shape(texts[1]) {
			return
		}
	}
	t.Errorf("%s: got\n%s\nwant, but for the figures,\n%s", what, texts[0], texts[1])
}

// tool puts an unmodified program of a tree under its name into a folder for PATH.
func (l *lab) tool(name string, line []string) {
	l.t.Helper()
	quoted := make([]string, len(line))
	for i, word := range line {
		quoted[i] = "'" + word + "'"
	}
	path := filepath.Join(l.folder("tools"), name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec "+strings.Join(quoted, " ")+" \"$@\"\n"), 0o755); err != nil {
		l.t.Fatal(err)
	}
}

// tunnel runs the tool through ntptsctl tunnel, from the other host.
func (m *monitored) tunnel(as pair, tool string, args ...string) (string, error) {
	m.lab.t.Helper()
	line := append([]string{"env", "PATH=" + m.lab.folder("tools") + ":/usr/bin:/bin", program(m.lab.t, "ntptsctl"), "--ca", m.root,
		"--cert", as.cert, "--key", as.key, "tunnel", tool, "server.test"}, args...)
	return m.client.run(line...)
}

// TestChronyFromAfar asks a chronyd from another host, in each way that there is, and gets what chronyc gets next to it.
func TestChronyFromAfar(t *testing.T) {
	t.Parallel()
	for _, c := range []chrony{chrony43, chrony461} {
		t.Run(c.version, func(t *testing.T) {
			t.Parallel()
			l, hosts := newLab(t, "", "server", "client", "source")
			c.start(hosts[2], "local stratum 1", "allow all")
			d := c.start(hosts[0], "server source.test iburst minpoll 4 maxpoll 4", "allow all")
			m := startMonitored(l, hosts, "source = \"chrony\"\nchrony-socket = \""+d.socket+"\"")
			l.tool("chronyc", d.tree.Command("usr/bin/chronyc"))
			eventually(t, syncTimeout, m.synchronised)

			words := []string{"tracking", "sources", "sourcestats", "ntpdata", "authdata", "activity", "selectdata", "serverstats"}
			for _, word := range words {
				want := func() (string, error) {
					return hosts[0].run(d.tree.Command("usr/bin/chronyc", "-n", "-h", d.socket, word)...)
				}
				sameShape(t, "console "+word, func() (string, error) { return block(t, m.console(m.monitor, word), word), nil }, want)
				sameShape(t, "tunnel "+word, func() (string, error) { return m.tunnel(m.monitor, "chronyc", "-n", word) }, want)
			}
			if out, _ := m.tunnel(m.monitor, "chronyc", "burst", "1/1"); !strings.Contains(out, "501 Not authorised") {
				t.Errorf("a monitor may change something: %s", out)
			}
			if out := m.console(m.monitor, "peers", "json tracking"); !strings.Contains(out, "10.77.0.3") || !strings.Contains(out, `"source":"chrony"`) {
				t.Errorf("neutral words:\n%s", out)
			}
			if out := m.console(m.monitor, "rv"); !strings.Contains(out, "\n505 rv is a word of ntpd") {
				t.Errorf("a word of another daemon:\n%s", out)
			}
		})
	}
}

// TestNtpdFromAfar is the same for NTPsec and for classic ntpd, each with its own ntpq.
func TestNtpdFromAfar(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		start func(h *host)
		ntpq  func(t *testing.T, args ...string) []string
	}{
		{ntpsec122, func(h *host) { startNTPsecClock(h, "source.test") },
			func(t *testing.T, args ...string) []string {
				return tree(t, peers.Bookworm()).Python("usr/bin/ntpq", args...)
			}},
		{classic, func(h *host) { startClassic(h, "source.test") },
			func(t *testing.T, args ...string) []string {
				return tree(t, peers.Bullseye()).Command("usr/bin/ntpq", args...)
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, hosts := newLab(t, "", "server", "client", "source")
			chrony43.start(hosts[2], "local stratum 1", "allow all")
			c.start(hosts[0])
			m := startMonitored(l, hosts, "source = \"ntpd\"")
			l.tool("ntpq", c.ntpq(t))
			eventually(t, syncTimeout, m.synchronised)

			words := []string{"peers", "associations", "rv 0 leap,stratum,refid", "rv &1 srcadr,stratum,leap,hmode", "sysstats", "iostats", "monstats", "mrulist"}
			for _, word := range words {
				name, _, _ := strings.Cut(word, " ")
				ofConsole := func() (string, error) { return block(t, m.console(m.monitor, word), name), nil }
				ofTunnel := func() (string, error) { return m.tunnel(m.monitor, "ntpq", "-c", word) }
				for way, ask := range map[string]func() (string, error){"console ": ofConsole, "tunnel ": ofTunnel} {
					if name != "mrulist" {
						sameShape(t, way+word, ask, func() (string, error) { return hosts[0].run(c.ntpq(t, "-n", "-c", word, "127.0.0.1")...) })
					} else if got, err := ask(); err != nil || !strings.Contains(got, "10.77.0.3") { // it shows who asked for it, and when
						t.Errorf("%s%s: %v\n%s", way, word, err, got)
					}
				}
			}
			if out := m.console(m.monitor, "tracking", "sources"); !strings.Contains(out, "Stratum         : 2") || !strings.Contains(out, "^* 10.77.0.3") {
				t.Errorf("neutral words:\n%s", out)
			}
		})
	}
}

// TestStrangersLearnHealth asks without certificate and token, from another host.
func TestStrangersLearnHealth(t *testing.T) {
	t.Parallel()
	l, hosts := newLab(t, "", "server", "client")
	m := startMonitored(l, hosts, "")
	out, err := hosts[1].run("sh", "-c", fmt.Sprintf("printf 'peers\\njson status\\nhelp\\n' | openssl s_client -quiet -crlf -CAfile %s -connect server.test:%d 2>/dev/null; true", m.root, servicesPort))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "220 ") && !strings.HasPrefix(line, "530 ") && !strings.HasPrefix(line, "200 login") && !strings.HasPrefix(line, "421 ") {
			t.Errorf("a stranger is told %q", line)
		}
	}
	if !strings.Contains(out, "530 ") {
		t.Errorf("got %q", out)
	}
}
