package neighbour

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Kinds of a NewSource.
const (
	KindServer = "server"
	KindPeer   = "peer"
	KindPool   = "pool"
)

// Exponent is a number that may not be given: log2 of seconds, of which 0 is one.
type Exponent struct {
	Given bool
	Log2  int
}

// Log2 is an Exponent that is given.
func Log2(n int) Exponent { return Exponent{true, n} }

// NewSource is a source to be added. Comparable: of two that are equal one says all.
type NewSource struct {
	Name string // host name or address
	Kind string

	Port, NTSPort    int // 0: the usual ones
	MinPoll, MaxPoll Exponent
	Key              int // number of the symmetric key; 0: none
	Version          int // of NTP; 0: the daemon chooses
	MaxSources       int // of a pool; 0: the daemon chooses

	NTS, IBurst, Prefer, NoSelect, Trust, Require, Interleaved bool
}

// String is for one line of a plan.
func (s NewSource) String() string {
	_, options, _ := strings.Cut(s.Line(), " "+s.Name)
	return fmt.Sprintf("%s (%s)", shown(s.Name), strings.Join(append([]string{s.Kind}, strings.Fields(options)...), " "))
}

// Line is how chrony.conf and ntp.conf have it. Of a source that a daemon's Plan took, it is one line without anything that
// these files would read in another way.
func (s NewSource) Line() string {
	w := []string{s.Kind, s.Name}
	number := func(name string, n int) {
		if n != 0 {
			w = append(w, name, strconv.Itoa(n))
		}
	}
	flag := func(name string, on bool) {
		if on {
			w = append(w, name)
		}
	}
	exponent := func(name string, given bool, n, usual int) {
		if given || n != usual {
			w = append(w, name, strconv.Itoa(n))
		}
	}
	low, high := s.polls()
	number("port", s.Port)
	flag("iburst", s.IBurst)
	flag("nts", s.NTS)
	number("ntsport", s.NTSPort)
	number("key", s.Key)
	exponent("minpoll", s.MinPoll.Given, low, usualMinPoll)
	exponent("maxpoll", s.MaxPoll.Given, high, usualMaxPoll)
	number("version", s.Version)
	number("maxsources", s.MaxSources)
	flag("prefer", s.Prefer)
	flag("noselect", s.NoSelect)
	flag("trust", s.Trust)
	flag("require", s.Require)
	flag("xleave", s.Interleaved)
	return strings.Join(w, " ")
}

// limits are what a daemon takes.
type limits struct {
	minPoll, maxPoll int
}

// check says what is wrong with it for any daemon, and what is beyond the limits of one.
func (s NewSource) check(l limits) error {
	if problem := badName(s.Name); problem != "" {
		return api.Failf(api.BadArgument, "source %.64q: %s", s.Name, problem)
	}
	ports := func(n int) bool { return n >= 0 && n <= 65535 }
	switch {
	case s.Kind != KindServer && s.Kind != KindPeer && s.Kind != KindPool:
		return api.Failf(api.BadArgument, "kind %.64q: must be server, peer or pool", s.Kind)
	case !ports(s.Port) || !ports(s.NTSPort):
		return api.Failf(api.BadArgument, "a port must be from 1 to 65535")
	case s.NTSPort != 0 && !s.NTS:
		return api.Failf(api.BadArgument, "ntsport is about NTS: give nts, too")
	case s.Key < 0 || s.Key > 65535:
		return api.Failf(api.BadArgument, "keyid %d: must be the number of a key, 1 to 65535", s.Key)
	case s.Version < 0 || s.Version > 4:
		return api.Failf(api.BadArgument, "version %d: must be 1 to 4", s.Version)
	case s.MaxSources != 0 && (s.Kind != KindPool || s.MaxSources < 0 || s.MaxSources > maxOfPool):
		return api.Failf(api.BadArgument, "maxsources %d: must be 1 to %d, and is for a pool", s.MaxSources, maxOfPool)
	case s.NTS && s.Key != 0:
		return api.Failf(api.BadArgument, "a source is authenticated by NTS or by a key: leave out one of them")
	case s.NTS && s.Kind == KindPeer:
		return api.Failf(api.BadArgument, "there is no NTS between peers: use the kind server")
	case s.Kind == KindPool && badAddress(s.Name) == "":
		return api.Failf(api.BadArgument, "a pool is a name that has many addresses: use the kind server for %s", s.Name)
	case s.NoSelect && (s.Prefer || s.Trust || s.Require):
		return api.Failf(api.BadArgument, "a source with noselect is never selected: leave out prefer, trust and require")
	}
	return s.checkPolls(l)
}

// maxOfPool is what chronyd takes.
const maxOfPool = 16

func (s NewSource) checkPolls(l limits) error {
	for name, e := range map[string]Exponent{"minpoll": s.MinPoll, "maxpoll": s.MaxPoll} {
		if e.Given && (e.Log2 < l.minPoll || e.Log2 > l.maxPoll) {
			return api.Failf(api.BadArgument, "%s %d: must be from %d to %d: it is the log2 of seconds", name, e.Log2, l.minPoll, l.maxPoll)
		}
	}
	if low, high := s.polls(); low > high {
		return api.Failf(api.BadArgument, "minpoll %d is beyond maxpoll %d", low, high)
	}
	return nil
}

// The usual polls of all daemons.
const (
	usualMinPoll = 6
	usualMaxPoll = 10
)

// polls are both, with the usual ones where one is not given, as far as the other lets it.
func (s NewSource) polls() (low, high int) {
	low, high = usualMinPoll, usualMaxPoll
	if s.MinPoll.Given {
		low = s.MinPoll.Log2
	}
	if s.MaxPoll.Given {
		high = s.MaxPoll.Log2
	}
	if !s.MaxPoll.Given {
		high = max(high, low)
	}
	if !s.MinPoll.Given {
		low = min(low, high)
	}
	return low, high
}

// The bounds of RFC 1035 section 2.3.4.
const (
	maxHostName = 253
	maxLabel    = 63
)

// badName says why something is neither a host name nor an address that a source may have. Nothing that it takes means more
// than a name in a line of a configuration.
func badName(name string) string {
	if _, err := netip.ParseAddr(name); err == nil {
		return badAddress(name)
	}
	if name == "" || len(name) > maxHostName {
		return "name a source by its host name, of at most 253 characters, or by its address"
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		odd := func(c rune) bool {
			return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
		}
		if l == "" || len(l) > maxLabel || l[0] == '-' || l[len(l)-1] == '-' || strings.ContainsFunc(l, odd) {
			return "must be a host name (letters, digits and - with dots between, without a final one) or an address"
		}
	}
	if isNumber(labels[len(labels)-1]) {
		return "must be a whole address or a host name, which does not end in a number"
	}
	return ""
}

// isNumber tells what inet_aton(3), and with it a daemon's resolver, takes for a number: 127.127.20.0x0 is a clock driver of ntpd.
func isNumber(label string) bool {
	digits, hex := strings.CutPrefix(strings.ToLower(label), "0x")
	if hex {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

// badAddress says why something is no address that a source may have.
func badAddress(name string) string {
	a, err := netip.ParseAddr(name)
	switch {
	case err != nil:
		return "must be an address"
	case a.Zone() != "":
		return "an address with a zone cannot be added: write it into the daemon's own configuration"
	case a.Is4In6():
		return fmt.Sprintf("is an IPv4 address in IPv6 form, write %s", a.Unmap())
	case a.IsUnspecified(), a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "is not the address of one host"
	}
	return ""
}

// shown is a name that somebody else chose as it stands in a sentence.
func shown(name string) string {
	odd := func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }
	if name == "" || len(name) > maxHostName || strings.ContainsFunc(name, odd) {
		return strconv.QuoteToASCII(name[:min(len(name), maxLabel)])
	}
	return name
}

// described is a source of a list, for one line.
func described(s api.Source) string {
	text := s.Kind + " " + shown(cmp.Or(s.Name, s.Address))
	if s.Address != "" && s.Address != s.Name {
		text += " at " + s.Address
	}
	text += ", " + s.Selection
	if s.Authentication != "" && s.Authentication != "none" {
		text += ", " + s.Authentication
	}
	return text
}

// chosen are those of a list that have this name or address.
func chosen[S any](all []S, of func(S) api.Source, name string) (some []S) {
	wanted, _ := netip.ParseAddr(name)
	for _, one := range all {
		s := of(one)
		at, err := netip.ParseAddr(s.Address)
		if strings.EqualFold(s.Name, name) || err == nil && at.Unmap() == wanted.Unmap() {
			some = append(some, one)
		}
	}
	return some
}
