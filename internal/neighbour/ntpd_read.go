package neighbour

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/mode6"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// Tracking implements Daemon.
func (n *NTPD) Tracking(ctx context.Context) (api.Tracking, error) {
	return n.tracking.get(ctx, questionTimeout, func(ctx context.Context) (t api.Tracking, err error) {
		err = n.ask(func(c *control) error {
			before := time.Now()
			v, err := c.variables(ctx, 0, "")
			if err != nil {
				return err
			}
			n.sec.Store(isNTPsec(v))
			t, err = systemOf(v, n.Name(), before.Add(time.Since(before)/2))
			return err
		})
		return t, err
	})
}

var errLacking = errors.New("its answer lacks leap, stratum, refid, rootdelay or rootdisp, of which time is made")

// systemOf reads the default set of the system's variables.
func systemOf(v mode6.Variables, source string, at time.Time) (api.Tracking, error) {
	leap, haveLeap := v.Int("leap")
	stratum, haveStratum := v.Int("stratum")
	delay, haveDelay := v.Seconds("rootdelay")
	dispersion, haveDispersion := v.Seconds("rootdisp")
	text, haveID := v.Text("refid")
	if !haveLeap || !haveStratum || !haveDelay || !haveDispersion || !haveID {
		return api.Tracking{}, errLacking
	}
	t := api.Tracking{
		Source:                source,
		Synchronised:          leap >= 0 && leap < int64(ntp.LeapUnknown) && stratum > 0 && stratum < unsynchronised,
		RefID:                 referenceID(text),
		RootDelaySeconds:      delay,
		RootDispersionSeconds: dispersion,
		ReadAt:                at,
	}
	t.Version = shortText(v, "version")
	t.Leap = leapWord(t.Synchronised, uint8(leap))
	if t.Synchronised {
		t.Stratum = uint8(stratum)
	}
	t.ReferenceID = ntp.ReferenceID(t.RefID).Text(t.Stratum)
	if updated, ok := v.Time("reftime"); ok && updated != 0 {
		t.ReferenceTime = new(updated.Time(at).UTC())
	}
	t.OffsetSeconds = optional(v, "offset")
	t.ErrorBoundSeconds = t.ErrorBound()
	if frequency, ok := v.Float("frequency"); ok { // what is added to the clock's own, which errs the other way
		t.FrequencyPPM = new(0 - frequency) // no negative zero
	}
	smear, ok := v.Seconds("leapsmearoffset")
	t.Smearing = ok && smear != 0
	if interval, ok := v.Int("leapsmearinterval"); ok && interval > 0 && t.Synchronised {
		t.Leap = api.LeapNone // who is going to smear a leap second announces none
	}
	return t, nil
}

// referenceID reads what ntpd shows: letters at stratum 0 and 1, else an address.
func referenceID(text string) (id [4]byte) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Is4() {
		return addr.As4()
	}
	copy(id[:], text)
	return id
}

// Sources implements Daemon.
func (n *NTPD) Sources(ctx context.Context) ([]api.Source, error) {
	return n.sources.get(ctx, listTimeout, func(ctx context.Context) (all []api.Source, err error) {
		err = n.ask(func(c *control) error {
			all, err = c.sources(ctx)
			return err
		})
		return all, err
	})
}

func (c *control) sources(ctx context.Context) ([]api.Source, error) {
	all, err := c.walk(ctx)
	return peersOf(all), err
}

// peer is a source with the number of its association.
type peer struct {
	api.Source
	id uint16
}

func (p peer) source() api.Source { return p.Source }

func peersOf(all []peer) []api.Source {
	s := make([]api.Source, 0, len(all))
	for _, p := range all {
		s = append(s, p.Source)
	}
	return s
}

func (c *control) walk(ctx context.Context) ([]peer, error) {
	data, err := c.read(ctx, mode6.Request{Op: mode6.OpReadStatus})
	if err != nil {
		return nil, err
	}
	associations, err := mode6.ParseAssociations(data)
	if err != nil {
		return nil, err
	}
	all := []peer{}
	for _, a := range associations[:min(len(associations), maxSources)] {
		v, err := c.variables(ctx, a.ID, "")
		if errors.Is(err, mode6.CodeAssociation) {
			continue // it went away meanwhile
		}
		if err != nil {
			return nil, err
		}
		s := peerOf(a.Status, v)
		// Only the daemon itself can tell ages without a look at two clocks.
		if age, err := c.variables(ctx, a.ID, "timerec"); err == nil && s.OffsetSeconds != nil {
			if n, ok := age.Float("timerec"); ok {
				s.LastRxSeconds = &n
			}
		}
		all = append(all, peer{s, a.ID})
	}
	return all, nil
}

// peerOf reads the default set of an association's variables.
func peerOf(status mode6.PeerStatus, v mode6.Variables) api.Source {
	s := api.Source{Kind: "server", Selection: judged(status.Selection())}
	address, _ := v.Address("srcadr")
	s.Address = address.Addr().String()
	mode, _ := v.Int("hmode")
	switch addr := address.Addr(); {
	case !addr.IsValid():
		s.Address = ""
	case addr.Is4() && addr.As4()[0] == 127 && addr.As4()[1] == 127:
		s.Kind = "refclock"
	case addr.IsUnspecified():
		s.Kind, s.Address = "pool", ""
	case mode == 1 || mode == 2:
		s.Kind = "peer"
	case mode == 5 || mode == 6:
		s.Kind = "broadcast"
	}
	s.Name = s.Address
	if name := shortText(v, "srchost"); name != "" {
		s.Name = name
	}
	if s.Kind == "refclock" {
		s.Address = ""
	}
	if stratum, ok := v.Int("stratum"); ok && stratum >= 0 && stratum <= unsynchronised {
		s.Stratum = uint8(stratum)
	}
	ours, _ := v.Int("hpoll")
	theirs, ok := v.Int("ppoll")
	if !ok || theirs <= 0 {
		theirs = ours
	}
	s.PollSeconds = interval(int(min(ours, theirs)))
	reach, _ := v.Int("reach")
	s.Reach = uint8(reach)
	if received, ok := v.Time("rec"); ok && received != 0 {
		s.OffsetSeconds, s.DelaySeconds, s.ErrorSeconds = optional(v, "offset"), optional(v, "delay"), optional(v, "jitter")
	}
	s.Authentication = authenticated(v)
	return s
}

// maxShown is how much of a text of ntpd's is shown: as much as a name of the DNS has. A whole answer in each source's name would make
// samples and metrics that nobody takes.
const maxShown = 255

// shortText is a text, or as much of it as is shown; "" if there is none. It is a copy, which keeps no answer in memory.
func shortText(v mode6.Variables, name string) string {
	text, _ := v.Text(name)
	return strings.Clone(text[:min(len(text), maxShown)])
}

func optional(v mode6.Variables, name string) *float64 {
	if s, ok := v.Seconds(name); ok {
		return &s
	}
	return nil
}

// authenticated tells how a source is authenticated: NTPsec counts cookies, -1 where there is no NTS.
func authenticated(v mode6.Variables) string {
	if n, ok := v.Int("ntscookies"); ok && n >= 0 {
		return "nts"
	}
	if id, ok := v.Int("keyid"); ok && id != 0 {
		return "symmetric"
	}
	return "none"
}

func judged(s mode6.Selection) string {
	switch s {
	case mode6.SelectSystem, mode6.SelectPPS:
		return api.SelectionSelected
	case mode6.SelectCandidate:
		return "combined"
	case mode6.SelectOutlier:
		return "outlier"
	case mode6.SelectFalsetick:
		return "falseticker"
	case mode6.SelectExcess, mode6.SelectBackup:
		return "selectable"
	}
	return "unselectable"
}

// Clients implements Daemon.
func (n *NTPD) Clients(ctx context.Context, limit int) (api.Clients, error) {
	p, err := n.clients.get(ctx, listTimeout, func(ctx context.Context) (p population, err error) {
		err = n.ask(func(c *control) error {
			p, err = c.clients(ctx)
			return err
		})
		return p, err
	})
	if err != nil {
		return api.Clients{}, err
	}
	return p.first(limit), nil
}

func (c *control) clients(ctx context.Context) (population, error) {
	var b busiest
	w := mode6.NewWalk(mode6.MaxClients)
	for {
		q, ok := w.Next(time.Now())
		if !ok {
			break
		}
		data, err := c.attempt(ctx, q, partTimeout)
		if b.cut = ctx.Err() != nil; b.cut {
			break
		}
		w.Answer(data, err)
	}
	if err := w.Err(); errors.Is(err, mode6.ErrTooManyClients) {
		b.cut = true
	} else if err != nil {
		return population{}, err
	}
	for _, one := range w.Clients() {
		if asksForTime(one.Mode) {
			b.add(mruOf(one, w.Now()))
		}
	}
	return b.all(), nil
}

// asksForTime leaves out the servers that the daemon asks, and who controls it, as we do.
func asksForTime(m ntp.Mode) bool {
	switch m {
	case ntp.ModeClient, ntp.ModeSymmetricActive, ntp.ModeReserved:
		return true
	}
	return false
}

func mruOf(m mode6.Client, now ntp.Timestamp) api.Client {
	a := api.Client{Address: m.Address.Addr().String(), Requests: m.Count}
	if m.Scored {
		a.Dropped = &m.Drops
	}
	since := func(t, earlier ntp.Timestamp) float64 { return float64(int64(t-earlier)) / (1 << 32) }
	if m.Count > 1 {
		a.IntervalSeconds = new(max(since(m.Last, m.First), 0) / float64(m.Count-1))
	}
	if now != 0 {
		a.LastSeconds = new(max(since(now, m.Last), 0))
	}
	return a
}
