package ntpq

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// fields leaves out what the daemon did not send.
func (classic) fields(t table, values map[string]string, now time.Time) string {
	var lines strings.Builder
	for _, f := range t.all {
		raw, ok := values[f.name]
		if !ok {
			continue
		}
		v := mode6.Variables{{Name: f.name, Value: raw}}
		shown, _ := v.Text(f.name)
		switch n, _ := v.Int(f.name); f.form {
		case mode:
			shown = modeWord(n)
		case leap:
			shown = leapBits(n)
		case timestamp:
			at, _ := v.Time(f.name)
			shown = date(at, now)
		case hostPort:
			if a, ok := v.Address(f.name); ok && a.Port() == 0 {
				shown = hostAndPort(a.Addr().String(), unquoted(values[portOf(f.name)]))
			}
		}
		fmt.Fprintf(&lines, "%s  %s\n", f.legend, shown)
	}
	return lines.String()
}

func hostAndPort(host, port string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + cmp.Or(port, "0")
}

func modeWord(n int64) string {
	words := [...]string{"unspec", "sym_active", "sym_passive", "client", "server", "broadcast", "control", "private", "bclient"}
	if n < 0 || n >= int64(len(words)) {
		return fmt.Sprintf("mode#%d", n)
	}
	return words[n]
}

// unknown stands for what the daemon does not have.
const unknown = "???"

// fields keeps count of the uptime, to which the counters after it are set in relation.
func (c sec) fields(t table, values map[string]string, now time.Time) string {
	if t.recent {
		return c.columns(t, values)
	}
	var lines strings.Builder
	since := math.NaN()
	for _, f := range t.all {
		raw, ok := values[f.name]
		if !ok {
			if f.form != number {
				continue
			}
			raw = "?"
		}
		v := valueOf(raw)
		switch f.form {
		case mode:
			fmt.Fprintf(&lines, "%s  %s\n", f.legend, modeWord(int64(v.number)))
			continue
		case leap:
			v.text = leapBits(int64(v.number))
		case timestamp:
			at, _ := mode6.Variables{{Name: f.name, Value: raw}}.Time(f.name)
			v.text = c.date(at, now)
		case uptime:
			since, v.text = v.uptime()
		case packets:
			count, rate := v.packets(since)
			fmt.Fprintf(&lines, "%s %13s %s\n", f.legend, count, rate)
			continue
		case text:
			if v.text == "" {
				continue
			}
		}
		fmt.Fprintf(&lines, "%s %13s\n", f.legend, v.text)
	}
	return lines.String()
}

// columns are what there is since the counters were reset, and since the daemon runs.
func (sec) columns(t table, values map[string]string) string {
	var lines strings.Builder
	since, ever := math.NaN(), math.NaN()
	valueOf := func(name string) value {
		if raw, ok := values[name]; ok {
			return valueOf(raw)
		}
		return value{text: unknown, isText: true}
	}
	for _, f := range t.all {
		left, right := valueOf(f.name), valueOf(f.name+recent)
		if f.form == uptime {
			since, left.text = left.uptime()
			ever, right.text = right.uptime()
			fmt.Fprintf(&lines, "%s %13s %13s\n", f.legend, left.text, right.text)
			continue
		}
		a, rateOfA := left.packets(since)
		b, rateOfB := right.packets(ever)
		fmt.Fprintf(&lines, "%s %13s %13s %s %s\n", f.legend, a, b, rateOfA, rateOfB)
	}
	return lines.String()
}

// uptime is days and hh:mm:ss.
func (v value) uptime() (seconds float64, text string) {
	const most = 1e12 // s: nonsense, and no overflow
	if v.isText || math.IsNaN(v.number) {
		return math.NaN(), unknown
	}
	seconds = math.RoundToEven(min(max(v.number, 0), most))
	n := int64(seconds)
	if n >= 86400 {
		text = fmt.Sprintf("%dD ", n/86400)
	}
	return seconds, text + fmt.Sprintf("%02d:%02d:%02d", n%86400/3600, n%3600/60, n%60)
}

// packets are a count and, in 13 columns, how many that are a second, or how many seconds for each.
func (v value) packets(since float64) (count, rate string) {
	none := strings.Repeat(" ", 13)
	switch n := v.number; {
	case !v.whole:
		return unknown, none
	case n == 0 || math.IsNaN(since):
		return v.text, none
	case n > since && since > 0:
		return v.text, fmt.Sprintf("%10s%-3s", pythonFloat(math.RoundToEven(n/since)), "p/s")
	case n > since:
		return v.text, none
	default:
		return v.text, fmt.Sprintf("%10s%-3s", pythonFloat(math.RoundToEven(since/n)), "s/p")
	}
}
