package main

import (
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/certs"
	"github.com/ntptsd/ntptsd/internal/certs/acme"
	"github.com/ntptsd/ntptsd/internal/clockstate"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/daemon"
	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/internal/ledger"
	"github.com/ntptsd/ntptsd/internal/neighbour"
	"github.com/ntptsd/ntptsd/internal/service/keyexchange"
	"github.com/ntptsd/ntptsd/internal/service/timeserver"
	"github.com/ntptsd/ntptsd/internal/sockets"
)

// controlGroup are those who may read all that is no secret over the control socket.
const controlGroup = "ntptsd"

// wire makes every part, hands each what it needs, and adds those that live. This is the one place that knows them all.
// load reads the configuration again; box is entered by whoever runs what comes back. heir tells that we take over from another one.
func wire(cfg *config.Config, set *sockets.Set, load func() (*config.Config, error), level *slog.LevelVar, box daemon.Service,
	heir bool, log *slog.Logger) (*wired, error) {
	tellTimeSockets(cfg, set.Time)
	d := daemon.New(log)
	s := &services{cfg: cfg, set: set, settings: newSettings(cfg, set, level, log), reloads: d, load: load,
		reload: func() error { return d.ReloadFrom(load) }, registry: prometheus.NewRegistry(), log: log}
	s.heir = &handover{services: s, path: filepath.Join(cfg.StateDirectory, handoverFile), heir: heir}
	if err := s.openServing(); err != nil {
		return nil, err
	}
	if err := s.openManaging(); err != nil {
		return nil, err
	}
	monitor, port, control, err := s.wire()
	if err != nil {
		return nil, err
	}
	for _, each := range []struct {
		name    string
		service daemon.Service
	}{ // whoever uses another one comes after it, and stops before it
		{"sandbox", box}, // first: what it refuses, others find unreadable
		{"settings", s.settings},
		{"hand-over", s.heir},
		{"neighbour", s.door},
		{"clock", s.clock},
		{"last good time", s.good},
		{"keyring", s.rings},
		{"challenges", s.challenges},
		{"certs", s.files},
		{"timeserver", s.timeServer},
		{"keyexchange", s.keyExchange},
		{"access", s.doorkeeper},
		{"audit", s.audit},
		{"ledger", s.ledger},
		{"monitoring", monitor},
		{"services port", port},
		{"management", control},
	} {
		d.Add(each.name, each.service)
		if c, ok := each.service.(prometheus.Collector); ok {
			s.registry.MustRegister(c)
		}
	}
	s.registry.MustRegister(d, buildInfo(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	logListening(set, log)
	return &wired{d, control, s.keyExchange, monitor, s.clock}, nil
}

// openServing opens what serves clients: the clock, keys and certificates, time and key exchange.
func (s *services) openServing() (err error) {
	s.door = neighbour.NewDoor(s.cfg, s.log)
	if s.clock, err = clockstate.New(s.cfg, s.door, s.log); err != nil {
		return err
	}
	s.good = clockstate.OpenLastGood(s.cfg.StateDirectory, built(), s.clock, s.log)
	// Keys and certificates are both read before either is complained about.
	var ringErr, filesErr error
	s.rings, ringErr = keyring.OpenAll(s.cfg, s.clock, readersBehind(s.door), s.log)
	s.challenges = acme.NewChallenges(s.set.Challenges.HTTP, s.set.Challenges.ALPN)
	s.files, filesErr = certs.Open(s.cfg, certs.Resources{Clock: s.clock, ACME: acmeIssuer(s.cfg, s.challenges, s.log)}, s.log)
	if err := errors.Join(ringErr, filesErr); err != nil {
		return err
	}
	if s.timeServer, err = timeserver.New(s.cfg, s.set.Time, cookieKeys(s.rings), s.clock, s.log); err != nil {
		return err
	}
	s.keyExchange, err = keyexchange.New(s.cfg, s.set.KeyExchange, s.rings, s.files, s.log)
	return err
}

// openManaging opens what says who may change what, and remembers what was changed.
func (s *services) openManaging() (err error) {
	if s.doorkeeper, err = access.Open(s.cfg); err != nil {
		return err
	}
	s.doorkeeper.UseClock(s.good)
	s.timeServer.UseBans(s.doorkeeper.Bans())
	s.keyExchange.UseBans(s.doorkeeper.Bans())
	if s.audit, err = openAudit(s.cfg, s.log); err != nil {
		return err
	}
	if s.ledger, err = ledger.New(s.cfg.StateDirectory, s.audit, s.audit.Recent(), s.log); err != nil {
		return err
	}
	return s.heir.take()
}

// acmeIssuer makes what gets certificates by ACME. The state directory is changed by a restart only.
func acmeIssuer(cfg *config.Config, challenges *acme.Challenges, log *slog.Logger) func(*config.ACMECerts) (certs.Issuer, error) {
	return func(c *config.ACMECerts) (certs.Issuer, error) {
		return acme.New(c, cfg.StateDirectory, version(), challenges, log)
	}
}

// loadFor loads a configuration for sockets that are open already.
func loadFor(path string, set *sockets.Set) (*config.Config, error) {
	cfg, err := load(path)
	if err == nil {
		tellTimeSockets(cfg, set.Time)
	}
	return cfg, err
}

// tellTimeSockets lets key exchange tell and probe our own time server where it really listens.
func tellTimeSockets[S interface{ LocalAddr() netip.AddrPort }](cfg *config.Config, listening []S) {
	var sockets []netip.AddrPort
	for _, s := range listening {
		sockets = append(sockets, s.LocalAddr())
	}
	cfg.TimeServedAt(sockets)
}

// cookieKeys are all rings: a target that stands for our own time server may name any, and another one after a reload.
func cookieKeys(rings *keyring.Rings) (keys []timeserver.Keys) {
	for _, r := range rings.All() {
		keys = append(keys, r)
	}
	return keys
}

func logListening(set *sockets.Set, log *slog.Logger) {
	const message = "listening"
	for _, l := range set.KeyExchange {
		log.Info(message, "section", "keyexchange", "address", l.Addr().String())
	}
	told := make(map[netip.AddrPort]bool) // the workers of an address share it
	for _, u := range set.Time {
		if a := u.LocalAddr(); !told[a] {
			told[a] = true
			log.Info(message, "section", "timeserver", "address", a)
		}
	}
	for _, l := range set.Monitoring {
		log.Info(message, "section", "monitoring", "address", l.Addr().String())
	}
	for _, l := range slices.Concat(set.Challenges.HTTP, set.Challenges.ALPN) {
		log.Info(message, "section", "certs", "address", l.Addr().String())
	}
	for _, l := range set.MonitoringPlain {
		log.Info(message, "section", "monitoring", "address", l.Addr().String(), "tls", "none")
	}
	if set.Control != nil {
		log.Info(message, "section", "management", "address", set.Control.Addr().String())
	}
}

func buildInfo() prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "ntptsd_build_info",
		Help:        "1; its label says what was built.",
		ConstLabels: prometheus.Labels{"version": version()},
	})
	g.Set(1)
	return g
}
