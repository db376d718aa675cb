package ntpq

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/protocol/mode6"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// classic prints as the ntpq of 4.2.8p15.
type classic struct{}

func (classic) associations(all []mode6.Association) string {
	return associationRows(all, func(s mode6.PeerStatus) string {
		if s.Broadcast() && s.AuthEnabled() {
			return "yes"
		}
		return authentication(s)
	})
}

const classicWidth = 78

func (classic) header(l layout) string {
	const start, end = "     remote  ", "st t when poll reach   delay   offset  jitter\n"
	switch l {
	case apeers:
		return start + "     refid   assid  " + end + rule(classicWidth)
	case opeers:
		return start + "         local      " + strings.Replace(end, "jitter", "  disp", 1) + rule(classicWidth)
	}
	return start + "         refid      " + end + rule(classicWidth)
}

func (classic) shows(s mode6.PeerStatus) bool { return s.Configured() || s.Reachable() }

func (c classic) peer(l layout, p peer, now time.Time) string {
	address, _ := p.Address("srcadr")
	remote := p.text("srcadr")
	if address.IsValid() {
		remote = address.Addr().String()
	}
	if name := p.text("srchost"); name != "" && l != opeers {
		remote = name
	}
	jitter := "jitter"
	column := fmt.Sprintf("%-15s", c.reference(l, p))
	switch l {
	case apeers:
		column = fmt.Sprintf("%-9s%-6d", c.reference(l, p), p.ID)
	case opeers:
		jitter = "dispersion"
	}
	if _, ok := p.Float(jitter); !ok {
		jitter = "dispersion"
	}
	return fmt.Sprintf("%c%-15s %s %2d %c %4s %4s  %3o  %7s %8s %7s\n", p.Status.Selection().Tally(), first(15, remote), column,
		p.int("stratum"), p.kind(isRefclock(address.Addr()), address.Addr().IsUnspecified(), 0),
		first(4, interval(c.when(p, now), true)), first(4, interval(p.poll(), true)), p.int("reach"),
		thousandths(p.number("delay")), signed(thousandths, p.number("offset")), thousandths(p.number(jitter)))
}

func (p peer) number(name string) float64 { f, _ := p.Float(name); return f }

// thousandths are not rounded but cut, if there is no room.
func thousandths(ms float64) string { return decimal(ms, 3) }
func hundredths(ms float64) string  { return decimal(ms, 2) }

func decimal(ms float64, digits int) string {
	if ms == 0 {
		ms = 0 // and not its negative
	}
	return first(7, strconv.FormatFloat(ms, 'f', digits, 64))
}

// signed is print with a sign before all numbers.
func signed(print func(float64) string, ms float64) string {
	if ms >= 0 {
		return first(7, "+"+print(ms))
	}
	return print(ms)
}

// when is how long ago the last packet came, by our clock, which is the daemon's.
func (classic) when(p peer, now time.Time) int64 {
	at, _ := p.Time("rec")
	if at>>32 == 0 {
		at, _ = p.Time("reftime")
	}
	if at>>32 == 0 {
		return 0
	}
	return int64(int32(ntpSeconds(now) - uint32(at>>32)))
}

// reference is the column between the name and the stratum.
func (c classic) reference(l layout, p peer) string {
	if l == opeers {
		address, ok := p.Address("dstadr")
		if !ok {
			return ""
		}
		return lastOf(15, "_", address.Addr().String())
	}
	id := p.text("refid")
	address, ok := p.Address("refid")
	switch {
	case id == "":
		return ""
	case len(id) <= 4:
		return "." + id + "."
	case !ok:
		return ""
	case l == apeers && address.Addr().Is4() && !address.Addr().IsUnspecified() && !isRefclock(address.Addr()):
		b := address.Addr().As4()
		return strconv.FormatUint(uint64(b[0])<<24|uint64(b[1])<<16|uint64(b[2])<<8|uint64(b[3]), 16)
	}
	return numeric(address.Addr())
}

// numeric is an address, or the name that a reference clock has instead.
func numeric(a netip.Addr) string {
	if !isRefclock(a) {
		return a.String()
	}
	b := a.As4()
	if int(b[2]) < len(drivers) {
		return fmt.Sprintf("%s(%d)", drivers[b[2]], b[3])
	}
	return fmt.Sprintf("REFCLK(%d,%d)", b[2], b[3]) // of a driver that we do not know
}

// drivers are the names of the reference clocks, by their number.
var drivers = [...]string{ // never assigned again
	"UNKNOWN", "LOCAL", "GPS_TRAK", "WWV_PST", "SPECTRACOM", "TRUETIME", "IRIG_AUDIO", "CHU_AUDIO", "GENERIC", "GPS_MX4200",
	"GPS_AS2201", "GPS_ARBITER", "IRIG_TPRO", "ATOM_LEITCH", "MSF_EES", "NOT_USED", "GPS_BANC", "GPS_DATUM", "ACTS_MODEM", "WWV_HEATH",
	"GPS_NMEA", "GPS_VME", "PPS", "NOT_USED", "NOT_USED", "NOT_USED", "GPS_HP", "MSF_ARCRON", "SHM", "GPS_PALISADE",
	"GPS_ONCORE", "GPS_JUPITER", "CHRONOLOG", "DUMBCLOCK", "ULINK_M320", "PCF", "WWV_AUDIO", "GPS_FG", "HOPF_S", "HOPF_P",
	"JJY", "TT_IRIG", "GPS_ZYFER", "GPS_RIPENCC", "NEOCLK4X", "PCI_TSYNC", "GPSD_JSON",
}

// variables are cooked where people read them more easily so, and wrapped.
func (c classic) variables(v mode6.Variables, now time.Time) string {
	const width = 72
	var text strings.Builder
	column := 0
	for _, one := range v {
		item := one.Name + "=" + c.cook(v, one, now)
		switch {
		case text.Len() == 0:
		case column+len(item)+2 > width:
			text.WriteString(",\n")
			column = 0
		default:
			text.WriteString(", ")
			column += 2
		}
		text.WriteString(item)
		column += len(item)
	}
	if text.Len() > 0 {
		text.WriteByte('\n')
	}
	return text.String()
}

// cook marks what should be of another form.
func (c classic) cook(v mode6.Variables, one mode6.Variable, now time.Time) string {
	name, value := one.Name, one.Value
	odd := value + "?"
	switch name {
	case "reftime", "clock", "org", "rec", "xmt":
		if at, ok := v.Time(name); ok {
			return date(at, now)
		}
		return odd
	case "srcadr", "peeradr", "dstadr":
		if a, ok := v.Address(name); ok {
			return a.Addr().String()
		}
		return odd
	case "refid":
		if a, ok := v.Address(name); ok {
			return numeric(a.Addr())
		}
		if len(value) <= 4 {
			return value
		}
		return odd
	case "leap":
		if n, ok := v.Int(name); ok && n >= 0 && n <= 3 {
			return leapBits(n)
		}
		return odd
	case "reach":
		if n, ok := v.Int(name); ok {
			return fmt.Sprintf("%03o", n)
		}
		return odd
	case "flash":
		if n, ok := v.Int(name); ok {
			return flash(n, ", ")
		}
		return odd
	case "filtdelay", "filtoffset", "filtdisp", "filterror":
		return c.stages(name, v.Filter(name))
	case "offset", "frequency", "bias":
		if !strings.HasPrefix(value, "-") {
			return "+" + value
		}
	}
	return value
}

// stages stand below each other in the three lists.
func (classic) stages(name string, all []float64) string {
	text := strings.Repeat(" ", max(11-len(name), 0))
	for i, seconds := range all {
		ms := seconds * 1000
		s := hundredths(ms)
		if name == "filtoffset" {
			s = signed(hundredths, ms)
		}
		if i > 0 {
			text += " "
		}
		text += fmt.Sprintf("%7s", s)
	}
	return text
}

func leapBits(n int64) string { return [...]string{"00", "01", "10", "11"}[n&3] }

// flash tells the tests that failed.
func flash(n int64, separator string) string {
	if n == 0 {
		return "00 ok"
	}
	return fmt.Sprintf("%02x %s", n, strings.Join(mode6.Flash(n).Words(), separator))
}

// date is a timestamp in hex and in UTC, its milliseconds cut.
func date(at ntp.Timestamp, now time.Time) string {
	if at == 0 {
		return "(no time)"
	}
	return fmt.Sprintf("%08x.%08x  %s", uint32(at>>32), uint32(at), utc(at, now).Format("Mon, Jan _2 2006 15:04:05.000"))
}

// utc is a timestamp with its milliseconds cut, not rounded, as both ntpqs cut them.
func utc(at ntp.Timestamp, now time.Time) time.Time {
	const perMillisecond = 1 << 32 / 1000
	ms := time.Duration(uint32(at)/perMillisecond) * time.Millisecond
	return ntp.Timestamp(at >> 32 << 32).Time(now).Add(ms)
}
