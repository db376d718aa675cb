package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newcomer makes a CA by ntptsd init, starts ntptsd as the user of a chronyd that has given up root, and lets alice in by a
// certificate that is made on the server.
func newcomer(l *lab, hosts []*host, d *chronyd) *monitored {
	t := l.t
	t.Helper()
	dir := filepath.Join(l.dir, "server-etc") // init makes it
	state := l.folder("server-state")
	if out, err := hosts[0].run(program(t, "ntptsd"), "init", "--root", "none", "--user", "nobody", "--dir", dir, "--state-directory", state, "server.test"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m := &monitored{lab: l, client: hosts[1], root: filepath.Join(dir, "ca.pem")}
	m.ntptsd = startNtptsd(hosts[0], settings{pair: pair{cert: "authority"}, time: "[::]:10123", user: "nobody",
		clock: "source = \"chrony\"\nchrony-socket = \"" + d.socket + "\"",
		keyExchange: fmt.Sprintf("[certs.authority]\nnames = [\"server.test\"]\ncertificate = %q\nkey = %q",
			filepath.Join(dir, "server-ca.pem"), filepath.Join(dir, "server-ca.key")),
		more: fmt.Sprintf("[monitoring]\nlisten = [\"[::]:%d\"]\n\n[access]\nclient-ca = %q\n", servicesPort, m.root)})
	alice, err := m.ctl("access", "certificate", "alice", "admin", "--days", "30")
	if err != nil {
		t.Fatal(err)
	}
	file := l.write("alice.pem", alice)
	m.admins = pair{cert: file, key: file}
	return m
}

// record is a line of audit show --json, as far as it is looked at.
type record struct {
	Kind, Caller, Role, From, Command, Result, Before, After string
}

// audited are the records of one command, or of all, oldest first.
func (m *monitored) audited(command string) (all []record) {
	m.lab.t.Helper()
	out, err := m.far(m.admins, "--json", "audit", "show", "--limit", "1000")
	var list struct{ Records []record }
	if err != nil || json.Unmarshal([]byte(out), &list) != nil {
		m.lab.t.Fatalf("audit show: %v\n%s", err, out)
	}
	for _, r := range list.Records {
		if command == "" || r.Command == command {
			all = append(all, r)
		}
	}
	return all
}

// TestNewcomer is the way that README.md leads: a CA, a daemon, an operator; from another host, by name and over mutual TLS, a source for
// a running chronyd; the audit log; and a change that nobody confirms, which undoes itself.
func TestNewcomer(t *testing.T) {
	t.Parallel()
	l, hosts := newLab(t, "", "server", "client", "source", "more")
	give(t, nobody, l.folder("server-run"), l.folder("server-state"))
	if err := errors.Join(os.Chown(filepath.Dir(hosts[0].chronySocket()), nobody, nobody), os.Chmod(l.dir, 0o711), os.Chmod(l.names, 0o644)); err != nil {
		t.Fatal(err)
	}
	d := chrony461.startAs("nobody", hosts[0], "server source.test minpoll 4 maxpoll 4")
	m := newcomer(l, hosts, d)
	follows := func(want ...string) error {
		rows, err := d.ask("sources")
		if err != nil || len(rows) != len(want) {
			return fmt.Errorf("chronyd follows %v, want %v: %v", rows, want, err)
		}
		for i, row := range rows {
			if row[2] != want[i] {
				return fmt.Errorf("chronyd follows %v, want %v", rows, want)
			}
		}
		return nil
	}
	source, more := hosts[2].v4.String(), hosts[3].v4.String()
	m.does("whoami")("certificate alice", "admin")
	m.does("sources", "add", "more.test", "--iburst", "--dry-run")("would add source more.test (server iburst) to chronyd", "nothing was changed")
	if err := follows(source); err != nil {
		t.Errorf("after a dry run: %v", err)
	}
	m.does("sources", "add", "more.test", "--iburst")()
	eventually(t, commandTimeout, func() error { return follows(source, more) })
	m.does("sources")("more.test")

	from := hosts[1].v4.String()
	for i, r := range m.audited("sources add") {
		want := [][2]string{{"dry-run", "nothing"}, {"attempt", ""}, {"outcome", "done"}}
		if i >= len(want) || r.Kind != want[i][0] || r.Result != want[i][1] || r.Caller != "certificate alice" || r.Role != "admin" ||
			r.From != from && r.From != "fd77::2" {
			t.Errorf("record %d: %+v", i, r)
		}
	}
	if n := len(m.audited("sources add")); n != 3 {
		t.Errorf("%d records", n)
	}
	m.does("audit", "show", "--limit", "20")("certificate alice (admin)", "add source more.test (server iburst) to chronyd")

	m.undoesItself(d)
	if out, err := m.ctl("audit", "verify", filepath.Join(m.stateDirectory, "audit")); err != nil || !strings.HasPrefix(out, "right: ") {
		t.Errorf("audit verify: %v\n%s", err, out)
	}
	if _, err := m.ctl("access", "revoke", "alice"); err != nil {
		t.Error(err)
	}
	if out, err := m.far(m.admins, "whoami"); err == nil {
		t.Errorf("a revoked certificate counts:\n%s", out)
	}
}

// undoesItself lets chronyd stop asking a source, and says nothing more: chronyd asks it again. So it does after a crash.
func (m *monitored) undoesItself(d *chronyd) {
	t := m.lab.t
	offline := func(want string) error { // as two figures, since those in a burst are counted apart
		rows, err := d.ask("activity")
		if err == nil && (len(rows) != 1 || len(rows[0]) < 4 || want != rows[0][1]+rows[0][3] && want != rows[0][3]+rows[0][1]) {
			err = fmt.Errorf("activity of chronyd %v, want %s among those offline", rows, want)
		}
		return err
	}
	for _, crash := range []bool{false, true} {
		m.does("sources", "offline", "more.test", "--confirm-within", "10s")("unless it is confirmed: changes confirm ")
		m.does("changes")("sources offline")
		if err := offline("10"); err != nil {
			t.Error(err)
		}
		if crash {
			m.cmd.Process.Kill()
			<-m.done
			m.run()
		}
		eventually(t, commandTimeout, func() error { return offline("00") })
		eventually(t, commandTimeout, func() error {
			if out, err := m.far(m.admins, "changes"); err != nil || !strings.Contains(out, "no change waits") {
				return fmt.Errorf("changes: %v\n%s", err, out)
			}
			return nil
		})
	}
	kinds := make(map[string]int)
	for _, r := range m.audited("sources online") {
		if kinds[r.Kind]++; r.Caller != "ntptsd" {
			t.Errorf("undone by %+v", r)
		}
	}
	if kinds["undo"] != 2 || kinds["outcome"] != 2 {
		t.Errorf("records of undoing: %v", kinds)
	}
	// It is not undone when it is confirmed.
	out := m.does("--json", "sources", "offline", "more.test", "--confirm-within", "10s")()
	var o struct{ Change uint64 }
	if err := json.Unmarshal([]byte(out), &o); err != nil {
		t.Fatal(err)
	}
	m.does("changes", "confirm", fmt.Sprint(o.Change))("no change waits")
	m.does("sources", "online", "more.test")()
}

// TestChronydIsAway: while there is no chronyd nothing of it is changed, whoever asks is told what to do, and all of it is audited.
func TestChronydIsAway(t *testing.T) {
	t.Parallel()
	l, hosts := newLab(t, "", "server", "client", "source", "more")
	l.allowStep()
	d := chrony461.start(hosts[0], "server source.test minpoll 4 maxpoll 4")
	m := startMonitored(l, hosts, "source = \"chrony\"\nchrony-socket = \""+d.socket+"\"")
	m.does("sources")("source.test")
	d.stop()
	asked := 0
	for _, words := range []string{"sources add more.test", "sources delete source.test", "sources online", "sources offline source.test", "sources burst source.test",
		"sources minpoll source.test 6", "sources maxpoll source.test 9", "sources refresh", "sources reload", "neighbour rekey", "neighbour dump", "neighbour cyclelogs",
		"neighbour step", "neighbour settime 2027-01-31T12:00:00Z"} {
		for _, how := range [][]string{{"--dry-run"}, nil} {
			asked++
			out, err := m.far(m.admins, append(strings.Fields(words), how...)...)
			if err == nil || !strings.Contains(out, ": start it") {
				t.Errorf("%s %v: %v\n%s", words, how, err, out)
			}
		}
	}
	out, err := m.far(m.admins, "--json", "sources", "offline", "source.test", "--confirm-within", "10s")
	if asked++; err == nil || strings.Contains(out, "confirm_by") {
		t.Errorf("a change of nobody waits to be confirmed: %v\n%s", err, out)
	}
	m.does("changes")("no change waits")
	if n := m.counted("ntptsd_management_changes_total", `"unavailable"`); n != float64(asked) {
		t.Errorf("%v refusals are counted, want %d", n, asked)
	}
	told := 0 // the log takes twenty at once of one caller
	for _, r := range m.audited("") {
		if strings.HasPrefix(r.Command, "sources ") || strings.HasPrefix(r.Command, "neighbour ") {
			if told++; r.Kind != "refused" || r.Result != "unavailable" {
				t.Errorf("%+v", r)
			}
		}
	}
	if told < 20 {
		t.Errorf("%d of %d attempts are in the audit log", told, asked)
	}
	d.launch()
	eventually(t, commandTimeout, func() error {
		rows, err := d.ask("sources")
		if err == nil && (len(rows) != 1 || rows[0][2] != hosts[2].v4.String()) {
			err = fmt.Errorf("chronyd follows %v", rows)
		}
		return err
	})
	eventually(t, commandTimeout, func() error {
		_, err := m.far(m.admins, "sources", "offline", "source.test")
		return err
	})
}
