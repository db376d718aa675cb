package interop

import (
	"context"
	"encoding/csv"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ntptsd/ntptsd/test/interop/peers"
)

// A chrony is one version of chronyd and its chronyc.
type chrony struct {
	version string
	release peers.Release
}

func (c chrony) String() string { return "chronyd " + c.version }

var (
	chrony43  = chrony{"4.3", peers.Bookworm()}
	chrony461 = chrony{"4.6.1", peers.Trixie()}
)

// trees are opened once: the second case to need one finds it.
var trees sync.Map

func tree(t *testing.T, r peers.Release) *peers.Tree {
	t.Helper()
	open, _ := trees.LoadOrStore(r.Name, sync.OnceValues(func() (*peers.Tree, error) {
		dir, err := peers.Dir()
		if err != nil {
			return nil, err
		}
		return peers.Fetch(context.Background(), dir, r)
	}))
	tree, err := open.(func() (*peers.Tree, error))()
	if err != nil {
		lacking(t, "no peer: %v", err)
	}
	return tree
}

// A chronyd runs in a host and is asked through its own socket.
type chronyd struct {
	*process
	host   *host
	tree   *peers.Tree
	socket string
}

// start starts chronyd with the lines added to what every one of them has. It never touches the clock: -x.
func (c chrony) start(h *host, lines ...string) *chronyd {
	h.lab.t.Helper()
	return c.startAs("root", h, lines...)
}

// startAs is start for a chronyd that becomes that user.
func (c chrony) startAs(user string, h *host, lines ...string) *chronyd {
	h.lab.t.Helper()
	d := &chronyd{host: h, tree: tree(h.lab.t, c.release), socket: h.chronySocket()}
	lines = append([]string{"cmdport 0", "bindcmdaddress " + d.socket, "pidfile " + d.socket + ".pid"}, lines...)
	file := h.lab.write(h.name+"-chrony.conf", strings.Join(lines, "\n")+"\n")
	d.process = h.start("chronyd", d.tree.Command("usr/sbin/chronyd", "-x", "-d", "-u", user, "-f", file))
	eventually(h.lab.t, commandTimeout, exists(d.socket))
	return d
}

// chronySocket is where the host's chronyd has its command socket, be it there yet or not.
func (h *host) chronySocket() string {
	h.lab.t.Helper()
	return filepath.Join(h.lab.folder(h.name+"-chrony"), "chronyd.sock")
}

// client starts chronyd with one server, polled 2^poll seconds apart.
func (c chrony) client(h *host, a *authority, server string, poll int) *chronyd {
	h.lab.t.Helper()
	return c.start(h, fmt.Sprintf("server %s iburst minpoll %d maxpoll %d", server, poll, poll),
		"ntstrustedcerts "+a.root, "nosystemcert")
}

// server starts chronyd as a time server with a certificate for its own key exchange.
func (c chrony) server(h *host, p pair, lines ...string) *chronyd {
	h.lab.t.Helper()
	return c.start(h, append(lines, "local stratum 1", "allow all", "ntsservercert "+p.cert, "ntsserverkey "+p.key)...)
}

// ask gives the rows of a chronyc report.
func (d *chronyd) ask(args ...string) ([][]string, error) {
	out, err := d.host.run(d.tree.Command("usr/bin/chronyc", append([]string{"-c", "-n", "-h", d.socket}, args...)...)...)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(strings.NewReader(out))
	r.FieldsPerRecord = -1
	return r.ReadAll()
}

// tell lets chronyd do something.
func (d *chronyd) tell(args ...string) {
	d.t.Helper()
	if _, err := d.ask(args...); err != nil {
		d.t.Fatal(err)
	}
}

// Columns of chronyc -c ntpdata. Later versions have more, but at the end.
const (
	receivedColumn = 31 // answers
	validColumn    = 32 // those of them that were authentic and belonged to a request
)

// received gives how many answers came, and how many of them were authentic and belonged to a request.
func (d *chronyd) received() (all, valid int, err error) {
	rows, err := d.ask("ntpdata")
	if err != nil {
		return 0, 0, err
	}
	if len(rows) != 1 || len(rows[0]) <= validColumn {
		return 0, 0, fmt.Errorf("ntpdata: %q", rows)
	}
	all, err = strconv.Atoi(rows[0][receivedColumn])
	if err == nil {
		valid, err = strconv.Atoi(rows[0][validColumn])
	}
	return all, valid, err
}

// authData is a row of chronyc authdata.
type authData struct {
	mode, keyID, algorithm, keyLength, attempts, naks, cookies, cookieLength string
}

func (d *chronyd) authData() (authData, error) {
	rows, err := d.ask("authdata")
	if err != nil {
		return authData{}, err
	}
	if len(rows) != 1 || len(rows[0]) != 10 {
		return authData{}, fmt.Errorf("authdata: %q", rows)
	}
	r := rows[0]
	return authData{r[1], r[2], r[3], r[4], r[6], r[7], r[8], r[9]}, nil
}

// selected tells whether the one source is selected.
func (d *chronyd) selected() error {
	rows, err := d.ask("sources")
	if err == nil && (len(rows) != 1 || len(rows[0]) < 3 || rows[0][1] != "*") {
		err = fmt.Errorf("not selected: %q", rows)
	}
	return err
}

// synchronised tells whether the one source is selected, by authenticated answers alone, with a full stock of cookies and
// no NAK.
func (d *chronyd) synchronised() error {
	if err := d.selected(); err != nil {
		return err
	}
	a, err := d.authData()
	if err == nil && (a.mode != "NTS" || a.cookies != "8" || a.naks != "0") {
		err = fmt.Errorf("not authenticated without a fault: %+v", a)
	}
	return err
}
