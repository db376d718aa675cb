package monitoring

import (
	"cmp"
	"fmt"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// diary collects the events of one look.
type diary struct {
	at     time.Time
	events []api.Event
}

func (d *diary) write(kind, severity, format string, args ...any) {
	d.events = append(d.events, api.Event{At: d.at, Kind: kind, Severity: severity, Text: fmt.Sprintf(format, args...)})
}

// goneOrBack writes one of two texts if something that was so is no more, or the other way round.
func (d *diary) goneOrBack(kind string, bad, wasBad bool, lost, back string) {
	switch {
	case bad && !wasBad:
		d.write(kind, api.Warning, "%s", lost)
	case !bad && wasBad:
		d.write(kind, api.Info, "%s", back)
	}
}

// changes are the events that lie between two moments. Since they are read off the state, no stranger can cause more of them
// than there are looks.
func changes(before, now moment) []api.Event {
	d := &diary{at: now.at}
	d.clock(before.status, now.status)
	d.fit(before.fit, now.fit)
	if was, is := before.selected, now.selected; is != was {
		d.write(api.EventSource, api.Info, "the selected source is %s now, before it was %s", cmp.Or(is, "none"), cmp.Or(was, "none"))
	}
	d.rings(before.status.Rings, now.status.Rings)
	d.targets(before.status.Targets, now.status.Targets)
	d.certificates(before.certificates, now.certificates)
	d.limits(before, now)
	if now.reloads > before.reloads {
		d.write(api.EventReload, api.Info, "the configuration was reloaded")
	}
	if now.refused > before.refused {
		d.write(api.EventReload, api.Warning, "a reload was refused, the configuration from before goes on: %s", now.why)
	}
	return d.events
}

func (d *diary) clock(was, is api.Status) {
	d.goneOrBack(api.EventClock, !is.Clock.Synchronised, !was.Clock.Synchronised,
		"the clock is not synchronised any more, and time clients are told so", fmt.Sprintf("the clock is synchronised, stratum %d", is.Clock.Stratum))
	if is.Clock.Leap != was.Clock.Leap && is.Clock.Leap != api.LeapUnsynchronised {
		switch {
		case is.Clock.Leap != api.LeapNone && is.Clock.Leap != "":
			d.write(api.EventLeap, api.Warning, "a leap second is announced: %s", is.Clock.Leap)
		case was.Clock.Leap == api.LeapInsert || was.Clock.Leap == api.LeapDelete:
			d.write(api.EventLeap, api.Info, "no leap second is announced any more")
		}
	}
	if is.Neighbour.Name != "" && is.Neighbour.Name == was.Neighbour.Name {
		d.goneOrBack(api.EventNeighbour, is.Neighbour.Problem != "", was.Neighbour.Problem != "",
			is.Neighbour.Name+" does not answer: "+is.Neighbour.Problem, is.Neighbour.Name+" answers again")
	}
}

func (d *diary) fit(was, is api.Fit) {
	reason := ""
	if len(is.Reasons) > 0 {
		reason = is.Reasons[0]
	}
	d.goneOrBack(api.EventFit, !is.Fit, !was.Fit, "this host is not fit to serve time: "+reason, "this host is fit to serve time again")
}

// selected is the source that the clock follows.
func selected(all []api.Source) string {
	for _, s := range all {
		if s.Selection == api.SelectionSelected {
			return s.Name
		}
	}
	return ""
}

func (d *diary) rings(was, is []api.Ring) {
	for _, r := range is {
		old, known := find(was, r.Name, func(r api.Ring) string { return r.Name })
		if !known {
			continue
		}
		if key, before := current(r), current(old); key != before && key != "" {
			d.write(api.EventKey, api.Info, "ring %s: key %s mints now, before it was %s", r.Name, key, cmp.Or(before, "none"))
		}
		if r.Problem != old.Problem {
			d.goneOrBack(api.EventRing, r.Problem != "", old.Problem != "" && r.Problem == "",
				"ring "+r.Name+": "+r.Problem, "ring "+r.Name+" has no problem any more")
		}
	}
}

// current is the fingerprint of the key that mints.
func current(r api.Ring) string {
	for _, k := range r.Keys {
		if k.State == api.KeyCurrent {
			return k.Fingerprint
		}
	}
	return ""
}

func (d *diary) targets(was, is []api.Target) {
	for _, t := range is {
		old, known := find(was, t.ID, func(t api.Target) string { return t.ID })
		if !known {
			continue
		}
		if t.Draining != old.Draining {
			d.goneOrBack(api.EventTarget, t.Draining, old.Draining, "target "+t.ID+" drains", "target "+t.ID+" does not drain any more")
		}
		if !t.Draining {
			d.goneOrBack(api.EventTarget, !t.Fit, !old.Fit && !old.Draining, "target "+t.ID+" is not fit: "+t.Reason, "target "+t.ID+" is fit")
		}
	}
}

func (d *diary) certificates(was, is []api.Certificate) {
	for _, c := range is {
		old, known := find(was, c.File, func(c api.Certificate) string { return c.File })
		if known && c.Fingerprint == old.Fingerprint && c.Problem == old.Problem && c.Account == old.Account {
			continue
		}
		if old.Account != "" && c.Account != "" && c.Account != old.Account {
			d.write(api.EventCertificate, api.Warning, "certificate %s: the authority does not know our account any more, another one was made", c.File)
		}
		if (!known || c.Fingerprint != old.Fingerprint) && c.Fingerprint != "" {
			d.write(api.EventCertificate, api.Info, "certificate %s was loaded, good until %s", c.File, c.NotAfter.UTC().Format(time.DateOnly))
		}
		if c.Problem != "" && c.Problem != old.Problem {
			d.write(api.EventCertificate, api.Warning, "certificate %s: %s", c.File, c.Problem)
		}
	}
}

// calmAfter is how long a limit must not have refused anybody until it counts as quiet: a flood is two events, not thousands.
const calmAfter = time.Minute

// refusing is what is known of a limit.
type refusing struct {
	name  string
	count uint64    // since the start of ntptsd
	last  time.Time // when it was seen to have grown; zero: never
	since uint64    // the count before the flood that goes on
}

// next is what is known of it a look later.
func (r refusing) next(count uint64, at time.Time) refusing {
	if count > r.count {
		if !r.busy(at) {
			r.since = r.count
		}
		r.count, r.last = count, at
	}
	return r
}

func (r refusing) busy(at time.Time) bool { return !r.last.IsZero() && at.Sub(r.last) < calmAfter }

func (d *diary) limits(before, now moment) {
	for _, r := range now.limits {
		old, _ := find(before.limits, r.name, func(r refusing) string { return r.name })
		d.goneOrBack(api.EventLimiter, r.busy(now.at), old.busy(before.at),
			r.name+": the limit refuses clients", fmt.Sprintf("%s: the limit refuses nobody any more, after %d", r.name, r.count-r.since))
	}
}

func find[T any](all []T, name string, nameOf func(T) string) (found T, ok bool) {
	for _, one := range all {
		if nameOf(one) == name {
			return one, true
		}
	}
	return found, false
}
