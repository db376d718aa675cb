package interop

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// staleTimeout is how long a daemon that went away may still count as synchronised, and some more for a busy machine.
const staleTimeout = 60 * time.Second

// A neighbour is a way to run a daemon that keeps the clock of ntptsd's host, and to ask it.
type neighbour struct {
	name, daemon string
	source       string
	clock        func(h *host) string // further lines of [clock]
	user         string               // ntptsd's, who may not use the command socket
	start        func(h *host, server string) *process
}

func neighbours() []neighbour {
	chronySocket := func(h *host) string { return fmt.Sprintf("chrony-socket = %q\n", h.chronySocket()) }
	run := func(c chrony, lines ...string) func(h *host, server string) *process {
		return func(h *host, server string) *process {
			lines := append([]string{"server " + server + " iburst minpoll 4 maxpoll 4", "allow all"}, lines...)
			return c.start(h, lines...).process
		}
	}
	nothing := func(*host) string { return "" }
	return []neighbour{
		{"chronyd 4.3", chrony43.String(), "chrony", chronySocket, "", run(chrony43)},
		{"chronyd 4.6.1", chrony461.String(), "chrony", chronySocket, "", run(chrony461)},
		{"chronyd 4.3 over UDP", chrony43.String(), "chrony", chronySocket, "nobody", run(chrony43, "cmdport 323")},
		{"chronyd 4.6.1 over UDP", chrony461.String(), "chrony", chronySocket, "nobody", run(chrony461, "cmdport 323")},
		{"NTPsec", ntpsec122, "ntpd", nothing, "", func(h *host, server string) *process { return startNTPsecClock(h, server).process }},
		{"classic ntpd", classic, "ntpd", nothing, "", func(h *host, server string) *process { return startClassic(h, server) }},
	}
}

// beside are the settings of an ntptsd that answers NTS on a port of its own, with the neighbour's clock.
func (n neighbour) beside(h *host, a *authority, source string) settings {
	s := settings{pair: a.issue("server", "server.test"), time: "[::]:10123", timeServer: "plain = false", user: n.user,
		clock: fmt.Sprintf("source = %q\nmin-root-dispersion = \"1us\"\n", source) + n.clock(h)}
	if n.user != "" {
		h.lab.allow(s)
	}
	return s
}

// allow lets nobody, as whom ntptsd runs, read its own files, and no more.
func (l *lab) allow(s settings) {
	l.t.Helper()
	give(l.t, nobody, s.pair.cert, s.pair.key, l.folder("server-state"), l.folder("server-run"))
	if err := os.Chmod(l.dir, 0o711); err != nil {
		l.t.Fatal(err)
	}
}

// plain asks a time server without authentication.
func (h *host) plain(to netip.Addr) (ntp.Header, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	conn, err := h.dial(ctx, "udp", netip.AddrPortFrom(to, 123))
	if err != nil {
		return ntp.Header{}, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	request := make([]byte, ntp.HeaderLen)
	rand.Read(request[40:]) // the transmit time stamp
	request[0] = 4<<3 | byte(ntp.ModeClient)
	if _, err := conn.Write(request); err != nil {
		return ntp.Header{}, err
	}
	answer := make([]byte, 1024)
	n, err := conn.Read(answer)
	if err != nil {
		return ntp.Header{}, err
	}
	head, err := ntp.ParseHeader(answer[:n])
	if err == nil && string(answer[24:32]) != string(request[40:]) {
		err = errors.New("an answer to another request")
	}
	return head, err
}

// following tells whether the time server answers as one whose clock follows another's.
func following(h ntp.Header, err error) error {
	if err == nil && (h.Leap == ntp.LeapUnknown || h.Stratum == 0 || h.Stratum > 15) {
		err = fmt.Errorf("not synchronised: %+v", h)
	}
	return err
}

// sameClock compares what ntptsd on the server says by NTS with what its neighbour there says, before and after.
func sameClock(t *testing.T, from, server *host, a *authority) error {
	t.Helper()
	before, err := from.plain(server.v4)
	if err != nil {
		return err
	}
	r, err := probe(t, from, a, "server.test")
	if err != nil {
		return err
	}
	after, err := from.plain(server.v4)
	if err != nil {
		return err
	}
	if before.ReferenceTime != after.ReferenceTime {
		return errors.New("the neighbour updated its clock meanwhile")
	}
	const (
		unit  = 1.0 / (1 << 16) // of the packet's fields
		slack = 3*unit + 1e-4   // ntpd tells microseconds in mode 6, and adds its precision in packets
	)
	got := r.Exchanges[0]
	least, most := before.RootDispersion.Duration().Seconds()-slack, after.RootDispersion.Duration().Seconds()+slack
	delay := before.RootDelay.Duration().Seconds()
	if got.Leap != uint8(before.Leap) || got.Stratum != before.Stratum || got.ReferenceID != before.ReferenceID.Text(before.Stratum) ||
		got.RootDelay < delay-slack || got.RootDelay > delay+slack || got.RootDispersion < least || got.RootDispersion > most {
		return fmt.Errorf("%+v, want what the neighbour says: %+v, root delay %v, dispersion %v to %v", got, before, delay, least, most)
	}
	return nil
}

// TestClockOfNeighbour lets ntptsd find out what keeps the clock.
func TestClockOfNeighbour(t *testing.T) {
	t.Parallel()
	for _, n := range neighbours() {
		t.Run(n.name, func(t *testing.T) {
			t.Parallel()
			covers(t, cell{n.daemon, asClock, steadily})
			l, hosts := newLab(t, "", "server", "above", "client")
			a := newAuthority(l)
			chrony461.start(hosts[1], "local stratum 3", "allow all")
			n.start(hosts[0], hosts[1].v4.String())
			eventually(t, syncTimeout, func() error { return following(hosts[2].plain(hosts[0].v4)) })
			startNtptsd(hosts[0], n.beside(hosts[0], a, "auto"))
			eventually(t, syncTimeout, func() error { return sameClock(t, hosts[2], hosts[0], a) })
		})
	}
}

// saysSynchronised tells whether ntptsd says by NTS that its clock is synchronised, or that it is not.
func saysSynchronised(t *testing.T, from *host, a *authority, want bool) func() error {
	return func() error {
		r, err := probe(t, from, a, "server.test")
		if err == nil && (r.Exchanges[0].Synchronised != want || (r.Exchanges[0].Leap == 3) == want) {
			err = fmt.Errorf("%+v: want synchronised %v", r.Exchanges[0], want)
		}
		return err
	}
}

// TestNeighbourInterrupted starts ntptsd without its neighbour, then lets that one come, start anew, and hang.
func TestNeighbourInterrupted(t *testing.T) {
	t.Parallel()
	for _, n := range neighbours() {
		t.Run(n.name, func(t *testing.T) {
			t.Parallel()
			covers(t, cell{n.daemon, asClock, interrupted})
			l, hosts := newLab(t, "", "server", "above", "client")
			a := newAuthority(l)
			chrony461.start(hosts[1], "local stratum 3", "allow all")
			startNtptsd(hosts[0], n.beside(hosts[0], a, n.source))
			eventually(t, syncTimeout, saysSynchronised(t, hosts[2], a, false))

			daemon := n.start(hosts[0], hosts[1].v4.String())
			eventually(t, syncTimeout, saysSynchronised(t, hosts[2], a, true))
			daemon.restart()
			eventually(t, syncTimeout, saysSynchronised(t, hosts[2], a, false)) // it begins without a clock
			eventually(t, syncTimeout, saysSynchronised(t, hosts[2], a, true))
			daemon.hang()
			eventually(t, staleTimeout, saysSynchronised(t, hosts[2], a, false))
			daemon.goOn()
			eventually(t, syncTimeout, saysSynchronised(t, hosts[2], a, true))
			eventually(t, syncTimeout, func() error { return sameClock(t, hosts[2], hosts[0], a) })
		})
	}
}

// TestNTSServerForClassicNTPD is what an operator of classic ntpd gets: clients are told our port in the key exchange, and
// what they follow is ntpd's clock.
func TestNTSServerForClassicNTPD(t *testing.T) {
	t.Parallel()
	covers(t, cell{classic, asClock, steadily})
	l, hosts := newLab(t, "", "server", "above", "chrony", "ntpsec")
	a := newAuthority(l)
	chrony461.start(hosts[1], "local stratum 3", "allow all")
	startClassic(hosts[0], hosts[1].v4.String())
	server := startNtptsd(hosts[0], settings{pair: a.issue("server", "server.test"), time: "[::]:10123", timeServer: "plain = false",
		clock: "source = \"ntpd\""})
	c := chrony461.client(hosts[2], a, "server.test nts", 0)
	n := startNTPsecClient(hosts[3], a, "server.test nts")
	eventually(t, syncTimeout, c.synchronised)
	eventually(t, syncTimeout, n.synchronised)
	rows, err := c.ask("tracking")
	if err != nil || rows[0][2] != "5" {
		t.Errorf("%q, %v: want stratum 5, below ntpd's 4", rows, err)
	}
	if all, nts := server.counted(requests, ""), server.counted(requests, `"nts"`); all != nts {
		t.Errorf("%v requests, %v with NTS", all, nts)
	}
}

// TestPort123OfChrony gives ntptsd the port that chronyd does not want (port 0): plain clients and those with NTS get chronyd's
// clock there.
func TestPort123OfChrony(t *testing.T) {
	t.Parallel()
	covers(t, cell{chrony461.String(), asClock, steadily})
	l, hosts := newLab(t, "", "server", "above", "chrony", "plain")
	a := newAuthority(l)
	chrony461.start(hosts[1], "local stratum 3", "allow all")
	chrony461.start(hosts[0], "server "+hosts[1].v4.String()+" iburst minpoll 4 maxpoll 4", "allow all", "port 0")
	startNtptsd(hosts[0], settings{pair: a.issue("server", "server.test"), clock: "source = \"chrony\"\n" + neighbours()[0].clock(hosts[0])})
	client := chrony461.client(hosts[2], a, "server.test nts", 0)
	eventually(t, syncTimeout, client.synchronised)
	h, err := hosts[3].plain(hosts[0].v4)
	if err = following(h, err); err != nil || h.Stratum != 4 {
		t.Errorf("%+v, %v: want stratum 4, as chronyd's own", h, err)
	}
}
