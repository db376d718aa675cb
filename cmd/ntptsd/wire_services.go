package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/api/view"
	"github.com/ntptsd/ntptsd/internal/audit"
	"github.com/ntptsd/ntptsd/internal/certs"
	"github.com/ntptsd/ntptsd/internal/certs/acme"
	"github.com/ntptsd/ntptsd/internal/clockstate"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/frontdoor"
	"github.com/ntptsd/ntptsd/internal/frontdoor/carriage"
	"github.com/ntptsd/ntptsd/internal/frontdoor/console"
	"github.com/ntptsd/ntptsd/internal/journal"
	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/internal/ledger"
	"github.com/ntptsd/ntptsd/internal/neighbour"
	"github.com/ntptsd/ntptsd/internal/service/keyexchange"
	"github.com/ntptsd/ntptsd/internal/service/management"
	"github.com/ntptsd/ntptsd/internal/service/monitoring"
	"github.com/ntptsd/ntptsd/internal/service/timeserver"
	"github.com/ntptsd/ntptsd/internal/sockets"
	"github.com/ntptsd/ntptsd/internal/visitors"
	"github.com/ntptsd/ntptsd/internal/words/chronyc"
	"github.com/ntptsd/ntptsd/internal/words/ntpq"
	"github.com/ntptsd/ntptsd/web"
)

// Handshakes of one network on the services port: one in handshakeEvery in the long run, handshakeBurst at once.
const (
	handshakeEvery   = 100 * time.Millisecond
	handshakeBurst   = 1200 // as many dashboards as may stand behind one address come back at once after a restart
	handshakeEntries = 4096

	// HTTP requests of one network that show nothing that counts: health checks of many load balancers, and no flood.
	strangerEvery = 20 * time.Millisecond
	strangerBurst = 200
)

// services are the parts that monitoring and management are made of.
type services struct {
	cfg         *config.Config
	set         *sockets.Set
	settings    *settings
	clock       *clockstate.Clock
	good        *clockstate.LastGood
	door        *neighbour.Door
	rings       *keyring.Rings
	challenges  *acme.Challenges
	files       *certs.Files
	timeServer  *timeserver.Server
	keyExchange *keyexchange.Server
	doorkeeper  *access.Access
	ledger      *ledger.Ledger
	audit       *audit.Log
	heir        *handover
	reloads     monitoring.Reloads
	load        func() (*config.Config, error)
	reload      func() error
	registry    *prometheus.Registry
	log         *slog.Logger
}

// wire makes the two services, the services port and the control socket: all serve one table.
func (s *services) wire() (*monitoring.Service, *frontdoor.Port, *frontdoor.Server, error) {
	events := journal.New(time.Now())
	var port *frontdoor.Port // made last, since it serves the table
	monitor := monitoring.New(s.cfg, monitoring.Parts{
		Version: version(), Clock: s.clock, Neighbour: s.door, NTPQ: ntpq.New(s.door), Chronyc: chronyc.New(s.door), Rings: s.rings,
		KeyExchange: s.keyExchange, TimeServer: s.timeServer, Certificates: s.files, Reloads: s.reloads, Audit: s.audit.Problem,
		Networks: func(limit int) api.Networks {
			return visitors.Top(limit, s.timeServer.Visitors(), s.keyExchange.Visitors())
		},
		Draining: s.keyExchange.Draining,
		Limits: []monitoring.Limit{
			{Name: "key exchange", Count: s.keyExchange.Refused},
			{Name: "time server", Count: s.timeServer.RateLimited},
			{Name: "services port", Count: func() uint64 { return port.Refused() }},
		},
	}, events, s.log)
	table, err := api.NewTable(api.Commands(), slices.Concat(
		monitor.Bindings(),
		management.New(s.changes(events)).Bindings(),
	)...)
	if err != nil {
		return nil, nil, nil, err
	}
	s.ledger.Serve(table)
	s.ledger.Tell(events.Add)
	port = frontdoor.NewPort(s.port(table, monitor, events))
	control := frontdoor.NewControl(s.set.Control, frontdoor.Site{Metrics: s.registry, Table: table, Changes: s.ledger, Health: monitor, Stream: events},
		access.NewSocketPeers(controlGroup).Role, s.log)
	return monitor, port, control, nil
}

// changes are what commands change.
func (s *services) changes(events *journal.Journal) management.Parts {
	return management.Parts{
		Rings: s.rings, Targets: s.keyExchange, Logins: s.doorkeeper, Reload: s.reload, Pages: s.pages, Ledger: s.ledger, Audit: s.audit,
		Check: func() error {
			_, err := s.load()
			return err
		},
		Own: s.own(events), Neighbour: s.door, Stores: s.stores(),
	}
}

// refusedTunnel writes down who tried to change something through ntpq or chronyc.
func (s *services) refusedTunnel(who api.Caller, what string) {
	s.ledger.Refused(who, api.Declaration{Name: "tunnel " + what, Changes: true}, nil, api.How{},
		api.Failf(api.Denied, "what changes something does not pass a tunnel: there is a command for it"))
}

// servicesCertificates are those of the services port.
type servicesCertificates struct{ files *certs.Files }

func (c servicesCertificates) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.files.ForServices(hello)
}

func (s *services) port(table *api.Table, monitor *monitoring.Service, events *journal.Journal) frontdoor.Options {
	line := &console.Console{Commands: frontdoor.NewDesk(table, s.ledger, s.log), Words: monitor, Logins: s.doorkeeper, Stream: events, View: viewText}
	o := frontdoor.Options{
		TLS: s.set.Monitoring, Plain: s.set.MonitoringPlain, Names: s.files.ServicesNames, Doorkeeper: s.doorkeeper,
		Certificates: servicesCertificates{s.files}, Admits: s.doorkeeper.Admits,
		Allow:     access.NewLimiter(handshakeEvery, handshakeBurst, handshakeEntries).Allow,
		Strangers: access.NewLimiter(strangerEvery, strangerBurst, handshakeEntries).Allow,
		Table:     table, Changes: s.ledger, Metrics: s.registry, Health: monitor, Stream: events, Web: web.Handler(), Log: s.log,
		Line: line,
	}
	login := carriage.Options{Log: s.log, Still: s.doorkeeper.Still, Refused: s.refusedTunnel, Login: func(_ context.Context, conn net.Conn, token string) (api.Caller, error) {
		return s.doorkeeper.Token(addressOf(conn), token)
	}}
	mode6, cmdmon := carriage.Mode6(s.door.DialMode6, login), carriage.Cmdmon(s.door.DialCmdmon, login)
	s.registry.MustRegister(mode6, cmdmon, line)
	o.Mode6, o.Cmdmon = mode6, cmdmon
	if m := s.cfg.Monitoring; m != nil {
		o.HelloTimeout, o.Connections = time.Duration(m.HelloTimeout), m.MaxConnections
		o.Slots = access.NewSlots(m.MaxConnections, m.MaxConnectionsPerPrefix)
	}
	return o
}

// viewText is what the console shows people.
func viewText(command string, answer []byte, now time.Time) (string, error) {
	var text bytes.Buffer
	v, ok := view.All()[command]
	if !ok {
		return "", fmt.Errorf("there is no view of %q", command)
	}
	_, err := v.Show(&text, answer, now)
	return text.String(), err
}

func addressOf(conn net.Conn) netip.Addr {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr()
	}
	return netip.Addr{}
}

// maxPages bounds the addresses of the dashboard that are told.
const maxPages = 4

// pages are where a browser finds the dashboard: by the names of the certificate, or where those say nothing by the address.
func (s *services) pages() (all []string) {
	for _, l := range s.set.Monitoring {
		at := l.Addr().(*net.TCPAddr).AddrPort()
		for _, host := range hosts(at.Addr(), s.files.ServicesNames()) {
			page := fmt.Sprintf("https://%s/", net.JoinHostPort(host, strconv.Itoa(int(at.Port()))))
			if len(all) < maxPages && !slices.Contains(all, page) {
				all = append(all, page)
			}
		}
	}
	return all
}

// hosts are what an address is called by in a browser.
func hosts(at netip.Addr, names []string) []string {
	var all []string
	for _, n := range names {
		if local := n == "localhost"; !strings.HasPrefix(n, "*") && local == at.IsLoopback() {
			all = append(all, n)
		}
	}
	if len(all) == 0 && !at.IsUnspecified() {
		all = append(all, at.String())
	}
	return all
}
