// Package sockets opens every socket that ntptsd serves on, or inherits it: sockets handed over as sd_listen_fds(3)
// describes take the place of what the section's configuration would open, from systemd and from an older ntptsd alike.
// It also reads and writes datagrams in batches with kernel receive timestamps. What is said on a socket is left to the
// services; outgoing connections are nobody's here.
package sockets

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/durable"
)

// Set is every socket of the daemon. Whoever serves on one closes it; Close is for what was never served.
type Set struct {
	KeyExchange []net.Listener
	Time        []*UDP       // workers of one address stand side by side
	Control     net.Listener // nil: no control socket
	// Monitoring are those of the services port with TLS, MonitoringPlain those without.
	Monitoring, MonitoringPlain []net.Listener
	Challenges                  Challenges

	monitoring  *config.Monitoring // what the sockets were opened for
	controlPath string
	controlMade bool // not of a socket unit

	units map[string]bool // the names whose sockets belong to a socket unit
	gate  *gate           // opens when they are ours alone; nil: they are
}

// Open inherits or opens what cfg names, all or nothing.
func Open(cfg *config.Config) (*Set, error) {
	inherited, err := inherit()
	if err != nil {
		return nil, err
	}
	s, err := open(cfg, inherited)
	if err != nil {
		s.Close()
		inherited.close()
		return nil, err
	}
	return s, nil
}

func open(cfg *config.Config, from *inheritance) (*Set, error) {
	s := &Set{gate: from.gate}
	var failures []error
	if c := cfg.KeyExchange; c != nil {
		failures = append(failures, s.openKeyExchange(c, from))
	}
	if c := cfg.TimeServer; c != nil {
		failures = append(failures, s.openTime(c, from))
	}
	if c := cfg.Monitoring; c != nil {
		s.monitoring = c
		failures = append(failures, s.openMonitoring(c, from))
	}
	if c := cfg.Management; c != nil && c.Socket != "" {
		s.controlPath = c.Socket
		failures = append(failures, s.openControl(cfg, from))
	}
	failures = append(failures, s.openChallenges(acmeShown(cfg), from))
	from.closeMade()
	failures = append(failures, from.unused())
	s.units = from.units
	s.guard()
	return s, errors.Join(failures...)
}

func (s *Set) openKeyExchange(c *config.KeyExchange, from *inheritance) (err error) {
	s.KeyExchange, err = openTCP(nameKeyExchange, c.Listen, from, deferralOf(c.HelloTimeout))
	return err
}

// openMonitoring opens plain addresses itself, always: systemd's sockets are for the network. Who says nothing there waits
// for a greeting, so these are not deferred.
func (s *Set) openMonitoring(c *config.Monitoring, from *inheritance) error {
	var err, plainErr error
	s.Monitoring, err = openTCP(nameMonitoring, c.Listen, from, deferralOf(c.HelloTimeout))
	for _, addr := range c.PlainListen {
		l, err := takeOrListen(namePlain, addr, c.PlainListen, from, 0)
		if err != nil {
			plainErr = errors.Join(plainErr, fmt.Errorf("monitoring.plain-listen: %w", explain(addr.String(), err)))
			continue
		}
		s.MonitoringPlain = append(s.MonitoringPlain, l)
	}
	return errors.Join(err, plainErr)
}

// openTCP takes what a socket unit has for the section of that name, or else opens the addresses.
func openTCP(section string, listen []netip.AddrPort, from *inheritance, deferral time.Duration) ([]net.Listener, error) {
	if inherited := from.takeTCP(section, listen); len(inherited) > 0 {
		for _, l := range inherited {
			if err := deferAccept(l.(*net.TCPListener), deferral); err != nil {
				return inherited, fmt.Errorf("%s: inherited socket %v: %w", section, l.Addr(), err)
			}
		}
		return inherited, nil
	}
	var opened []net.Listener
	for _, addr := range listen {
		l, err := takeOrListen(section, addr, listen, from, deferral)
		if err != nil {
			return opened, fmt.Errorf("%s.listen: %w", section, explain(addr.String(), err))
		}
		opened = append(opened, l)
	}
	return opened, nil
}

// takeOrListen takes what an older ntptsd opened for addr, one of all, or opens it.
func takeOrListen(name string, addr netip.AddrPort, all []netip.AddrPort, from *inheritance, deferral time.Duration) (net.Listener, error) {
	family := familyOf(addr, all)
	l := from.takeMade(name, addr, family)
	if l == nil {
		return listenTCP(addr, family, deferral)
	}
	if deferral > 0 {
		if err := deferAccept(l, deferral); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

func (s *Set) openTime(c *config.TimeServer, from *inheritance) error {
	if conns := from.takeUDP(); len(conns) > 0 {
		return s.adoptTime(conns)
	}
	for _, addr := range c.Listen {
		if conns := from.takeMadeUDP(addr, familyOf(addr, c.Listen)); len(conns) > 0 {
			if err := s.adoptTime(conns); err != nil {
				return err
			}
			continue
		}
		opened, err := listenUDP(addr, familyOf(addr, c.Listen), c)
		s.Time = append(s.Time, opened...)
		if err != nil {
			return fmt.Errorf("timeserver.listen: %w", explain(addr.String(), err))
		}
	}
	return nil
}

func (s *Set) adoptTime(conns []*net.UDPConn) error {
	for i, conn := range conns {
		u, err := newUDP(conn)
		if err != nil {
			for _, rest := range conns[i+1:] {
				rest.Close()
			}
			return fmt.Errorf("timeserver: inherited socket %v: %w", conn.LocalAddr(), err)
		}
		s.Time = append(s.Time, u)
	}
	return nil
}

func (s *Set) openControl(cfg *config.Config, from *inheritance) (err error) {
	if s.Control = from.takeUnix(); s.Control != nil {
		return nil
	}
	if l := from.takeMadeUnix(cfg.Management.Socket); l != nil {
		s.Control, s.controlMade = l, true
		return nil
	}
	if s.Control, err = listenControl(cfg.Management.Socket); err != nil {
		return fmt.Errorf("management.socket: %w", explain(cfg.Management.Socket, err))
	}
	s.controlMade = true
	return nil
}

// GiveControl makes whom the daemon becomes the owner of the control socket; one that was inherited keeps its own.
func (s *Set) GiveControl(uid, gid int) error {
	if !s.controlMade {
		return nil
	}
	return durable.ChownSocket(s.controlPath, uid, gid)
}

// Close closes everything.
func (s *Set) Close() error {
	var failures []error
	for _, l := range slices.Concat(s.KeyExchange, s.Monitoring, s.MonitoringPlain, s.Challenges.all()) {
		failures = append(failures, l.Close())
	}
	for _, u := range s.Time {
		failures = append(failures, u.Close())
	}
	if s.Control != nil {
		failures = append(failures, s.Control.Close())
	}
	return errors.Join(failures...)
}

// Prepare refuses another control socket, and other addresses of the services port: which addresses of key exchange and time
// changed is told by the services that use them.
func (s *Set) Prepare(cfg *config.Config) (commit func(), err error) {
	var path string
	if cfg.Management != nil {
		path = cfg.Management.Socket
	}
	var refusals []error
	if path != s.controlPath {
		refusals = append(refusals, fmt.Errorf("management.socket changed from %q to %q: restart ntptsd to change it", s.controlPath, path))
	}
	refusals = append(refusals, monitoringChanges(s.monitoring, cfg.Monitoring)...)
	refusals = append(refusals, s.Challenges.changes(acmeShown(cfg))...)
	if err := errors.Join(refusals...); err != nil {
		return nil, err
	}
	return func() {}, nil
}

// monitoringChanges are what the open sockets of the services port cannot follow.
func monitoringChanges(was, is *config.Monitoring) (refusals []error) {
	if was == nil || is == nil {
		if was != is {
			refusals = append(refusals, errors.New("the section [monitoring] came or went: restart ntptsd to open or close the services port"))
		}
		return refusals
	}
	for _, k := range []struct {
		key      string
		old, new any
	}{
		{"listen", was.Listen, is.Listen},
		{"plain-listen", was.PlainListen, is.PlainListen},
		{"hello-timeout", was.HelloTimeout, is.HelloTimeout},
		{"max-connections", was.MaxConnections, is.MaxConnections},
		{"max-connections-per-prefix", was.MaxConnectionsPerPrefix, is.MaxConnectionsPerPrefix},
	} {
		if fmt.Sprint(k.old) != fmt.Sprint(k.new) {
			refusals = append(refusals, fmt.Errorf("monitoring.%s changed from %v to %v: restart ntptsd to change it", k.key, k.old, k.new))
		}
	}
	return refusals
}
