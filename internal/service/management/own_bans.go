package management

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

// Bans are the networks that are refused everywhere. Safe for concurrent use. Its errors have an api.Kind.
type Bans interface {
	View() []api.Ban
	Find(network netip.Prefix) (b access.Ban, left time.Duration, configured, ok bool)
	Add(b access.Ban) error
	Remove(network netip.Prefix) error
}

const (
	// widestIPv4 and widestIPv6 are the lengths of the widest networks that are banned without a word more: an allocation of a
	// registry, where a slip of the finger ends.
	widestIPv4 = 8
	widestIPv6 = 16

	maxBanTime = 10 * 365 * 24 * time.Hour
)

func (s *Service) bans() api.Bans { return api.Bans{Bans: s.Bans.View(), Refused: s.Banned()} }

func (s *Service) addBan(_ context.Context, who api.Caller, a api.BanArg) (c api.Change[api.Bans], err error) {
	network, err := banned(who, a)
	if err != nil {
		return c, err
	}
	ban := access.Ban{Network: network, Reason: a.Reason, For: time.Duration(a.Seconds) * time.Second}
	c.Summary, c.After = fmt.Sprintf("refuse %v everywhere", network), "banned until it is removed or ntptsd restarts"
	if ban.For > 0 {
		c.After = fmt.Sprintf("banned for %v", ban.For)
	}
	if a.Reason != "" {
		c.After += ": " + a.Reason
	}
	c.Undo = api.StepOf(api.RemoveBan, api.UnbanArg{Network: network.String()})
	if old, _, _, ok := s.Bans.Find(network); ok {
		c.Before, c.Result = "banned", s.bans()
		if old.Reason != ban.Reason || old.For != ban.For {
			return c, api.Failf(api.Conflict, "%v is banned already, with another end or reason: bans shows it; remove it first", network)
		}
		return c, nil
	}
	c.Do = func(context.Context) (api.Bans, error) {
		if err := s.Bans.Add(ban); err != nil {
			return api.Bans{}, err
		}
		s.tell(api.EventBan, api.Warning, "%v is banned everywhere, by %s", network, who.Name)
		return s.bans(), nil
	}
	return c, nil
}

// banned is the network, if it may be banned.
func banned(who api.Caller, a api.BanArg) (network netip.Prefix, err error) {
	network, problem := config.BannedNetwork(a.Network)
	switch {
	case a.Network == "":
		return network, api.Failf(api.BadArgument, "name a network, as in 192.0.2.0/24")
	case problem != "":
		return network, api.Failf(api.BadArgument, "network %.64q %s", a.Network, problem)
	case who.From.IsValid() && network.Contains(who.From.Unmap().WithZone("")):
		return network, api.Failf(api.BadArgument, "%v has your own address, %v: you would lock yourself out; do it from elsewhere, or on the control socket", network, who.From)
	case a.Seconds < 0 || time.Duration(a.Seconds) > maxBanTime/time.Second:
		return network, api.Failf(api.BadArgument, "seconds %d: must be from 1 to %d, or not given", a.Seconds, maxBanTime/time.Second)
	case len(a.Reason) > config.MaxBanReason || !isLine(a.Reason):
		return network, api.Failf(api.BadArgument, "the reason must be a line of at most %d octets", config.MaxBanReason)
	case wide(network) && !a.Wide:
		return network, api.Failf(api.BadArgument, "%v is a large part of the internet: say wide if that is meant", network)
	}
	return network, nil
}

func wide(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() < widestIPv4
	}
	return p.Bits() < widestIPv6
}

// isLine tells whether a text can stand on one line.
func isLine(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func (s *Service) removeBan(_ context.Context, who api.Caller, a api.UnbanArg) (c api.Change[api.Bans], err error) {
	network, problem := config.BannedNetwork(a.Network)
	if problem != "" {
		return c, api.Failf(api.BadArgument, "network %.64q %s", a.Network, problem)
	}
	old, left, configured, ok := s.Bans.Find(network)
	switch {
	case !ok:
		return c, api.Failf(api.NotFound, "%v is not banned; bans lists all", network)
	case configured:
		return c, access.InConfiguration(network)
	}
	c.Summary, c.Before, c.After = fmt.Sprintf("refuse %v no longer", network), "banned", ""
	again := api.BanArg{Network: network.String(), Reason: old.Reason, Seconds: int(math.Ceil(left.Seconds())), Wide: wide(network)}
	c.Undo = api.StepOf(api.AddBan, again)
	c.Do = func(context.Context) (api.Bans, error) {
		if err := s.Bans.Remove(network); err != nil {
			return api.Bans{}, err
		}
		s.tell(api.EventBan, api.Info, "%v is not banned any more, by %s", network, who.Name)
		return s.bans(), nil
	}
	return c, nil
}
