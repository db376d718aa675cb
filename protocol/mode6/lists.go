package mode6

import (
	"net/netip"
	"strings"
	"time"
)

// MaxEntries bounds the entries of one answer, which has room for some 300 in the words of the daemons.
const MaxEntries = 1024

// entries collects the numbered entries of a list into all. Fields come in any order, all of one entry before the next's;
// numbers have gaps; daemons strew in fields that mean nothing, lest clients rely on their set. take keeps a field, or tells
// that it does not know it; what has no number goes to other.
func entries[T any](all []T, data []byte, take func(e *T, index int, tag, value string) bool, other func(name, value string)) ([]T, error) {
	last := -1
	for name, value := range items(printable(data)) {
		tag, index, ok := splitTag(name)
		switch {
		case !ok:
			other(name, value)
			continue
		case index == last:
			take(&all[len(all)-1], index, tag, value)
			continue
		case len(all) == MaxEntries:
			return nil, ErrTooLong
		}
		var fresh T
		all = append(all, fresh)
		if take(&all[len(all)-1], index, tag, value) {
			last = index
		} else {
			all = all[:len(all)-1]
		}
	}
	return all, nil
}

func ignore(string, string) {}

// Interface is a local address of the daemon's, from the ordered list "ifstats".
type Interface struct {
	Index      int // has gaps
	Address    netip.AddrPort
	Broadcast  netip.AddrPort // often none
	Name       string
	Enabled    bool
	Flags      InterfaceFlags
	Received   uint64
	Sent       uint64
	SendErrors uint64
	Peers      uint64
	Up         time.Duration
	TTL        uint64 // of multicast; classic only
	Groups     uint64 // of multicast; classic only
}

// ParseInterfaces reads the answer to OpReadOrdered of "ifstats".
func ParseInterfaces(data []byte) ([]Interface, error) {
	return entries(nil, data, (*Interface).take, ignore)
}

func (i *Interface) take(index int, tag, value string) bool {
	i.Index = index
	switch tag {
	case "addr":
		i.Address, _ = address(value)
	case "bcast":
		i.Broadcast, _ = address(value)
	case "name":
		i.Name = unquote(value)
	case "en":
		i.Enabled = count(value) != 0
	case "flags":
		i.Flags = InterfaceFlags(count(value))
	case "rx":
		i.Received = count(value)
	case "tx":
		i.Sent = count(value)
	case "txerr":
		i.SendErrors = count(value)
	case "pc":
		i.Peers = count(value)
	case "up":
		i.Up = time.Duration(min(count(value), 1<<32)) * time.Second
	case "tl":
		i.TTL = count(value)
	case "mc":
		i.Groups = count(value)
	default:
		return false
	}
	return true
}

// InterfaceFlags are what an interface is and can.
type InterfaceFlags uint32

// Words are the names of the bits that are set.
func (f InterfaceFlags) Words() []string {
	return bits(uint32(f), "up", "point-to-point", "loopback", "broadcast", "multicast", "broadcast open", "multicast open",
		"wildcard", "multicast interface", "IPv6 privacy", "broadcast transmit")
}

// Restriction is a restrict line as the daemon applies it, from the ordered list "addr_restrictions".
type Restriction struct {
	Address netip.Addr
	Mask    netip.Addr
	Hits    uint64
	Flags   []string // classic also spells out what is allowed: serve, query
}

// ParseRestrictions reads the answer to OpReadOrdered of "addr_restrictions".
func ParseRestrictions(data []byte) ([]Restriction, error) {
	return entries(nil, data, (*Restriction).take, ignore)
}

func (r *Restriction) take(_ int, tag, value string) bool {
	switch tag {
	case "addr":
		a, _ := address(value)
		r.Address = a.Addr()
	case "mask":
		a, _ := address(value)
		r.Mask = a.Addr()
	case "hits":
		r.Hits = count(value)
	case "flags":
		r.Flags = strings.Fields(value)
	default:
		return false
	}
	return true
}
