package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// view shows the answers of one command to people.
type view struct {
	needs int // how many of the texts that the command takes must be given
	show  func(out *bytes.Buffer, answer []byte, now time.Time) (code int, err error)
}

// views has one for each command, by name.
func views() map[string]view {
	all := make(map[string]view)
	add(all, api.GetStatus, 0, showStatus)
	add(all, api.GetTracking, 0, showTracking)
	add(all, api.GetSources, 0, showSources)
	add(all, api.GetClients, 0, showClients)
	add(all, api.GetKeys, 0, showKeys)
	add(all, api.RotateKeys, 0, showKeys)
	add(all, api.GetTargets, 0, showTargets)
	add(all, api.DrainTarget, 1, showTargets)
	add(all, api.UndrainTarget, 1, showTargets)
	add(all, api.Reload, 0, func(out io.Writer, _ api.None, _ time.Time) { fmt.Fprintln(out, "configuration reloaded") })
	return all
}

func add[A, R any](all map[string]view, c api.Command[A, R], needs int, write func(io.Writer, R, time.Time)) {
	all[c.Name] = view{needs, func(out *bytes.Buffer, answer []byte, now time.Time) (int, error) {
		r, err := decode[R](answer)
		if err != nil {
			return exitUsage, err
		}
		write(out, r, now)
		if s, ok := any(r).(api.Status); ok && len(s.Problems) > 0 {
			return exitFailed, nil
		}
		return 0, nil
	}}
}

func showTracking(out io.Writer, t api.Tracking, now time.Time) {
	pairs(out,
		[2]string{"source", word(t.Source)},
		[2]string{"version", word(t.Version)},
		[2]string{"synchronised", yes(t.Synchronised)},
		[2]string{"smearing", yes(t.Smearing)},
		[2]string{"leap", word(t.Leap)},
		[2]string{"stratum", count(t.Stratum)},
		[2]string{"reference id", word(t.ReferenceID)},
		[2]string{"reference time", or(t.ReferenceTime, func(v time.Time) string { return moment(v, now) })},
		[2]string{"offset", or(t.OffsetSeconds, offset)},
		[2]string{"frequency", or(t.FrequencyPPM, func(v float64) string { return signed(decimal(v, 3)) + " ppm" })},
		[2]string{"correction", offset(t.CorrectionSeconds)},
		[2]string{"root delay", amount(t.RootDelaySeconds)},
		[2]string{"root dispersion", amount(t.RootDispersionSeconds)},
		[2]string{"error bound", amount(t.ErrorBoundSeconds)},
		[2]string{"read", read(t)},
	)
}

// read is when the clock was last read.
func read(t api.Tracking) string {
	if t.Source == "" {
		return "not yet"
	}
	return span(t.AgeSeconds) + " ago"
}

func showSources(out io.Writer, s api.Sources, _ time.Time) {
	if len(s.Sources) == 0 {
		fmt.Fprintln(out, "the time daemon next door follows nothing")
		return
	}
	rows(out, "NAME ADDRESS KIND STATE STRATUM POLL REACH LAST OFFSET ERROR DELAY AUTH", s.Sources, func(s api.Source) []string {
		return []string{word(s.Name), word(s.Address), word(s.Kind), word(s.Selection), count(s.Stratum), interval(s.PollSeconds),
			fmt.Sprintf("%o", s.Reach), or(s.LastRxSeconds, span), or(s.OffsetSeconds, offset), or(s.ErrorSeconds, amount),
			or(s.DelaySeconds, amount), word(s.Authentication)}
	})
}

func showClients(out io.Writer, c api.Clients, _ time.Time) {
	if len(c.Clients) == 0 {
		fmt.Fprintln(out, "the time daemon next door remembers no client")
		return
	}
	rows(out, "ADDRESS REQUESTS DROPPED KEYEXCHANGES INTERVAL LAST", c.Clients, func(c api.Client) []string {
		return []string{word(c.Address), count(c.Requests), or(c.Dropped, count), or(c.KeyExchanges, count),
			or(c.IntervalSeconds, interval), or(c.LastSeconds, span)}
	})
	switch {
	case c.More:
		fmt.Fprintf(out, "%d of more than %d clients that the time daemon remembers: its list is longer than what is read of it\n", len(c.Clients), c.Known)
	case len(c.Clients) < c.Known:
		fmt.Fprintf(out, "%d of the %d clients that the time daemon remembers; --limit shows more\n", len(c.Clients), c.Known)
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
		fmt.Fprintf(out, "ring %s: dialect %s, owner %s, %s\n", word(r.Name), word(r.Dialect), word(r.Owner), rotation(r, now))
		if r.NeighbourFile != "" {
			fmt.Fprintf(out, "file of the time daemon next door: %s\n", sentence(r.NeighbourFile))
		}
		if r.Problem != "" {
			fmt.Fprintf(out, "problem: %s\n", sentence(r.Problem))
		}
		if len(r.Keys) == 0 {
			fmt.Fprintln(out, "it has no keys")
			continue
		}
		rows(out, "STATE ID FINGERPRINT AEAD MADE MINTS ENDS", r.Keys, func(k api.Key) []string {
			return []string{word(k.State), word(k.ID), word(k.Fingerprint), count(int(k.AEAD)), moment(k.Created, now),
				moment(k.MintFrom, now), moment(k.AcceptUntil, now)}
		})
	}
}

func showTargets(out io.Writer, t api.Targets, now time.Time) {
	if len(t.Targets) == 0 {
		fmt.Fprintln(out, "there are no targets: clients get their time where they exchange keys")
		return
	}
	rows(out, "TARGET STATE RING WEIGHT FAMILY AEADS STRATUM DISTANCE OFFSET PROBED SERVED", t.Targets, func(t api.Target) []string {
		return []string{word(t.ID), targetState(t), word(t.Ring), count(t.Weight), word(t.Family), numbers(t.AEADs), or(t.Stratum, count),
			or(t.RootDistanceSeconds, amount), or(t.OffsetSeconds, offset), or(t.LastProbe, func(at time.Time) string { return moment(at, now) }),
			count(t.Served)}
	})
	for _, t := range t.Targets[:min(len(t.Targets), maxRows)] {
		if t.Reason != "" {
			fmt.Fprintf(out, "%s: %s\n", word(t.ID), sentence(t.Reason))
		}
	}
}
