package ntpq

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// layout is the form of a billboard.
type layout int

const (
	peers  layout = iota // what the source follows
	apeers               // that, cut short, and the association
	opeers               // the local address; the dispersion in the place of the jitter
)

// peer is a line of it, in the daemon's words.
type peer struct {
	mode6.Association
	mode6.Variables
}

// billboard lists the associations: all, or without the clients and passive peers that are out of reach.
func billboard(l layout, all bool) func(*talk) (string, error) {
	return func(t *talk) (string, error) { return t.billboard(l, all) }
}

func (t *talk) billboard(l layout, all bool) (string, error) {
	list, err := t.associations()
	if err != nil {
		return "", err
	}
	if len(list) == 0 {
		return noAssociations, nil
	}
	var text strings.Builder
	text.WriteString(t.tongue.header(l))
	for _, a := range list[:min(len(list), maxAssociations)] {
		if !all && !t.tongue.shows(a.Status) {
			continue
		}
		status, v, err := t.read(mode6.Request{Op: mode6.OpReadVariables, Association: a.ID})
		if gone(err) {
			continue
		}
		if err != nil {
			return "", err
		}
		a.Status = mode6.PeerStatus(status)
		text.WriteString(t.tongue.peer(l, peer{a, v}, t.now()))
	}
	return text.String() + moreAssociations(len(list)), nil
}

// moreAssociations tells that a table does not have them all.
func moreAssociations(all int) string {
	if all <= maxAssociations {
		return ""
	}
	return fmt.Sprintf("# Only the first %d of %d associations are shown\n", maxAssociations, all)
}

func (p peer) text(name string) string { s, _ := p.Text(name); return s }
func (p peer) int(name string) int64   { n, _ := p.Int(name); return n }

// poll is the interval in seconds. Who exaggerates is cut to what an int32 holds, as ntpq's is.
func (p peer) poll() int64 {
	return 1 << min(max(min(p.int("ppoll"), p.int("hpoll")), 0), 30)
}

// kind is the letter of column t, the daemon's own view of it; cookies is that of NTPsec, or 0.
func (p peer) kind(refclock, pool bool, cookies byte) byte {
	address, _ := p.Address("srcadr")
	multicast := address.Addr().IsMulticast()
	switch p.int("hmode") {
	case 1:
		return 's'
	case 2:
		return 'S'
	case 3:
		switch {
		case refclock:
			return 'l'
		case pool:
			return 'p'
		case multicast:
			return 'a'
		case cookies != 0:
			return cookies
		}
		return 'u'
	case 5:
		if multicast {
			return 'M'
		}
		return 'B'
	case 6:
		return 'b'
	}
	return '?'
}

// isRefclock tells the addresses that reference clocks have.
func isRefclock(a netip.Addr) bool {
	return a.Is4() && a.As4()[0] == 127 && a.As4()[1] == 127
}

// interval prints seconds in four columns.
func interval(seconds int64, years bool) string {
	const most = 1 << 40 // s: nonsense, and no overflow
	seconds = min(seconds, most)
	if seconds <= 0 {
		return "-"
	}
	if seconds <= 2048 {
		return fmt.Sprint(seconds)
	}
	minutes := (seconds + 29) / 60
	if minutes <= 300 {
		return fmt.Sprintf("%dm", minutes)
	}
	hours := (minutes + 29) / 60
	if hours <= 96 {
		return fmt.Sprintf("%dh", hours)
	}
	days := (hours + 11) / 24
	if !years || days <= 999 {
		return fmt.Sprintf("%dd", days)
	}
	const daysOfYear = 365.25
	if y := int64(float64(days)/daysOfYear + 0.5); y <= 999 {
		return fmt.Sprintf("%dy", y)
	}
	return "INF"
}

// first cuts text, of which every octet is a character: nothing else passes from a daemon.
func first(n int, text string) string { return text[:min(n, len(text))] }

// lastOf keeps the end, where addresses differ, behind a mark.
func lastOf(n int, mark, text string) string {
	if len(text) <= n {
		return text
	}
	return mark + text[len(text)-n+1:]
}

func rule(n int) string { return strings.Repeat("=", n) + "\n" }

// ntpSeconds are those of the era that a clock shows.
func ntpSeconds(t time.Time) uint32 {
	const epoch = 2208988800 // 1970 in the first era
	return uint32(t.Unix() + epoch)
}
