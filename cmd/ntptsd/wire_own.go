package main

import (
	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/journal"
	"github.com/ntptsd/ntptsd/internal/service/management"
)

// own is what commands change of ntptsd itself.
func (s *services) own(events *journal.Journal) management.Own {
	return management.Own{
		Log: s.settings, Events: events, Bans: s.doorkeeper.Bans(), Banned: s.banned, Revoker: s.rings, Opened: s.timeServer.Cookies,
		Config: func() management.Effective { return s.settings.running.Load() }, Certs: s.files, Doors: s.doorkeeper, Authority: clientAuthority{s.settings.running.Load}, Host: s.keyExchange, Listeners: []management.Listeners{s.keyExchange, s.timeServer, servicesListeners{s}},
	}
}

// banned counts what was refused because of bans.
func (s *services) banned() []api.Count {
	return []api.Count{
		{Name: "key exchange", Count: s.keyExchange.Banned()},
		{Name: "time server", Count: s.timeServer.Banned()},
		{Name: "services port", Count: s.doorkeeper.Bans().Refused()},
	}
}

// servicesListeners are the sockets that commands come in by: they are shown, and never drained.
type servicesListeners struct{ *services }

// Listeners implements management.Listeners.
func (s servicesListeners) Listeners() (all []api.Listener) {
	for _, l := range append(s.set.Monitoring[:len(s.set.Monitoring):len(s.set.Monitoring)], s.set.MonitoringPlain...) {
		all = append(all, api.Listener{Name: l.Addr().String() + "/tcp", Service: "monitoring", Transport: "tcp", Address: l.Addr().String()})
	}
	if c := s.set.Control; c != nil {
		all = append(all, api.Listener{Name: c.Addr().String(), Service: "management", Transport: "unix", Address: c.Addr().String()})
	}
	return all
}

// DrainListener implements management.Listeners.
func (servicesListeners) DrainListener(string, bool) bool { return false }
