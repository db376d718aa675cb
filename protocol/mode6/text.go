package mode6

import (
	"iter"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// printable drops what could upset a terminal, and what NTPsec up to 1.2.2a has left in its buffers. Ends of lines stand
// where a blank could.
func printable(data []byte) string {
	text := make([]byte, 0, len(data))
	for _, c := range data {
		switch {
		case c == '\r' || c == '\n':
			text = append(text, ' ')
		case c >= ' ' && c <= '~':
			text = append(text, c)
		}
	}
	return string(text)
}

// Sentence is the text that answers OpConfigure and OpSaveConfig: "Config Succeeded" means that the line was understood, and
// not that anything came of it. A refusal is a sentence as well, and no error.
func Sentence(data []byte) string { return strings.TrimSpace(printable(data)) }

// items cuts text that is printable into names and values, whose quotes stay. There is no escape in this language, and a
// reference clock may put a quote into quotes, so that only a quote before a comma ends them.
func items(text string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		quotes := true // some quote that ends a value still lies ahead: looked for in vain once, lest it take quadratic time
		for text != "" {
			end := strings.IndexByte(text, ',')
			if end < 0 {
				end = len(text)
			}
			name, value, valued := strings.Cut(text[:end], "=")
			rest := text[end-len(value):] // from the value on
			name = strings.TrimSpace(name)
			switch {
			case !valued:
			case isFilter(name):
				end += filterEnd(rest) - len(value)
				value = strings.TrimRight(rest[:filterEnd(rest)], ", ")
			case quotes && strings.HasPrefix(strings.TrimLeft(rest, " "), `"`):
				var n int
				if n, quotes = quoteEnd(rest); quotes {
					end += n - len(value)
					value = rest[:n]
				}
			}
			if name != "" && !yield(name, strings.TrimSpace(value)) {
				return
			}
			text = text[min(end+1, len(text)):]
		}
	}
}

// quoteEnd finds the comma or the end behind the quote that ends a value.
func quoteEnd(text string) (int, bool) {
	open := strings.IndexByte(text, '"')
	for i := open + 1; i < len(text); i++ {
		if text[i] != '"' {
			continue
		}
		rest := strings.TrimLeft(text[i+1:], " ")
		if rest == "" || rest[0] == ',' {
			return len(text) - len(rest), true
		}
	}
	return 0, false
}

// isFilter tells the three variables in which NTPsec up to 1.2.2a sends octets of an uninitialised buffer, commas too.
func isFilter(name string) bool {
	return name == "filtdelay" || name == "filtoffset" || name == "filtdisp"
}

// filterEnd finds the comma that ends such a value: daemons put a blank or an end of line behind commas of their own.
func filterEnd(text string) int {
	if i := strings.Index(text, ", "); i >= 0 {
		return i
	}
	return len(text)
}

// splitTag takes the name of a field in a list apart: addr.12.
func splitTag(name string) (tag string, index int, ok bool) {
	tag, digits, _ := strings.Cut(name, ".")
	n, err := strconv.ParseUint(digits, 10, 16)
	return tag, int(n), err == nil && tag != ""
}

// unquote takes the quotes off.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// integer reads decimal, 0x hex, and what is whole though written with a fraction, as NTPsec 1.2.5 does.
func integer(s string) (int64, bool) {
	s = unquote(s)
	if digits, ok := strings.CutPrefix(s, "0x"); ok {
		n, err := strconv.ParseUint(digits, 16, 63)
		return int64(n), err == nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	const exact = 1 << 53
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > exact {
		return 0, false
	}
	return int64(f), true
}

// count reads a number that cannot be negative.
func count(s string) uint64 {
	n, _ := integer(s)
	return uint64(max(n, 0))
}

// float reads any number that is one.
func float(s string) (float64, bool) {
	f, err := strconv.ParseFloat(unquote(s), 64)
	if err != nil {
		n, ok := integer(s)
		return float64(n), ok
	}
	return f, !math.IsNaN(f) && !math.IsInf(f, 0)
}

// timestamp reads 0xSSSSSSSS.FFFFFFFF.
func timestamp(s string) (ntp.Timestamp, bool) {
	digits, ok := strings.CutPrefix(s, "0x")
	seconds, fraction, dot := strings.Cut(digits, ".")
	high, err := strconv.ParseUint(seconds, 16, 32)
	low, err2 := strconv.ParseUint(fraction, 16, 32)
	if !ok || !dot || len(fraction) != 8 || err != nil || err2 != nil {
		return 0, false
	}
	return ntp.Timestamp(high<<32 | low), true
}

// address reads an address with or without a port.
func address(s string) (netip.AddrPort, bool) {
	s = unquote(s)
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a, true
	}
	a, err := netip.ParseAddr(s)
	return netip.AddrPortFrom(a, 0), err == nil
}
