// Package view shows the answers of commands to people: as text, the same in ntptsctl and on the console, and as JSON that is
// safe to look at. What a daemon says is hostile until it was cut to size and has nothing in it that a terminal acts on.
package view

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// View shows the answers of one command to people.
type View struct {
	Needs int // how many of the texts that the command takes must be given
	// Show writes an answer, which is JSON. bad tells that somebody should look after what it says.
	Show func(out *bytes.Buffer, answer []byte, now time.Time) (bad bool, err error)
}

// All has one for each command, by name.
func All() map[string]View {
	all := make(map[string]View)
	add(all, api.GetStatus, 0, showStatus)
	add(all, api.GetFit, 0, showFit)
	add(all, api.GetTracking, 0, showTracking)
	add(all, api.GetSources, 0, showSources)
	add(all, api.GetSource, 1, showSource)
	add(all, api.GetClients, 0, showClients)
	add(all, api.GetNetworks, 0, showNetworks)
	add(all, api.GetKeys, 0, showKeys)
	addChange(all, api.RotateKeys, 0, showKeys)
	add(all, api.GetCertificates, 0, showCertificates)
	add(all, api.GetHandshakes, 0, showHandshakes)
	add(all, api.GetCookies, 0, showCookies)
	add(all, api.GetTargets, 0, showTargets)
	addChange(all, api.DrainTarget, 1, showTargets)
	addChange(all, api.UndrainTarget, 1, showTargets)
	add(all, api.GetEvents, 0, showEvents)
	add(all, api.GetHistory, 0, showHistory)
	add(all, api.WhoAmI, 0, showIdentity)
	addChange(all, api.Login, 0, showLink)
	for _, c := range api.PlainWords() {
		add(all, c, 0, showNative)
	}
	add(all, api.GetVariables, 0, showNative)
	add(all, api.GetNTPData, 0, showNative)
	addChange(all, api.Reload, 0, func(out io.Writer, _ api.None, _ time.Time) { fmt.Fprintln(out, "configuration reloaded") })
	addNeighbour(all)
	addOwn(all)
	addChanges(all)
	return all
}

func add[A, R any](all map[string]View, c api.Command[A, R], needs int, write func(io.Writer, R, time.Time)) {
	all[c.Name] = View{needs, func(out *bytes.Buffer, answer []byte, now time.Time) (bool, error) {
		r, err := decode[R](answer)
		if err != nil {
			return false, err
		}
		write(out, r, now)
		switch r := any(r).(type) {
		case api.Status:
			return len(r.Problems) > 0, nil
		case api.Fit:
			return !r.Fit, nil
		}
		return false, nil
	}}
}

func showTracking(out io.Writer, t api.Tracking, now time.Time) {
	pairs(out,
		[2]string{"source", Word(t.Source)},
		[2]string{"version", Word(t.Version)},
		[2]string{"synchronised", yes(t.Synchronised)},
		[2]string{"smearing", yes(t.Smearing)},
		[2]string{"leap", Word(t.Leap)},
		[2]string{"stratum", count(t.Stratum)},
		[2]string{"reference id", Word(t.ReferenceID)},
		[2]string{"reference time", or(t.ReferenceTime, func(v time.Time) string { return Moment(v, now) })},
		[2]string{"offset", or(t.OffsetSeconds, Offset)},
		[2]string{"frequency", or(t.FrequencyPPM, func(v float64) string { return signed(decimal(v, 3)) + " ppm" })},
		[2]string{"correction", Offset(t.CorrectionSeconds)},
		[2]string{"root delay", Amount(t.RootDelaySeconds)},
		[2]string{"root dispersion", Amount(t.RootDispersionSeconds)},
		[2]string{"error bound", Amount(t.ErrorBoundSeconds)},
		[2]string{"read", read(t)},
	)
}

// read is when the clock was last read.
func read(t api.Tracking) string {
	if t.Source == "" {
		return "not yet"
	}
	return Span(t.AgeSeconds) + " ago"
}

func showSources(out io.Writer, s api.Sources, _ time.Time) {
	if len(s.Sources) == 0 {
		fmt.Fprintln(out, "the time daemon next door follows nothing")
		return
	}
	rows(out, "NAME ADDRESS KIND STATE STRATUM POLL REACH LAST OFFSET ERROR DELAY AUTH", s.Sources, func(s api.Source) []string {
		return []string{Word(s.Name), Word(s.Address), Word(s.Kind), Word(s.Selection), count(s.Stratum), interval(s.PollSeconds),
			fmt.Sprintf("%o", s.Reach), or(s.LastRxSeconds, Span), or(s.OffsetSeconds, Offset), or(s.ErrorSeconds, Amount),
			or(s.DelaySeconds, Amount), Word(s.Authentication)}
	})
}

func showClients(out io.Writer, c api.Clients, _ time.Time) {
	if len(c.Clients) == 0 {
		fmt.Fprintln(out, "the time daemon next door remembers no client")
		return
	}
	rows(out, "ADDRESS REQUESTS DROPPED KEYEXCHANGES INTERVAL LAST", c.Clients, func(c api.Client) []string {
		return []string{Word(c.Address), count(c.Requests), or(c.Dropped, count), or(c.KeyExchanges, count),
			or(c.IntervalSeconds, interval), or(c.LastSeconds, Span)}
	})
	switch {
	case c.More:
		fmt.Fprintf(out, "%d of more than %d clients that the time daemon remembers: its list is longer than what is read of it\n", len(c.Clients), c.Known)
	case len(c.Clients) < c.Known:
		fmt.Fprintf(out, "%d of the %d clients that the time daemon remembers; --limit shows more\n", len(c.Clients), c.Known)
	}
	if c.Next != "" {
		fmt.Fprintf(out, "those behind: clients %s\n", Word(c.Next))
	}
}

// interval is the time between two, which has its usual numbers: 64s, 1024s.
func interval(seconds float64) string {
	text := decimal(seconds, 2)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text + "s"
}

func showKeys(out io.Writer, k api.Keys, now time.Time) {
	if len(k.Rings) == 0 {
		fmt.Fprintln(out, "there is no ring: ntptsd neither hands out cookies nor opens any")
	}
	for i, r := range k.Rings[:min(len(k.Rings), maxRows)] {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "ring %s: dialect %s, owner %s, %s\n", Word(r.Name), Word(r.Dialect), Word(r.Owner), rotation(r, now))
		if r.NeighbourFile != "" {
			fmt.Fprintf(out, "file of the time daemon next door: %s\n", Sentence(r.NeighbourFile))
		}
		if r.Problem != "" {
			fmt.Fprintf(out, "problem: %s\n", Sentence(r.Problem))
		}
		if len(r.Keys) == 0 {
			fmt.Fprintln(out, "it has no keys")
			continue
		}
		rows(out, "STATE ID FINGERPRINT AEAD MADE MINTS ENDS", r.Keys, func(k api.Key) []string {
			return []string{Word(k.State), Word(k.ID), Word(k.Fingerprint), count(int(k.AEAD)), Moment(k.Created, now),
				Moment(k.MintFrom, now), Moment(k.AcceptUntil, now)}
		})
	}
}

func showTargets(out io.Writer, t api.Targets, now time.Time) {
	if len(t.Targets) == 0 {
		fmt.Fprintln(out, "there are no targets: clients get their time where they exchange keys")
		return
	}
	rows(out, "TARGET STATE RING WEIGHT FAMILY AEADS STRATUM DISTANCE OFFSET PROBED SERVED", t.Targets, func(t api.Target) []string {
		return []string{Word(t.ID), targetState(t), Word(t.Ring), count(t.Weight), Word(t.Family), numbers(t.AEADs), or(t.Stratum, count),
			or(t.RootDistanceSeconds, Amount), or(t.OffsetSeconds, Offset), or(t.LastProbe, func(at time.Time) string { return Moment(at, now) }),
			count(t.Served)}
	})
	for _, t := range t.Targets[:min(len(t.Targets), maxRows)] {
		if t.Reason != "" {
			fmt.Fprintf(out, "%s: %s\n", Word(t.ID), Sentence(t.Reason))
		}
	}
}
