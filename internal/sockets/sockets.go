// Package sockets opens every socket that ntptsd serves on, or inherits it: sockets handed over as sd_listen_fds(3)
// describes take the place of what the section's configuration would open, from systemd and from an older ntptsd alike.
// It also reads and writes datagrams in batches with kernel receive timestamps. What is said on a socket is left to the
// services; outgoing connections are nobody's here.
package sockets

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/ntptsd/ntptsd/internal/config"
)

// Set is every socket of the daemon. Whoever serves on one closes it; Close is for what was never served.
type Set struct {
	KeyExchange []net.Listener
	Time        []*UDP       // workers of one address stand side by side
	Control     net.Listener // nil: no control socket

	controlPath string
	controlMade bool // by us: not inherited
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
	s := &Set{}
	var failures []error
	if c := cfg.KeyExchange; c != nil {
		failures = append(failures, s.openKeyExchange(c, from))
	}
	if c := cfg.TimeServer; c != nil {
		failures = append(failures, s.openTime(c, from))
	}
	if c := cfg.Management; c != nil && c.Socket != "" {
		s.controlPath = c.Socket
		failures = append(failures, s.openControl(cfg, from))
	}
	failures = append(failures, from.unused())
	return s, errors.Join(failures...)
}

func (s *Set) openKeyExchange(c *config.KeyExchange, from *inheritance) (err error) {
	deferral := deferralOf(c)
	if s.KeyExchange = from.takeTCP(c.Listen); len(s.KeyExchange) > 0 {
		for _, l := range s.KeyExchange {
			if err := deferAccept(l.(*net.TCPListener), deferral); err != nil {
				return fmt.Errorf("keyexchange: inherited socket %v: %w", l.Addr(), err)
			}
		}
		return nil
	}
	for _, addr := range c.Listen {
		l, err := listenTCP(addr, familyOf(addr, c.Listen), deferral)
		if err != nil {
			return fmt.Errorf("keyexchange.listen: %w", explain(addr.String(), err))
		}
		s.KeyExchange = append(s.KeyExchange, l)
	}
	return nil
}

func (s *Set) openTime(c *config.TimeServer, from *inheritance) error {
	if conns := from.takeUDP(); len(conns) > 0 {
		for _, conn := range conns {
			u, err := newUDP(conn)
			if err != nil {
				return fmt.Errorf("timeserver: inherited socket %v: %w", conn.LocalAddr(), err)
			}
			s.Time = append(s.Time, u)
		}
		return nil
	}
	for _, addr := range c.Listen {
		opened, err := listenUDP(addr, familyOf(addr, c.Listen), c)
		s.Time = append(s.Time, opened...)
		if err != nil {
			return fmt.Errorf("timeserver.listen: %w", explain(addr.String(), err))
		}
	}
	return nil
}

func (s *Set) openControl(cfg *config.Config, from *inheritance) (err error) {
	if s.Control = from.takeUnix(); s.Control != nil {
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
	return os.Lchown(s.controlPath, uid, gid)
}

// Close closes everything.
func (s *Set) Close() error {
	var failures []error
	for _, l := range s.KeyExchange {
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

// Prepare refuses another control socket: which addresses changed is told by the services that use them.
func (s *Set) Prepare(cfg *config.Config) (commit func(), err error) {
	var path string
	if cfg.Management != nil {
		path = cfg.Management.Socket
	}
	if path != s.controlPath {
		return nil, fmt.Errorf("management.socket changed from %q to %q: restart ntptsd to change it", s.controlPath, path)
	}
	return func() {}, nil
}
