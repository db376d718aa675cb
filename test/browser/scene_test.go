package browser

import (
	"math"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// What the made-up host shows.

// wander is an offset that looks like one.
func wander(t time.Time) float64 {
	s := float64(t.Unix())
	return 18e-6*math.Sin(s/9000) + 9e-6*math.Sin(s/1700+1) + 1e-6*math.Sin(s*7.3)
}

func historyUntil(now time.Time) api.History {
	const step = 30 * time.Second
	h := api.History{StepSeconds: step.Seconds()}
	for t := now.Add(-24 * time.Hour).Truncate(step); t.Before(now); t = t.Add(step) {
		h.At = append(h.At, t.UTC())
		offset, bound := new(wander(t)), new(65e-6+25e-6*math.Abs(math.Sin(float64(t.Unix())/4000)))
		if ago := now.Sub(t); ago > 9*time.Hour && ago < 9*time.Hour+20*time.Minute {
			offset, bound = nil, nil
		}
		h.OffsetSeconds, h.ErrorBoundSeconds, h.FrequencyPPM = append(h.OffsetSeconds, offset), append(h.ErrorBoundSeconds, bound), append(h.FrequencyPPM, nil)
		daily := 1 + math.Sin(float64(t.Unix())/86400*2*math.Pi)
		h.Handshakes = append(h.Handshakes, uint64(200*daily))
		h.TimeRequests = append(h.TimeRequests, uint64(90000*(daily+0.3)))
	}
	return h
}

func someSample(now time.Time, n int) api.Sample {
	up := uint64(n)
	return api.Sample{
		At:      now.UTC(),
		Fit:     api.Fit{Fit: false, Reasons: []string{"this host drains: ntptsctl targets undrain this-host ends that"}},
		Status:  someStatus(now),
		Sources: someSources(now),
		Handshakes: api.Handshakes{Open: 3,
			Connections: []api.Count{{Name: "served", Count: 1254300 + 17*up}, {Name: "hello_timeout", Count: 4120 + up}, {Name: "handshake_failed", Count: 812},
				{Name: "rate_limited", Count: 90}, {Name: "no_alpn", Count: 2}, {Name: "gone", Count: 0}},
			Failures:  []api.Count{{Name: "protocol_version", Count: 700}, {Name: "no_common_group", Count: 112}},
			Responses: []api.Count{{Name: "AES-SIV-CMAC-256", Count: 1000000}, {Name: "AES-128-GCM-SIV", Count: 254300}},
			Groups:    []api.Count{{Name: "X25519MLKEM768", Count: 900000}, {Name: "X25519", Count: 354300}},
			Cookies:   10034400, MedianSeconds: new(0.031), NinetiethSeconds: new(0.084), NinetyNinthSeconds: new(0.41)},
		Cookies: api.Cookies{Ages: []api.Count{{Name: "next", Count: 0}, {Name: "current", Count: 812345}, {Name: "1", Count: 310201}, {Name: "2", Count: 90211},
			{Name: "older", Count: 30100}, {Name: "unknown", Count: 512}}},
		Certificates: []api.Certificate{
			{File: "/etc/ntptsd/server.pem", Names: []string{"time.example.net", "ntp1.example.net"}, Issuer: "Example CA", NotBefore: now.AddDate(0, 0, -20), NotAfter: now.AddDate(0, 0, 70), DaysLeft: 70.4},
			{File: "/etc/ntptsd/" + strings.Repeat("a-rather-long-folder-name/", 4) + "second.pem", Names: []string{"nts.example.org"}, Issuer: "Example CA", NotBefore: now.AddDate(0, 0, -68), NotAfter: now.AddDate(0, 0, 22), DaysLeft: 22.1},
			{File: "/etc/ntptsd/old.pem", Names: []string{"old.example.org"}, Issuer: "Example CA", NotBefore: now.AddDate(0, 0, -93), NotAfter: now.AddDate(0, 0, -3), DaysLeft: -2.6, Problem: "it expired: renew it"},
		},
	}
}

func someStatus(now time.Time) api.Status {
	probed := now.Add(-9 * time.Second)
	return api.Status{
		Version: "1.0.0", StartedAt: now.Add(-76 * time.Hour).UTC(),
		Clock: api.Tracking{Source: "chrony", Version: "4.6.1", Synchronised: true, Leap: api.LeapNone, Stratum: 2, ReferenceID: "192.0.2.17", ReferenceTime: new(now.Add(-40 * time.Second)),
			RootDelaySeconds: 0.00102, RootDispersionSeconds: 0.00021, ErrorBoundSeconds: 84e-6, OffsetSeconds: new(wander(now)), FrequencyPPM: new(-11.482 + 0.01*math.Sin(float64(now.UnixMilli())/4000)),
			ReadAt: now, AgeSeconds: 0.41},
		Neighbour: api.Neighbour{Name: "chrony", Via: "the socket /run/chrony/chronyd.sock", AgeSeconds: new(0.4)},
		Rings:     []api.Ring{someRing(now), {Name: "legacy", Dialect: "ntpsec", Owner: "neighbour", Keys: []api.Key{{ID: "0badcafe", State: "current", Created: now.Add(-30 * time.Hour), MintFrom: now.Add(-30 * time.Hour)}}, NeighbourFile: "/var/lib/ntp/nts-keys", Problem: "the file was not there: start ntpd"}},
		Targets: []api.Target{
			{ID: "this-host", Ring: "default", Weight: 3, Fit: true, Draining: true, Stratum: new(uint8(2)), RootDistanceSeconds: new(0.0007), OffsetSeconds: new(0.0), LastProbe: &probed, Served: 993004},
			{ID: "ntp2.example.net:4123", Ring: "default", Weight: 1, Fit: true, Stratum: new(uint8(2)), RootDistanceSeconds: new(0.0011), OffsetSeconds: new(-42e-6), LastProbe: &probed, Served: 261100},
			{ID: "ntp3.example.net", Ring: "legacy", Weight: 1, Reason: "it does not answer: <b>not markup</b>", LastProbe: &probed, Served: 196},
		},
		Problems: []string{"target this-host drains: no client is sent there while there is another", "certificate /etc/ntptsd/old.pem: it expired: renew it",
			"ring legacy: the file was not there: start ntpd"},
	}
}

// someRing has six keys a day apart, of which one is next.
func someRing(now time.Time) api.Ring {
	r := api.Ring{Name: "default", Dialect: "native", Owner: "ntptsd", RotateEverySeconds: 86400, NextRotation: new(now.Add(7 * time.Hour))}
	for i := -4; i <= 1; i++ {
		from := now.Add(time.Duration(i)*24*time.Hour - 17*time.Hour)
		state := map[int]string{0: api.KeyCurrent, 1: "next"}[i]
		if state == "" {
			state = "old"
		}
		r.Keys = append(r.Keys, api.Key{ID: strings.Repeat(string(rune('a'+i+4)), 2) + "41b7e0", Fingerprint: "f", AEAD: 15, State: state, Created: from.Add(-24 * time.Hour), MintFrom: from, AcceptUntil: from.Add(4 * 24 * time.Hour)})
	}
	return r
}

func someSources(now time.Time) []api.Source {
	source := func(name, selection string, reach uint8, offset float64, auth string) api.Source {
		return api.Source{Name: name, Address: "192.0.2.17", Kind: "server", Selection: selection, Stratum: 1, PollSeconds: 64, Reach: reach, LastRxSeconds: new(math.Mod(float64(now.Unix()), 64)),
			OffsetSeconds: new(offset), ErrorSeconds: new(31e-6), DelaySeconds: new(0.0013), Authentication: auth}
	}
	all := []api.Source{
		source("ntp1.example.net", "selected", 0o377, 12.4e-6, "nts"),
		source("ntp2.example.net", "combined", 0o357, -31e-6, "nts"),
		source("a-name-that-is-much-longer-than-anybody-would-like-it-to-be.timeservers.example.org", "selectable", 0o377, 1.2e-3, "symmetric"),
		source("198.51.100.9", "falseticker", 0o17, 0.4, "none"),
		source("2001:db8:1234:5678:9abc:def0:1234:5678", "unselectable", 0, 0, ""),
		{Name: "PPS", Kind: "refclock", Selection: "jittery", PollSeconds: 16, Reach: 0o377, LastRxSeconds: new(3.0), OffsetSeconds: new(-214e-9), ErrorSeconds: new(120e-9)},
	}
	all[4].LastRxSeconds, all[4].OffsetSeconds, all[4].ErrorSeconds, all[4].DelaySeconds = nil, nil, nil, nil
	return all
}

func someEvents(now time.Time) []api.Event {
	first := uint64(now.Add(-72 * time.Hour).UnixMilli())
	texts := []struct{ kind, severity, text string }{
		{api.EventStarted, api.Info, "ntptsd 1.0.0 started"},
		{api.EventCertificate, api.Info, "certificate /etc/ntptsd/server.pem was loaded, good until 2027-02-01"},
		{api.EventKey, api.Info, "ring default: key bb41b7e0 mints now, before it was aa41b7e0"},
		{api.EventLimiter, api.Warning, "key exchange by network: the limit refuses clients"},
		{api.EventLimiter, api.Info, "key exchange by network: the limit refuses nobody any more, after 1204"},
		{api.EventSource, api.Info, "the selected source is ntp1.example.net now, before it was ntp2.example.net"},
		{api.EventTarget, api.Warning, "target ntp3.example.net is not fit: it does not answer: <b>not markup</b>"},
		{api.EventRing, api.Warning, "ring legacy: the file was not there: start ntpd"},
		{api.EventFit, api.Warning, "this host is not fit to serve time: this host drains"},
	}
	var all []api.Event
	for i, e := range texts {
		all = append(all, api.Event{ID: first + uint64(i), At: now.Add(time.Duration(i-len(texts)) * 131 * time.Minute), Kind: e.kind, Severity: e.severity, Text: e.text})
	}
	return all
}

func someNetworks(now time.Time) api.Networks {
	n := api.Networks{Since: now.Add(-41 * time.Hour), Requests: 181004200, KeyExchanges: 1254300, NTSShare: new(0.0713), Known: 40211.4, New: 3120, Returning: 31000}
	for i, c := range []uint64{1, 2, 9, 40, 310, 2100, 30100, 9000, 4000, 2100, 900, 20, 3} {
		n.Intervals = append(n.Intervals, api.Count{Name: []string{"1", "2", "4", "8", "16", "32", "64", "128", "256", "512", "1024", "2048", "4096"}[i], Count: c})
	}
	network := func(prefix string, requests, nts, naks, limited, exchanges uint64, interval float64, rekeys bool) {
		n.Networks = append(n.Networks, api.Network{Prefix: prefix, Requests: requests, NTSRequests: nts, NAKs: naks, RateLimited: limited, KeyExchanges: exchanges,
			FirstSeen: n.Since, LastSeen: now.Add(-2 * time.Second), IntervalSeconds: &interval, RekeysEveryPoll: rekeys})
	}
	network("192.0.2.0/24", 9120033, 120000, 12, 411009, 3, 0.4, false)
	network("203.0.113.0/24", 512004, 511000, 510022, 0, 509900, 64, true)
	network("2001:db8:1234::/48", 312000, 312000, 0, 0, 41, 64, false)
	network("198.51.100.0/24", 90210, 0, 0, 0, 0, 1024, false)
	return n
}
