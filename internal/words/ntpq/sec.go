package ntpq

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/protocol/mode6"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// sec prints as the ntpq of NTPsec 1.2.2.
type sec struct{}

func (sec) associations(all []mode6.Association) string {
	return "\n" + associationRows(all, authentication)
}

const secWidth = 79

func (sec) header(l layout) string {
	const start, end = "     remote    ", "st t when poll reach   delay   offset   jitter\n"
	switch l {
	case apeers:
		return start + "   refid   assid  " + end + rule(secWidth)
	case opeers:
		return start + "       local      " + strings.Replace(end, "jitter", "  disp", 1) + rule(secWidth)
	}
	return start + "       refid      " + end + rule(secWidth)
}

// shows leaves out nobody: NTPsec's peers and lpeers are the same.
func (sec) shows(mode6.PeerStatus) bool { return true }

func (c sec) peer(l layout, p peer, now time.Time) string {
	remote := p.text("srcadr")
	host := p.text("srchost")
	if remote == "" || remote == "0.0.0.0" || remote == "::" || strings.HasPrefix(remote, "127.127") {
		remote = cmp.Or(host, remote)
	}
	id := p.text("refid")
	var cookies byte
	if n, ok := p.Int("ntscookies"); ok && n > -1 {
		cookies = '0' + byte(min(n, 9))
	}
	number := f8dot3
	if raw, _ := p.Raw("delay"); len(raw) > 6 && raw[len(raw)-7] == '.' {
		number = f8dot4
	}
	jitter := "jitter"
	if _, ok := p.Raw(jitter); !ok || l == opeers {
		jitter = "dispersion"
	}
	return fmt.Sprintf("%c%-15s %s %2d %c %4s %4s  %3o %s %s %s\n", p.Status.Selection().Tally(), first(15, remote), c.reference(l, p),
		p.int("stratum"), p.kind(strings.Contains(host, "("), id == "POOL", cookies),
		first(4, interval(c.when(p, now), false)), first(4, interval(p.poll(), false)), p.int("reach"),
		c.milliseconds(p, "delay", number), c.milliseconds(p, "offset", number), c.milliseconds(p, jitter, number))
}

// milliseconds prints what is not there as a point.
func (sec) milliseconds(p peer, name string, print func(float64) string) string {
	f, ok := p.Float(name)
	if !ok {
		return fmt.Sprintf("%8s", ".")
	}
	return print(f)
}

func (sec) reference(l layout, p peer) string {
	id := p.text("refid")
	if l == opeers {
		id = p.text("dstadr")
	}
	if !strings.ContainsAny(id, ".:") {
		id = "." + id + "."
	}
	const width = 15
	if l == apeers {
		const short = 8
		if len(id) >= short {
			id = "..."
		}
		return fmt.Sprintf("%-9s%-6d", id, p.ID)
	}
	return fmt.Sprintf("%-15s", lastOf(width, "-", id))
}

// when is how long ago the last packet came, by our clock, which is the daemon's.
func (sec) when(p peer, now time.Time) int64 {
	at, ok := p.Time("rec")
	if !ok {
		at, ok = p.Time("reftime")
	}
	if !ok {
		return 0
	}
	return int64(ntp.TimestampOf(now).Sub(at) / time.Second)
}

// f8dot4 has 8 columns, and as many digits behind the point as they have room for, but at most four.
func f8dot4(f float64) string { return fitted(f, 4) }
func f8dot3(f float64) string { return fitted(f, 3) }

func fitted(f float64, digits int) string {
	room := 6 - digits // digits before the point of a number with all of them
	if f >= 0 {
		room++
	}
	for size := math.Pow10(room); digits > 0 && math.Abs(f) >= size; size *= 10 {
		digits--
	}
	if digits == 0 {
		return fmt.Sprintf("%8s", strconv.FormatFloat(math.Trunc(f), 'f', 0, 64))
	}
	return fmt.Sprintf("%8.*f", digits, f)
}

// variables are cooked where people read them more easily so, and wrapped.
func (c sec) variables(v mode6.Variables, now time.Time) string {
	const width = 80 - 2
	var text strings.Builder
	column := 0
	for i, one := range v {
		item := c.cook(v, one, now)
		if i < len(v)-1 {
			item += ","
		}
		// A blank follows, which counts, and ends the line if there is no room for more.
		switch {
		case column+len(item)+1 > width || i == len(v)-1 && column+len(item)+2 > width:
			text.WriteByte('\n')
			column = 0
		case i > 0:
			text.WriteByte(' ')
		}
		text.WriteString(item)
		column += len(item) + 1
	}
	return text.String() + "\n"
}

func (c sec) cook(v mode6.Variables, one mode6.Variable, now time.Time) string {
	name := one.Name
	odd := name + "=" + valueOf(one.Value).shown()
	switch name {
	case "reftime", "clock", "org", "rec", "xmt":
		if at, ok := v.Time(name); ok {
			return name + "=" + c.date(at, now)
		}
	case "srcadr", "peeradr", "dstadr", "refid":
		return name + "=" + unquoted(one.Value)
	case "leap":
		if n, ok := v.Int(name); ok && n >= 0 && n <= 3 {
			return name + "=" + leapBits(n)
		}
	case "reach":
		if n, ok := v.Int(name); ok {
			return fmt.Sprintf("%s=%03o", name, n)
		}
	case "flash":
		if n, ok := v.Int(name); ok {
			return name + "=" + strings.TrimSuffix(flash(n, " "), " ")
		}
	case "filtdelay", "filtoffset", "filtdisp", "filterror":
		return fmt.Sprintf("%10s =%s", name, strings.Join(strings.Fields(unquoted(one.Value)), "\t"))
	}
	return odd
}

// date is a timestamp in hex and in UTC, its milliseconds cut.
func (sec) date(at ntp.Timestamp, now time.Time) string {
	return fmt.Sprintf("%08x.%08x %s", uint32(at>>32), uint32(at), utc(at, now).Format("2006-01-02T15:04:05.000Z"))
}
