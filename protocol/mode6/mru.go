package mode6

import (
	"net/netip"
	"slices"

	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// Client is who sent packets to the daemon: an entry of its MRU list. Times are the daemon's; Walk.Now goes with them.
type Client struct {
	Address      netip.AddrPort // the port of the last packet
	First, Last  ntp.Timestamp
	Count        uint64
	Mode         ntp.Mode // of the last packet
	Version      uint8
	Restrictions Restrictions
	Scored       bool // Score and Drops were sent: NTPsec only
	Score        float64
	Drops        uint64
}

func (c *Client) take(_ int, tag, value string) bool {
	switch tag {
	case "addr":
		c.Address, _ = address(value)
	case "first":
		c.First, _ = timestamp(value)
	case "last":
		c.Last, _ = timestamp(value)
	case "ct":
		c.Count = count(value)
	case "mv":
		n := count(value)
		c.Mode, c.Version = ntp.Mode(n&7), uint8(n>>3&7)
	case "rs":
		c.Restrictions = Restrictions(count(value))
	case "sc":
		c.Score, c.Scored = float(value)
	case "dr":
		c.Drops, c.Scored = count(value), true
	default:
		return false
	}
	return true
}

// Restrictions are the restrict flags that apply to a client.
type Restrictions uint32

// Words are the names of the bits that are set. Classic ntpd from 4.2.8p11 on has one more, and so other places.
func (r Restrictions) Words(classic bool) []string {
	names := []string{"ignore", "noserve", "notrust", "version", "nopeer", "limited", "noquery", "nomodify", "notrap",
		"lowpriotrap", "kod", "mssntp", "flake", "nomrulist"}
	if classic {
		names = append(slices.Insert(names, 5, "noepeer"), "server response fuzz")
	}
	return bits(uint32(r), names...)
}

// list is one answer to OpReadMRU, or to OpRequestNonce.
type list struct {
	clients []Client
	nonce   string        // for the next request
	older   ntp.Timestamp // Last of the entry before the first, if resumed
	resumed bool
	now     ntp.Timestamp // the daemon's clock, if ended
	ended   bool
}

const maxNonce = 64 // digits; daemons send 24

// parseList reads an answer; the clients are put into the memory of room.
func parseList(room []Client, data []byte) (l list, err error) {
	l.clients, err = entries(room[:0], data, (*Client).take, func(name, value string) {
		switch name {
		case "nonce":
			if isNonce(value) {
				l.nonce = value
			}
		case "last.older":
			l.older, l.resumed = timestamp(value)
		case "now":
			l.now, l.ended = timestamp(value)
		}
	})
	return l, err
}

// isNonce keeps a daemon from writing our next request.
func isNonce(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != "" && len(s) <= maxNonce
}
