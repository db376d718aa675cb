package main

import (
	"errors"
	"log/slog"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/certs"
	"github.com/ntptsd/ntptsd/internal/clockstate"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/daemon"
	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/internal/neighbour"
	"github.com/ntptsd/ntptsd/internal/service/keyexchange"
	"github.com/ntptsd/ntptsd/internal/service/timeserver"
	"github.com/ntptsd/ntptsd/internal/sockets"
)

// controlGroup are those who may read all that is no secret over the control socket.
const controlGroup = "ntptsd"

// wire makes every part, hands each what it needs, and adds those that live. This is the one place that knows them all.
// load reads the configuration again.
func wire(cfg *config.Config, set *sockets.Set, load func() (*config.Config, error), level *slog.LevelVar, log *slog.Logger) (*daemon.Daemon, error) {
	tellTimeSockets(cfg, set.Time)
	door := neighbour.NewDoor(cfg, log)
	clock, err := clockstate.New(cfg, door, log)
	if err != nil {
		return nil, err
	}
	// Keys and certificates are both read before either is complained about.
	rings, ringErr := keyring.OpenAll(cfg, clock, readersBehind(door), log)
	files, filesErr := certs.OpenFiles(certs.Pairs(cfg), log, certs.ServicesPairs(cfg)...)
	if err := errors.Join(ringErr, filesErr); err != nil {
		return nil, err
	}
	timeServer, err := timeserver.New(cfg, set.Time, cookieKeys(rings), clock, log)
	if err != nil {
		return nil, err
	}
	keyExchange, err := keyexchange.New(cfg, set.KeyExchange, rings, files, log)
	if err != nil {
		return nil, err
	}
	doorkeeper, err := access.New(cfg)
	if err != nil {
		return nil, err
	}
	d := daemon.New(log)
	registry := prometheus.NewRegistry()
	s := &services{cfg: cfg, set: set, clock: clock, door: door, rings: rings, files: files, timeServer: timeServer, keyExchange: keyExchange,
		doorkeeper: doorkeeper, reloads: d, reload: func() error { return d.ReloadFrom(load) }, registry: registry, log: log}
	monitor, port, control, err := s.wire()
	if err != nil {
		return nil, err
	}
	for _, s := range []struct {
		name    string
		service daemon.Service
	}{ // whoever uses another one comes after it, and stops before it
		{"settings", newSettings(cfg, set, level, log)},
		{"neighbour", door},
		{"clock", clock},
		{"keyring", rings},
		{"certs", files},
		{"timeserver", timeServer},
		{"keyexchange", keyExchange},
		{"access", doorkeeper},
		{"monitoring", monitor},
		{"services port", port},
		{"management", control},
	} {
		d.Add(s.name, s.service)
		if c, ok := s.service.(prometheus.Collector); ok {
			registry.MustRegister(c)
		}
	}
	registry.MustRegister(d, buildInfo(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	logListening(set, log)
	return d, nil
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
