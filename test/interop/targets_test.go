package interop

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
)

// sentTo tells whether ntptsctl probe is sent to the time server, and has its answer.
func sentTo(t *testing.T, from *host, a *authority, want ...*host) error {
	r, err := probe(t, from, a, "server.test")
	if err != nil {
		return err
	}
	for _, h := range want {
		if strings.HasPrefix(r.TimeServer, h.v4.String()+":") {
			return nil
		}
	}
	return fmt.Errorf("sent to %s", r.TimeServer)
}

// TestTwoTargets hands out two chronyds, each with keys of its own, and follows what becomes of them.
func TestTwoTargets(t *testing.T) {
	t.Parallel()
	covers(t, cell{chrony461.String(), ourKeys, interrupted}, cell{chrony43.String(), ourKeys, interrupted})
	l, hosts := newLab(t, "", "server", "one", "two", "client")
	a := newAuthority(l)
	one, two := hosts[1], hosts[2]
	var more, targets strings.Builder
	for _, h := range []*host{one, two} {
		fmt.Fprintf(&targets, "[[keyexchange.server]]\nname = %q\nring = %q\naeads = [15]\n", h.v4, h.name)
		fmt.Fprintf(&more, "[rings.%s]\ndialect = \"chrony\"\nneighbour-file = %q\nneighbour-socket = %q\nneighbour-server = \"%s:123\"\n",
			h.name, filepath.Join(l.folder(h.name+"-dump"), "ntskeys"), h.chronySocket(), h.v4)
	}
	server := startNtptsd(hosts[0], settings{pair: a.issue("server", "server.test"), noTime: true,
		keyExchange: "probe-every = \"1s\"\n" + targets.String(), more: more.String()})
	daemons := map[*host]*chronyd{}
	for h, c := range map[*host]chrony{one: chrony43, two: chrony461} {
		daemons[h] = c.server(h, a.issue(h.name, h.name+".test"), "ntsdumpdir "+l.folder(h.name+"-dump"), "ntsrotate 0")
	}
	eventually(t, syncTimeout, func() error { return server.fit(one, true, two, true) })

	first := one
	if err := sentTo(t, hosts[3], a, one); err != nil {
		first = two
	}
	other := map[*host]*host{one: two, two: one}[first]
	for range 5 {
		if err := sentTo(t, hosts[3], a, first); err != nil {
			t.Errorf("not the same server again: %v", err)
		}
	}
	if out, err := server.ctl("targets", "drain", first.v4.String()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, syncTimeout, func() error { return sentTo(t, hosts[3], a, other) })
	if out, err := server.ctl("targets", "undrain", first.v4.String()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, syncTimeout, func() error { return sentTo(t, hosts[3], a, first) })

	client := chrony43.client(hosts[3], a, "server.test nts", 0) // whose cookies last longer than it takes to see that a target is gone
	eventually(t, syncTimeout, client.synchronised)
	daemons[first].stop()
	eventually(t, syncTimeout, func() error { return server.fit(first, false, other, true) })
	eventually(t, syncTimeout, func() error { return sentTo(t, hosts[3], a, other) })
	eventually(t, syncTimeout, func() error { // once its cookies are used up it asks again
		rows, err := client.ask("authdata")
		if err == nil && (len(rows) != 1 || rows[0][0] != other.v4.String()) {
			err = fmt.Errorf("%q", rows)
		}
		return err
	})
	daemons[first].launch()
	eventually(t, syncTimeout, func() error { return server.fit(first, true, other, true) })
}

// fit tells whether the targets are fit, or not, as they should be.
func (d *ntptsd) fit(first *host, firstFit bool, second *host, secondFit bool) error {
	out, err := d.ctl("targets", "--json")
	if err != nil {
		return err
	}
	var answer struct{ Targets []api.Target }
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	got := map[string]bool{}
	for _, target := range answer.Targets {
		got[target.ID] = target.Fit
	}
	if want := map[string]bool{first.v4.String(): firstFit, second.v4.String(): secondFit}; !maps.Equal(got, want) {
		return fmt.Errorf("fit: %v, want %v: %s", got, want, out)
	}
	return nil
}
