package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// far calls ntptsctl on another host, over TLS.
func (m *monitored) far(as pair, args ...string) (string, error) {
	m.lab.t.Helper()
	line := append([]string{program(m.lab.t, "ntptsctl"), "--host", "server.test", "--ca", m.root, "--cert", as.cert, "--key", as.key}, args...)
	return m.client.run(line...)
}

// does fails the case unless the command is done and its output has all of that.
func (m *monitored) does(words ...string) func(want ...string) string {
	m.lab.t.Helper()
	return func(want ...string) string {
		m.lab.t.Helper()
		out, err := m.far(m.admins, words...)
		if err != nil {
			m.lab.t.Errorf("%v: %v", words, err)
		}
		for _, w := range want {
			if !strings.Contains(out, w) {
				m.lab.t.Errorf("%v: no %q in\n%s", words, w, out)
			}
		}
		return out
	}
}

// A line is typed, and something that the answer must have.
type line struct{ typed, want string }

// types types lines on one console, and looks for what each is answered in turn. The answers are given, too.
func (m *monitored) types(as pair, lines ...line) string {
	m.lab.t.Helper()
	var typed []string
	for _, l := range lines {
		typed = append(typed, l.typed)
	}
	out := m.console(as, typed...)
	rest := out
	for _, l := range lines {
		_, after, found := strings.Cut(rest, l.want)
		if !found {
			m.lab.t.Errorf("%s: no %q in\n%s", l.typed, l.want, rest)
			continue
		}
		rest = after
	}
	return out
}

// source is how a source is followed.
func (m *monitored) source(name string) (kind string, there bool) {
	m.lab.t.Helper()
	out, err := m.ctl("sources", "--json")
	var list struct {
		Sources []struct{ Name, Address, Kind, Authentication string }
	}
	if err != nil || json.Unmarshal([]byte(out), &list) != nil {
		m.lab.t.Fatalf("sources: %v\n%s", err, out)
	}
	for _, s := range list.Sources {
		if s.Name == name || s.Address == name {
			return s.Kind + " " + s.Authentication, true
		}
	}
	return "", false
}

// allowStep lets the clock be stepped, by a second file of the configuration. No daemon here can: chronyd has -x.
func (l *lab) allowStep() {
	l.t.Helper()
	dir := l.folder("server-ntptsd.d")
	if err := os.WriteFile(filepath.Join(dir, "step.toml"), []byte("[management]\nallow-step = true\n"), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

var confirmed = regexp.MustCompile(`--token=(\S+)`)

// TestChronydIsChangedFromAfar changes a real chronyd from another host, and asks chronyd itself what became of it.
func TestChronydIsChangedFromAfar(t *testing.T) {
	t.Parallel()
	for _, c := range []chrony{chrony43, chrony461} {
		t.Run(c.version, func(t *testing.T) {
			t.Parallel()
			l, hosts := newLab(t, "", "server", "client", "source", "more")
			l.allowStep()
			d := c.start(hosts[0], "server source.test minpoll 4 maxpoll 4")
			m := startMonitored(l, hosts, "source = \"chrony\"\nchrony-socket = \""+d.socket+"\"")
			c.changeSources(m, d, hosts[3])
			c.changePolls(m, d)
			stepsByToken(m)
		})
	}
}

func (c chrony) changeSources(m *monitored, d *chronyd, more *host) {
	t := m.lab.t
	const plan = "would add source more.test (server iburst maxpoll 8 prefer) to chronyd"
	m.does("sources", "add", "more.test", "--iburst", "--prefer", "--maxpoll", "8", "--dry-run")(plan, "nothing was changed")
	if rows, err := d.ask("sources"); err != nil || len(rows) != 1 {
		t.Errorf("after a dry run chronyd follows %v, %v", rows, err)
	}
	m.does("sources", "add", "more.test", "--iburst", "--prefer", "--maxpoll", "8")("more.test", "not usable at once")
	eventually(t, commandTimeout, func() error {
		if rows, err := d.ask("sources"); err != nil || !strings.Contains(fmt.Sprint(rows), more.v4.String()) {
			return fmt.Errorf("chronyd follows %v, %v", rows, err)
		}
		return nil
	})
	m.types(m.admins,
		line{"neighbour", "server more.test iburst maxpoll 8 prefer"},
		line{"sources add more.test iburst prefer maxpoll=8", "more.test"}, // as it is
		line{"sources add more.test", "follows this already"},
		line{"sources add " + more.v6.String() + " nts port=11123", "nts"},
		line{"sources", more.v6.String()}, // chronyc's own word shows it at once, too
		line{"sources add pool.test pool maxsources=2", "pool.test"},
		line{"sources delete pool.test", "200-sources delete"},
		line{"sources delete " + more.v6.String(), "200-sources delete"},
		line{"sources delete more.test", "source.test"},
		line{"dry-run sources delete source.test", "not to be undone"},
		line{"sources delete nobody.test", "has no source nobody.test"},
		line{"sources offline nobody.test", "has no source nobody.test"},
		line{"sources add x;y", "must be a host name"},
		line{"sources add 10.0", "does not end in a number"},
	)
	if rows, err := d.ask("sources"); err != nil || len(rows) != 1 {
		t.Errorf("chronyd follows %v, %v", rows, err)
	}
	m.types(m.monitor, line{"sources add more.test", "needs the role"}, line{"neighbour step", "needs the role"}, line{"sources offline", "needs the role"})
}

func (c chrony) changePolls(m *monitored, d *chronyd) {
	t := m.lab.t
	online := func(want string) {
		t.Helper()
		if rows, err := d.ask("activity"); err != nil || len(rows) == 0 || strings.Join(rows[0][:2], " ") != want {
			t.Errorf("activity %v, want %s: %v", rows, want, err)
		}
	}
	m.types(m.admins, line{"dry-run sources offline source.test", "before: online\n  after:  offline"}, line{"sources offline source.test", "200-sources offline"})
	online("0 1")
	m.does("sources", "online")()
	online("1 0")
	m.types(m.admins,
		line{"sources burst source.test good=1", "200-sources burst"},
		line{"sources maxpoll source.test 9", "200-sources maxpoll"},
		line{"sources minpoll source.test 7", "200-sources minpoll"},
		line{"dry-run sources minpoll source.test 8", "before: 2m8s (2^7 s)"},
		line{"sources minpoll source.test 10", "minpoll 10 is beyond maxpoll, which is 9"},
		line{"sources refresh", "200-sources refresh"}, line{"sources reload", "200-sources reload"}, line{"neighbour rekey", "200-neighbour rekey"},
		line{"neighbour dump", "200-neighbour dump"}, line{"neighbour cyclelogs", "200-neighbour cyclelogs"},
	)
	eventually(t, commandTimeout, func() error {
		if rows, err := d.ask("sources"); err != nil || rows[0][4] != "7" {
			return fmt.Errorf("sources %v, want poll 7: %v", rows, err)
		}
		return nil
	})
}

// stepsByToken asks for a step, and confirms it. chronyd has no clock to step, and says that it failed.
func stepsByToken(m *monitored) {
	t := m.lab.t
	out := m.types(m.admins, line{"neighbour step", "nothing was done yet"}, line{"neighbour settime 2027-01-31T12:00:00Z", "nothing was done yet"})
	tokens := confirmed.FindAllStringSubmatch(out, -1)
	if len(tokens) != 2 {
		t.Fatalf("%d tokens in\n%s", len(tokens), out)
	}
	step, set := tokens[0][1], tokens[1][1]
	m.types(m.admins,
		line{"neighbour step guessed", "this token does not confirm it"},
		line{"neighbour step " + set, "this token does not confirm it"},
		line{"neighbour step " + step, "chronyd could not do it"},
		line{"neighbour step " + step, "this token does not confirm it"},
		line{"neighbour settime 2027-01-31T13:00:00Z " + set, "this token does not confirm it"},
		line{"neighbour settime 2027-01-31T12:00:00Z " + set, "not enabled in chrony.conf"},
	)
	if err := os.Remove(filepath.Join(m.lab.dir, "server-ntptsd.d", "step.toml")); err != nil {
		t.Fatal(err)
	}
	m.types(m.admins, line{"reload", "configuration reloaded"}, line{"neighbour step", "allow-step = true"})
}

// TestNtpdIsChangedFromAfar does so with NTPsec and with classic ntpd, by their control key.
func TestNtpdIsChangedFromAfar(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, keyType, secret string
		start                 func(h *host, lines ...string)
	}{
		{ntpsec122, "AES", "000102030405060708090a0b0c0d0e0f", func(h *host, lines ...string) {
			startNTPsecWith(h, append(lines, "server source.test minpoll 4 maxpoll 4")...)
		}},
		{classic, "SHA1", "classic-secret", func(h *host, lines ...string) { startClassic(h, "source.test", lines...) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, hosts := newLab(t, "", "server", "client", "source", "more")
			l.allowStep()
			keys := l.write("ntp.keys", fmt.Sprintf("# keys\n1 MD5 other\n10 %s %s\n", c.keyType, c.secret))
			c.start(hosts[0], "keys "+keys, "trustedkey 10", "controlkey 10")
			m := startMonitored(l, hosts, fmt.Sprintf("source = \"ntpd\"\nntpd-keys = %q\nntpd-control-key = 10", keys))
			changeNtpd(m, hosts[3], c.name == classic)
		})
	}
}

func changeNtpd(m *monitored, more *host, classic bool) {
	t := m.lab.t
	at := more.v4.String()
	eventually(t, commandTimeout, func() error {
		_, err := m.ctl("sources")
		return err
	})
	m.does("sources", "add", at, "--iburst", "--minpoll", "5", "--dry-run")("would add source 10.77.0.4 (server iburst minpoll 5)")
	if _, there := m.source(at); there {
		t.Error("a dry run adds")
	}
	m.types(m.admins,
		line{"sources add " + at + " iburst minpoll=5", at},
		line{"neighbour", "server 10.77.0.4 iburst minpoll 5"},
		line{"sources add " + at, "follows this already"},
		line{"sources delete " + at, "200-sources delete"},
		line{"sources add more.test", "200-sources add"},
	)
	name := "" // classic ntpd follows the address, and tells the name only later
	eventually(t, commandTimeout, func() error {
		for _, name = range []string{"more.test", at} {
			if _, there := m.source(name); there {
				return nil
			}
		}
		return fmt.Errorf("more.test is not followed")
	})
	m.does("sources", "delete", name)()
	for _, gone := range []string{"more.test", at} {
		if _, there := m.source(gone); there {
			t.Errorf("%s is still there", gone)
		}
	}
	lines := []line{{"sources add more.test peer", "has no peers"}, {"sources add " + at + " nts", at}}
	if classic {
		lines = []line{{"sources add more.test nts", "ntpd has no NTS"}, {"sources add " + at + " peer", at}}
	}
	m.types(m.admins, append(lines,
		line{"sources add 127.127.20.0", "is the address of a clock driver"},
		line{"sources delete nobody.test", "has no source nobody.test"},
		line{"sources offline", "cannot stop asking a source"},
		line{"sources burst", "in a burst"},
		line{"sources minpoll source.test 6", "change the poll interval"},
		line{"sources refresh", "resolve names"},
		line{"sources reload", "its sources again"},
		line{"neighbour rekey", "its keys again"},
		line{"neighbour dump", "into files"},
		line{"neighbour cyclelogs", "log files"},
		line{"neighbour step", "cannot correct the clock"},
	)...)
	m.lab.write("ntp.keys", "10 MD5 wrong\n")
	m.types(m.admins, line{"sources delete " + at, "controlkey"})
}
