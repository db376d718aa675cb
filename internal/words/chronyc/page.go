package chronyc

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

// page is the text of an answer.
type page struct {
	strings.Builder
	labels int // the width of labels
}

func (p *page) linef(format string, args ...any) {
	fmt.Fprintf(p, format, args...)
	p.WriteByte('\n')
}

// header is underlined, blanks at its end too.
func (p *page) header(h string) { p.linef("%s\n%s", h, strings.Repeat("=", len(h))) }

// field is a line of a report.
func (p *page) field(label, format string, args ...any) {
	fmt.Fprintf(p, "%-*s: ", p.labels, label)
	p.linef(format, args...)
}

// never is an age or an interval that chronyd does not know.
const never = math.MaxUint32

// ago is a number of seconds in four columns.
func ago(s uint32) string {
	const minute, hour, day, year = 60, 3600, 86400, 365 * 86400
	switch {
	case s == never:
		return "   -"
	case s < 20*minute:
		return fmt.Sprintf("%4d", s)
	case s < 10*hour:
		return fmt.Sprintf("%3dm", s/minute)
	case s < 4*day:
		return fmt.Sprintf("%3dh", s/hour)
	case s < 1000*day:
		return fmt.Sprintf("%3dd", s/day)
	}
	return fmt.Sprintf("%3dy", s/year)
}

// age is the number that ago takes.
func age(d time.Duration, known bool) uint32 {
	if !known {
		return never
	}
	return uint32(d / time.Second)
}

// span is a time without its sign in six columns.
func span(s float64) string { return scaled("", 4, math.Abs(s)) }

// offset is a time with its sign in seven.
func offset(s float64) string { return scaled("+", 5, s) }

// scaled is s in the unit in which it has at most four digits, or five from seconds on.
func scaled(flag string, width int, s float64) string {
	print := func(more, precision int, scale float64, unit string) string {
		return fmt.Sprintf("%"+flag+"*.*f%s", width+more, precision, s*scale, unit)
	}
	long := func(seconds float64, unit string) string {
		return fmt.Sprintf("%"+flag+"*.0f%s", width+1, s/seconds, unit)
	}
	switch x := math.Abs(s); {
	case x < 9999.5e-9:
		return print(0, 0, 1e9, "ns")
	case x < 9999.5e-6:
		return print(0, 0, 1e6, "us")
	case x < 9999.5e-3:
		return print(0, 0, 1e3, "ms")
	case x < 999.5:
		return print(1, 1, 1, "s")
	case x < 99999.5:
		return long(1, "s")
	case x < 99999.5*60:
		return long(60, "m")
	case x < 99999.5*3600:
		return long(3600, "h")
	case x < 99999.5*86400:
		return long(86400, "d")
	}
	return long(365*86400, "y")
}

// ppm is a frequency in ten columns; flag is + or nothing.
func ppm(flag string, f float64) string {
	precision := 3
	if math.Abs(f) >= 99999.5 {
		precision = 0
	}
	return fmt.Sprintf("%"+flag+"10.*f", precision, f)
}

// log2 is an interval of a client in two columns.
func log2(i int8) string {
	if i == cmdmon.NoInterval {
		return " -"
	}
	return fmt.Sprintf("%2d", i)
}

// date is a time in UTC; chronyd's own zero is 1970.
func date(t time.Time) string {
	if t.IsZero() {
		t = time.Unix(0, 0)
	}
	return t.UTC().Format("Mon Jan 02 15:04:05 2006")
}

// pick is one of the words, or the last if there is none for i.
func pick(i int, vocabulary ...string) string {
	if i < 0 || i >= len(vocabulary) {
		i = len(vocabulary) - 1
	}
	return vocabulary[i]
}

func leap(l int) string {
	return pick(l, "Normal", "Insert second", "Delete second", "Not synchronised", "Invalid")
}

func yes(b bool) string {
	if b {
		return "Yes"
	}
	return "No"
}

// address is one in digits; sources without a name that resolves have a number.
func address(a cmdmon.Address) string {
	if s := a.String(); s != "" {
		return s
	}
	return "[UNSPEC]"
}

// letters are the printable ones of a reference id.
func letters(id [4]byte) string {
	var b strings.Builder
	for _, c := range id {
		if c >= ' ' && c <= '~' {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// named is the address of a source, or the letters of a reference clock, which has none.
func named(id [4]byte, a cmdmon.Address) string {
	if a == (cmdmon.Address{}) {
		return letters(id)
	}
	return address(a)
}

// refID is the reference id that an address has in NTP, RFC 5905 section 7.3.
func refID(a cmdmon.Address) uint32 {
	switch {
	case a.IP.Is4():
		four := a.IP.As4()
		return binary.BigEndian.Uint32(four[:])
	case a.IP.Is6():
		sixteen := a.IP.As16()
		sum := md5.Sum(sixteen[:])
		return binary.BigEndian.Uint32(sum[:])
	}
	return 0
}

// graphic is one character that cannot upset a terminal.
func graphic(c byte) byte {
	if c > ' ' && c <= '~' {
		return c
	}
	return '?'
}
