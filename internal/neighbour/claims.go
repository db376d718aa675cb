package neighbour

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/ntptsd/ntptsd/internal/config"
)

// Claim is a port that another time daemon's configuration asks for. NTPsec ends when somebody else has one of its ports,
// so that we must not be the first to take it.
type Claim struct {
	Daemon  string // chronyd, ntpd, ntp-daemon
	File    string // whose line says so
	Network string // udp or tcp
	At      netip.AddrPort
}

func (c Claim) String() string {
	return fmt.Sprintf("%s has %s/%s by %s", c.Daemon, c.At, c.Network, c.File)
}

// overlaps tells whether both cannot be bound: the unspecified address of either family is every address.
func (c Claim) overlaps(network string, at netip.AddrPort) bool {
	if c.Network != network || c.At.Port() != at.Port() {
		return false
	}
	mine, theirs := at.Addr(), c.At.Addr()
	return mine == theirs || mine.Is6() && mine.IsUnspecified() || theirs.Is6() && theirs.IsUnspecified() ||
		mine.Is4() == theirs.Is4() && (mine.IsUnspecified() || theirs.IsUnspecified())
}

// Conflicts names every address of cfg that another daemon claims, with what to do instead.
func Conflicts(cfg *config.Config, claims []Claim) []error {
	var all []error
	look := func(key, network, instead string, addrs []netip.AddrPort) {
		for _, a := range addrs {
			if i := slices.IndexFunc(claims, func(c Claim) bool { return c.overlaps(network, a) }); i >= 0 {
				all = append(all, fmt.Errorf("%s = %q: %v: %s", key, a, claims[i], instead))
			}
		}
	}
	if x := cfg.KeyExchange; x != nil {
		look("keyexchange.listen", "tcp", "listen on another port, or switch that daemon's key exchange off or to another port", x.Listen)
	}
	if t := cfg.TimeServer; t != nil {
		look("timeserver.listen", "udp", "listen on another port, which clients are told by the key exchange, or on an address that it does not have", t.Listen)
	}
	return all
}

// Taken finds who claims a port on any address; nil if nobody does.
func Taken(network string, port uint16, claims []Claim) *Claim {
	for _, c := range claims {
		if c.Network == network && c.At.Port() == port {
			return &c
		}
	}
	return nil
}

// installed is a daemon that may stand next door: its configuration counts only where its program is, too, since Debian
// leaves the file of a package that was removed.
type installed struct {
	daemon   string
	source   string // for clock.source
	programs []string
	files    []string
	claims   func(*reading, string)
}

func known() []installed {
	return []installed{
		{"chronyd", "chrony", []string{"usr/sbin/chronyd", "usr/local/sbin/chronyd"}, []string{"etc/chrony/chrony.conf", "etc/chrony.conf"}, (*reading).chrony},
		{"ntpd", "ntpd", []string{"usr/sbin/ntpd", "usr/local/sbin/ntpd"}, []string{"etc/ntpsec/ntp.conf", "etc/ntp.conf"}, (*reading).ntpd},
		{"ntp-daemon", "kernel", []string{"usr/bin/ntp-daemon", "usr/sbin/ntp-daemon", "usr/local/bin/ntp-daemon"}, []string{"etc/ntpd-rs/ntp.toml"}, (*reading).ntpdrs},
	}
}

// Survey reads the configurations of the daemons that are installed below root ("/"): what they claim, and what
// clock.source fits the first of them; kernel if there is none. What cannot be read is left out and told.
func Survey(root string) (claims []Claim, source string, unread []error) {
	for _, d := range known() {
		if !slices.ContainsFunc(d.programs, func(p string) bool { return exists(root, p) }) {
			continue
		}
		i := slices.IndexFunc(d.files, func(f string) bool { return exists(root, f) })
		if i < 0 {
			continue
		}
		r := &reading{root: root, daemon: d.daemon}
		d.claims(r, d.files[i])
		claims, unread = append(claims, r.claims...), append(unread, r.unread...)
		source = cmp.Or(source, d.source)
	}
	return claims, cmp.Or(source, "kernel"), unread
}
